# SPDX-License-Identifier: Apache-2.0
"""Write an application once, for every model that answers: here, counting with a second look.

An application takes a `Responder`. The engine is one, and so is the scripted stand-in below, which
makes the application testable in a millisecond and without weights.

    python examples/use_any_responder.py [MODEL]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import finesight
from finesight import Conversation, ImagePart, Message, Reply, Responder, Sampling, TextPart
from finesight.conversation import Usage
from finesight.parse.numbers import read_count

PICTURE = Path(__file__).parent / "media" / "shapes.png"


def count(responder: Responder, picture: Path, what: str) -> tuple[int, int | None]:
    """Count by detecting, and ask for the number as well; both come back, None where no number was said."""
    questions = (
        f"Locate every {what} in the image and output the coordinates in JSON format.",
        f"How many {what}s are there in the image?",
    )
    conversations = [
        Conversation((Message("user", (ImagePart(source=picture), TextPart(question))),))
        for question in questions
    ]
    found, said = responder.respond(conversations, Sampling(max_new_tokens=256))
    return len(finesight.read_answer(found).boxes), read_count(said.text)


class Scripted:
    """A responder that says what it is told."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """One text per conversation."""
        usage = Usage(prompt_tokens=0, visual_tokens=0, completion_tokens=0)
        texts = zip(conversations, self.texts, strict=True)
        return [
            Reply(text=text, token_ids=(), finish_reason="stop", usage=usage) for _, text in texts
        ]


if __name__ == "__main__":
    script = Scripted('[{"bbox_2d": [1, 2, 30, 40], "label": "red circle"}]', "1")
    print("scripted:", count(script, PICTURE, "red circle"))
    model = finesight.load(sys.argv[1] if len(sys.argv) > 1 else "tiny")
    print("model:   ", count(model.engine, PICTURE, "red circle"))

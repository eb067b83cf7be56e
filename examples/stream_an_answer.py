# SPDX-License-Identifier: Apache-2.0
"""Show an answer while it is being written, and how sure the model was of each token.

python examples/stream_an_answer.py [MODEL]
"""

import math
import sys
from pathlib import Path

import finesight

PICTURE = Path(__file__).parent / "media" / "ticket.png"


def main(name: str) -> None:
    """Stream one answer, then list its least certain tokens."""
    model = finesight.load(name)
    reply = None
    for event in model.stream(
        "Read all the text in the image.", images=[PICTURE], logprobs=3, max_new_tokens=64
    ):
        print(event.text, end="", flush=True)
        reply = event.reply
    print()
    assert reply is not None  # the last event carries it
    print(f"{reply.usage.completion_tokens} tokens, ended by {reply.finish_reason}")
    for token in sorted(reply.logprobs, key=lambda each: each.logprob)[:3]:
        others = ", ".join(repr(text) for _, text, _ in token.top)
        print(f"{token.text!r} with probability {math.exp(token.logprob):.2f}; best: {others}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tiny")

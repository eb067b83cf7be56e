# SPDX-License-Identifier: Apache-2.0
"""Let an agent work on a page: here with a script in place of a model, so that it runs in seconds and without weights.

The last step, an order, needs approval. Nobody is there to approve, so it is refused and nothing is bought.

    python examples/work_on_a_page.py
"""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import finesight
from finesight import Conversation, Reply, Responder, Sampling, Size
from finesight.apps.agent.records import AgentOptions, Expectation, Run
from finesight.conversation import Usage
from finesight.screen.history import call_in_words
from finesight.screen.web import WebScreen

PAGE = Path(__file__).parent / "media" / "shop.html"
STEPS = (
    {"action": "left_click", "coordinate": [160, 108]},
    {"action": "type", "text": "desk"},
    {"action": "left_click", "coordinate": [427, 169]},
    {"action": "left_click", "coordinate": [80, 269]},
    {"action": "terminate", "status": "success"},
)


class Scripted:
    """A responder that gives one call after the other."""

    def __init__(self) -> None:
        self.steps = iter(STEPS)

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """The next call for each conversation."""
        usage = Usage(prompt_tokens=0, visual_tokens=0, completion_tokens=0)
        texts = [call_in_words("computer_use", next(self.steps)) for _ in conversations]
        return [Reply(text=text, token_ids=(), finish_reason="stop", usage=usage) for text in texts]


def buy_a_lamp(model: Responder, trace: Path) -> Run:
    """Put a lamp into the cart and order it; the cart is checked at the end, whatever the model says."""
    options = AgentOptions(expectations=(Expectation("text", "In your cart: Desk lamp"),))
    with closing(WebScreen(PAGE, size=Size(644, 448))) as screen:
        return finesight.agent(
            "Order a desk lamp.", screen, model=model, options=options, approve="never", trace=trace
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run = buy_a_lamp(Scripted(), Path(folder) / "trace")
    for step in run.steps:
        effect = step.effect["verdict"] if step.effect else "-"
        print(f"{step.n}: {step.words:22s} {effect:10s} {step.problem}")
    print(f"claimed: {run.claimed}; verified: {run.verified.value} ({run.verified.details[0]})")

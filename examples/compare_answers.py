# SPDX-License-Identifier: Apache-2.0
"""Let the model choose between answers by their probability, and look at its raw scores.

python examples/compare_answers.py [MODEL]
"""

import sys
from pathlib import Path
from typing import Any

import finesight

PICTURE = str(Path(__file__).parent / "media" / "shapes.png")
CHOICES = ("red", "blue", "green")


def main(name: str) -> None:
    """Rank three answers to one question."""
    model = finesight.load(name)
    question: dict[str, Any] = {
        "role": "user",
        "content": [
            {"type": "image", "image": PICTURE},
            {"type": "text", "text": "What colour is the circle?"},
        ],
    }
    answered: list[list[dict[str, Any]]] = [
        [question, {"role": "assistant", "content": choice}] for choice in CHOICES
    ]
    scores = [sum(tokens) / len(tokens) for tokens in model.score(answered)]
    for score, choice in sorted(zip(scores, CHOICES, strict=True), reverse=True):
        print(f"{choice:<6} {score:.3f} per token")

    logits = model.logits([question])  # float32[L, V]: one row per token of the prompt
    best = logits[-1].topk(5)
    texts = [model.processor.tokenizer.token_text(index) for index in best.indices.tolist()]
    print("likeliest first tokens:", texts)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tiny")

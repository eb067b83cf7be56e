# SPDX-License-Identifier: Apache-2.0
"""Passages of English prose as conversations without pictures: the user gives the beginning, the answer is the rest."""

from __future__ import annotations

import random
import re

from pydantic import Field

from finesight.config.settings import Settings
from finesight.data.record import Record, asked_about
from finesight.data.sources.prose import Prose
from finesight.data.split import Split

__all__ = ["ProseConfig", "Proses"]

REQUESTS = (
    "Continue: {}",
    "Continue this text: {}",
    "Continue the text.\n\n{}",
    "{}\n\nPlease continue.",
    "How does this text go on?\n\n{}",
    "Write the rest of this passage: {}",
)
SENTENCE_BREAK = re.compile(r"(?<=[.!?”])\s+(?=[A-Z“])")


class ProseConfig(Settings):
    """Options of prose."""

    split: Split = Field("train", description="split of the documents")


class Proses:
    """Makes records of prose.

    Args:
        config: the split.
        prose: passages of that split.
    """

    def __init__(self, config: ProseConfig, prose: Prose) -> None:
        self.config = config
        self.prose = prose

    def record(self, record_id: str, seed: int) -> Record:
        """Make the record of a seed; the same seed and assets give the same record."""
        rng = random.Random(seed)
        document, text = self.prose.choose(rng)
        first, rest = _halves(rng, text)
        return Record(
            id=record_id,
            conversation=asked_about((), ((rng.choice(REQUESTS).format(first), rest),)),
            meta={
                "split": self.config.split,
                "generator": "prose/1",
                "seed": seed,
                "document": document,
            },
        )


def _halves(rng: random.Random, text: str) -> tuple[str, str]:
    """Beginning and rest: cut at a sentence in the middle part of the text, or else between two words there."""
    low, high = 0.2 * len(text), 0.6 * len(text)
    for pattern in (SENTENCE_BREAK, re.compile(r"\s+")):
        cuts = [match for match in pattern.finditer(text) if low <= match.start() <= high]
        if cuts:
            cut = rng.choice(cuts)
            break
    return text[: cut.start()], text[cut.end() :]

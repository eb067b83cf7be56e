# SPDX-License-Identifier: Apache-2.0
"""Segmentation of Chinese text with jieba, which defines scores that count Chinese words."""

from __future__ import annotations

from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import Any

from finesight.evals.metrics.extras import required


def chinese_words(text: str) -> list[str]:
    """Words, blanks and punctuation of a text in order; joined they give the text.

    Raises:
        EvalError: jieba is not installed.
    """
    words: list[str] = _segmenter().lcut(text)
    return words


@lru_cache(maxsize=1)
def _segmenter() -> Any:
    """A segmenter with a loaded dictionary; loading takes about a second.

    jieba would cache the dictionary in the shared temporary folder and trust any file of that name there. An empty
    folder of its own avoids this.
    """
    with required("jieba", "cutting Chinese into words"):
        import jieba  # type: ignore[import-untyped]  # has no annotations
    jieba.setLogLevel("WARNING")  # otherwise it writes to standard error
    segmenter = jieba.Tokenizer()
    with TemporaryDirectory(prefix="finesight-jieba-") as folder:
        segmenter.tmp_dir = folder
        segmenter.initialize()
    return segmenter

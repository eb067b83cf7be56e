# SPDX-License-Identifier: Apache-2.0
"""Words of a Chinese text, as the segmenter jieba cuts them: scores that count Chinese words are defined by it."""

from __future__ import annotations

from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import Any

from finesight.evals.metrics.extras import missing


def chinese_words(text: str) -> list[str]:
    """Words, blanks and marks of a text, in order; joined they are the text again.

    Raises:
        EvalError: jieba is not installed.
    """
    words: list[str] = _segmenter().lcut(text)
    return words


@lru_cache(maxsize=1)
def _segmenter() -> Any:
    """A segmenter with its dictionary read: a second, once per process.

    jieba keeps the dictionary it read in the folder for temporary files and believes whatever lies there under that
    name. This one reads its own dictionary and leaves nothing behind.
    """
    try:
        import jieba  # type: ignore[import-untyped]  # has no annotations
    except ModuleNotFoundError as error:
        raise missing("jieba", "cutting Chinese into words") from error
    jieba.setLogLevel("WARNING")  # it talks on standard error otherwise
    segmenter = jieba.Tokenizer()
    with TemporaryDirectory(prefix="finesight-jieba-") as folder:
        segmenter.tmp_dir = folder
        segmenter.initialize()
    return segmenter

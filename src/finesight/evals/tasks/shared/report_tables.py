# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables of the Qwen2.5-VL report, so that a task quotes one row of numbers as it is printed.

The report measured its rivals as Claude-3.5-Sonnet-0620, GPT-4o-0513, Gemini 1.5 Pro and InternVL2.5-78B; "-" is a
number it does not give.
"""

from __future__ import annotations

_OWN = ("Qwen2.5-VL-72B", "Qwen2.5-VL-7B", "Qwen2.5-VL-3B")
GENERAL = ("Claude-3.5-Sonnet", "GPT-4o", "InternVL2.5-78B", "Qwen2-VL-72B", *_OWN)
"""Table 3."""
OCR = ("Claude-3.5-Sonnet", "Gemini-1.5-Pro", "GPT-4o", "InternVL2.5-78B", *_OWN)
"""Table 5."""
GROUNDING = ("Gemini-1.5-Pro", "Grounding-DINO", "Molmo-72B", "InternVL2.5-78B", *_OWN)
"""Table 6."""
VIDEO = ("Gemini-1.5-Pro", "GPT-4o", *_OWN)
"""Table 8."""
AGENT = ("GPT-4o", "Gemini-2.0", "Claude", "Aguvis-72B", "Qwen2-VL-72B", "Qwen2.5-VL-72B")
"""Table 9."""
REPORT = "Qwen2.5-VL report, arXiv 2502.13923"


def row(columns: tuple[str, ...], numbers: str) -> dict[str, float]:
    """One printed row: as many words as columns, "-" where there is no number."""
    words = numbers.split()
    return {name: float(word) for name, word in zip(columns, words, strict=True) if word != "-"}

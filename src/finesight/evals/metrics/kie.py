# SPDX-License-Identifier: Apache-2.0
"""Key information extraction: share of correct fields.

Source: OCRBench v2 (2024), which calls the score F1; it is 1 or 0 per key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kie_score(pred: Mapping[str, Any], gold: Mapping[str, Any]) -> float:
    """Share of correct fields among the keys of both, 0..1; 0 without keys.

    Values are compared in lower case and without blanks: "$ 5.00" equals "$5.00".

    Args:
        pred: fields of the answer; None counts as missing.
        gold: gold fields; a list holds alternatives.
    """
    keys = {*pred, *gold}
    if not keys:
        return 0.0
    return sum(_is_right(pred.get(key), gold.get(key)) for key in keys) / len(keys)


def _is_right(pred: Any, wanted: Any) -> bool:
    if pred is None or wanted is None:
        return False
    return _tidy(pred) in [
        _tidy(each) for each in (wanted if isinstance(wanted, list) else [wanted])
    ]


def _tidy(value: Any) -> str:
    return "".join(str(value).lower().split())

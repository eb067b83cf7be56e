# SPDX-License-Identifier: Apache-2.0
"""Key information extraction: how many of the fields are right.

Source: the score of OCRBench v2 (2024), where it is called F1: per key it is 1 or 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kie_score(pred: Mapping[str, Any], gold: Mapping[str, Any]) -> float:
    """Share of right fields among all keys of both, 0..1; 0 where there are none.

    Values are equal if they are after lower-casing and without any blanks: "$ 5.00" is "$5.00".

    Args:
        pred: fields as read from the answer; a value of None counts as no answer.
        gold: right fields; a list holds alternatives, any of which will do.
    """
    keys = {*pred, *gold}
    if not keys:
        return 0.0
    return sum(_is_right(pred.get(key), gold.get(key)) for key in keys) / len(keys)


def _is_right(said: Any, wanted: Any) -> bool:
    if said is None or wanted is None:
        return False
    return _tidy(said) in [
        _tidy(each) for each in (wanted if isinstance(wanted, list) else [wanted])
    ]


def _tidy(value: Any) -> str:
    return "".join(str(value).lower().split())

# SPDX-License-Identifier: Apache-2.0
"""Temporal IoU, for temporal grounding such as Charades-STA.

Source: "TALL: Temporal Activity Localization via Language Query" (2017).
"""

from __future__ import annotations

from collections.abc import Sequence

from finesight.evals.metrics.boxes import are_finite


def temporal_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of two intervals `(start, end)` in seconds, 0..1.

    Ends in the wrong order are swapped; NaN, infinity and other lengths give 0.
    """
    if a is None or b is None or len(a) != 2 or len(b) != 2 or not are_finite((*a, *b)):
        return 0.0
    (a1, a2), (b1, b2) = sorted(a), sorted(b)
    hull = max(a2, b2) - min(a1, b1)
    return max(0.0, min(a2, b2) - max(a1, b1)) / hull if hull > 0 else 0.0

# SPDX-License-Identifier: Apache-2.0
"""Detection: COCO average precision, and F1 at one threshold.

A chat model gives no confidences. As in published numbers, every box has score 1, and the order of the boxes breaks
ties: two correct boxes and then a wrong one score 1.0, with the wrong one first .667. F1 does not depend on the order.

Boxes are `(label, (x1, y1, x2, y2))`; labels are compared in lower case.
Source: pycocotools; "Grounding DINO" (2023) for the limits on detections (100, 300, 1000).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from finesight.evals.metrics.boxes import are_finite, iou
from finesight.evals.metrics.extras import required

Labelled: TypeAlias = tuple[str, Sequence[float]]
Images: TypeAlias = Sequence[tuple[Sequence[Labelled], Sequence[Labelled]]]
"""Predicted boxes in order, and gold boxes of each picture."""
MAX_DETECTIONS = (100, 300, 1000)


def coco_average_precision(
    images: Images, *, classes: Sequence[str] | None = None
) -> dict[str, float]:
    """Average precision over all pictures and classes.

    Args:
        images: predicted and gold boxes; a picture without predicted boxes lowers recall.
        classes: labels that count; predicted boxes with other labels are dropped. None takes those of the gold boxes.

    Returns:
        "ap" (mean over thresholds .5 to .95), "ap50" and "ap75", 0..1; all 0 without predicted or gold boxes.

    Raises:
        EvalError: pycocotools is not installed.
    """
    truth, found, num_classes = _records(images, classes)
    if not truth or not found:
        return {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        precision = _precision(truth, found, num_images=len(images), num_classes=num_classes)
    return {
        "ap": _mean(precision),
        "ap50": _mean(precision[:1]),
        "ap75": _mean(precision[5:6]),
    }


def f1_at(images: Images, *, threshold: float = 0.5) -> float:
    """F1 of all boxes of all pictures together, 0..1.

    Per picture and label, boxes are matched greedily by decreasing IoU down to the threshold, each box once.
    """
    hits = num_pred = num_gold = 0
    for pred, gold in images:
        num_pred, num_gold = num_pred + len(pred), num_gold + len(gold)
        hits += _hits(pred, gold, threshold)
    return 2 * hits / (num_pred + num_gold) if hits else 0.0


def _hits(pred: Sequence[Labelled], gold: Sequence[Labelled], threshold: float) -> int:
    overlaps = sorted(
        (
            (-iou(box, gold_box), p, g)
            for p, (label, box) in enumerate(pred)
            for g, (name, gold_box) in enumerate(gold)
            if label.lower() == name.lower()
        ),
    )
    used_pred: set[int] = set()
    used_gold: set[int] = set()
    for overlap, p, g in overlaps:
        if -overlap >= threshold and p not in used_pred and g not in used_gold:
            used_pred.add(p)
            used_gold.add(g)
    return len(used_pred)


def _records(
    images: Images, classes: Sequence[str] | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Gold boxes, predicted boxes as COCO records, and the number of classes; other labels are left out."""
    names = classes or sorted({label.lower() for _, gold in images for label, _ in gold})
    ids = {name.lower(): number for number, name in enumerate(names, 1)}
    truth = [
        _record(picture, ids[label.lower()], box)
        for picture, (_, gold) in enumerate(images, 1)
        for label, box in gold
        if label.lower() in ids
    ]
    found = [
        {**_record(picture, ids[label.lower()], box), "score": 1.0}
        for picture, (pred, _) in enumerate(images, 1)
        for label, box in pred
        if label.lower() in ids and len(box) == 4 and are_finite(box)
    ]
    return truth, found, len(names)


def _record(picture: int, label: int, box: Sequence[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = max(0.0, x2 - x1), max(0.0, y2 - y1)
    return {
        "image_id": picture,
        "category_id": label,
        "bbox": [x1, y1, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _precision(
    truth: list[dict[str, Any]], found: list[dict[str, Any]], *, num_images: int, num_classes: int
) -> Any:
    """Precision float[T, R, K]: threshold, recall, class; -1 for a class without gold boxes."""
    with required("pycocotools", "average precision"):
        from pycocotools.coco import COCO  # type: ignore[import-untyped]  # has no annotations
        from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]  # as above
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(1, num_images + 1)],
        "categories": [{"id": number} for number in range(1, num_classes + 1)],
        "annotations": [{**record, "id": number} for number, record in enumerate(truth, 1)],
        "info": {},
    }
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
    evaluation.params.maxDets = list(MAX_DETECTIONS)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1]


def _mean(precision: Any) -> float:
    known = precision[precision > -1]
    return float(np.mean(known)) if known.size else 0.0

# SPDX-License-Identifier: Apache-2.0
"""More scorers of lmms-eval and VLMEvalKit, as `peers` has them: CC-OCR, Point-Bench, RefCOCO, ScreenSpot, ODinW."""

from __future__ import annotations

import contextlib
import copy
import io
import types
from collections.abc import Mapping
from typing import Any

from tests.interop.peers import Scorer, kit, lmms


def kit_cc_ocr(answer: str, truth: Mapping[str, Any]) -> float:
    """The authors' own code, which VLMEvalKit carries: the score of a set of one item."""
    rules = kit("utils.ccocr_evaluator").evaluator_map_info[truth["track"]]
    known = {"dataset": truth["subset"], "group": truth["track"], "op": truth["kind"]}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _, found = rules({"a.jpg": answer}, {"a.jpg": copy.deepcopy(truth["answer"])}, **known)
    names = {"kie": "f1_score", "doc_parsing": "score"}
    return float(found["summary"][names.get(truth["track"], "macro_f1_score")])


def lmms_cc_ocr(answer: str, truth: Mapping[str, Any]) -> float:
    """Their copy of that code: the score of a set of one item."""
    track, gold = truth["track"], truth["answer"]
    known = {"track": track, "op": truth["kind"], "subset": truth["subset"], "image_name": "a.jpg"}
    result = {**known, "pred": answer, "gt": gold}
    if track == "kie":
        rules = lmms("cc_ocr.evaluators.kie_metric")
        said, there = rules._parse_pred_and_gt(result)
        return float(rules._cal_f1_over_samples({"a.jpg": said}, {"a.jpg": there}))
    if track == "doc_parsing":
        return float(
            lmms("cc_ocr.evaluators.doc_parsing_metric").compute_op([result], truth["kind"])
        )
    return float(lmms("cc_ocr.evaluators.ocr_metric").compute_track([result], "macro_f1"))


def lmms_pointbench(answer: str, truth: Mapping[str, Any]) -> float:
    """Right or wrong, in the variant that reads Qwen's own form."""
    return float(_pointbench(answer, truth)["pointbench_binary_acc"]["score"])


def lmms_pointbench_share(answer: str, truth: Mapping[str, Any]) -> float:
    """The share of points that lie inside, in the same variant."""
    return float(_pointbench(answer, truth)["pointbench_acc"]["accuracy"])


def _pointbench(answer: str, truth: Mapping[str, Any]) -> Mapping[str, Any]:
    """Their rule with a mask that is given instead of fetched."""
    import numpy as np

    lengths = truth["mask"]
    runs = np.asarray(lengths["runs"])
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    module = lmms("pointbench.utils")
    module._load_mask = lambda _: flat.reshape(lengths["height"], lengths["width"])
    category = "counting" if truth["is_count"] else "spatial"
    doc = {"mask_filename": "m.png", "category": category, "count": truth["count"]}
    done: Mapping[str, Any] = module.pointbench_process_results_json(doc, [answer])
    return done


def kit_refcoco(answer: str, truth: Mapping[str, Any]) -> float:
    import numpy as np

    rules = kit("refcoco").RefCOCODataset
    said = rules._parse_prediction(answer)
    there = rules._to_absolute(said, *truth["size"]) if said is not None else None
    if there is None:
        return 0.0
    return float(rules._compute_iou(there, np.asarray(truth["box"], dtype=float)))


def kit_screenspot(answer: str, truth: Mapping[str, Any]) -> float:
    """Their rule reads a table and a picture and writes a file; it gets a table of one row, and a picture's size."""
    import pandas

    module = kit("GUI.screenspot")
    x1, y1, x2, y2 = truth["box"]
    place = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
    row = {"bbox": place, "prediction": answer, "image_path": "a.png", "question": "click"}
    module.load = lambda _: pandas.DataFrame([{**row, "data_type": "text", "data_source": "ios"}])
    module.dump = lambda *_: None
    module.Image = types.SimpleNamespace(
        open=lambda _: types.SimpleNamespace(size=tuple(truth["size"]))
    )
    rules = module.ScreenSpot.__new__(module.ScreenSpot)
    rules.img_root = ""
    return float(rules.evaluate_point("one.xlsx")["Overall_Accuracy"]) / 100


def lmms_screenspot(answer: str, truth: Mapping[str, Any]) -> float:
    """The middle of the box that was said lies in the truth, in their task that asks for a box."""
    width, height = truth["size"]
    box = [value / (height if at % 2 else width) for at, value in enumerate(truth["box"])]
    known = {"file_name": "a.png", "instruction": "click", "data_type": "text"}
    doc = {**known, "bbox": box, "data_source": "ios"}
    module = lmms("screenspot.utils_rec")
    done = module.screenspot_rec_process_result(doc, [answer])["screenspot_Center_ACC"]
    return float(module.compute_center_accuracy(done["bbox"], done["pred"]))


def lmms_odinw13_read(answer: str, truth: Mapping[str, Any]) -> float:
    """Average precision of one picture, from the words of an answer."""
    module = lmms("odinw13.utils")
    width, height = truth["size"]
    doc = {
        "image_id": 1,
        "image_width": width,
        "image_height": height,
        "dataset_name": "x",
        "categories": truth["names"],
        "labels": [label for label, _ in truth["gold"]],
        "bboxes": [box for _, box in truth["gold"]],
    }
    record = module.odinw13_process_results(doc, [answer])["odinw13_IoU"]
    with contextlib.redirect_stdout(io.StringIO()):
        return float(module._coco_eval_one_dataset([record])["mAP"])


SCORERS: dict[str, Scorer] = {
    name: value
    for name, value in list(globals().items())
    if name.startswith(("lmms_", "kit_")) and callable(value)
}

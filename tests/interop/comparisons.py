# SPDX-License-Identifier: Apache-2.0
"""Everything that is compared."""

from __future__ import annotations

from tests.interop import draws_ccocr as ccocr
from tests.interop import draws_letters as letters
from tests.interop import draws_maths as maths
from tests.interop import draws_mega as mega
from tests.interop import draws_mega_places as mega_places
from tests.interop import draws_ocr as ocr
from tests.interop import draws_places as places
from tests.interop import draws_points as points
from tests.interop import draws_text as text
from tests.interop.compare import Comparison
from tests.interop.ours import (
    average_precision,
    average_precision_read,
    equal,
    equal_tight,
    mega_field,
    read_by,
    scored_by,
)
from tests.interop.pairs import Draw

SHORT_ANSWERS = (
    Comparison("ANLS", "lmms_anls", scored_by("docvqa", "anls"), text.with_alternatives),
    Comparison("ANLS", "kit_anls", scored_by("infovqa", "anls"), text.with_alternatives),
    Comparison(
        "ANLS, raw lengths",
        "lmms_anls",
        scored_by("docvqa", "anls_raw_lengths"),
        text.with_alternatives,
        is_copy=True,
    ),
    Comparison(
        "ANLS, raw lengths",
        "kit_anls",
        scored_by("infovqa", "anls_raw_lengths"),
        text.with_alternatives,
        is_copy=True,
    ),
    Comparison(
        "relaxed accuracy", "lmms_relaxed", scored_by("chartqa", "score"), text.short_answer
    ),
    Comparison("relaxed accuracy", "kit_relaxed", scored_by("chartqa", "score"), text.short_answer),
    Comparison("VQA accuracy", "lmms_vqa", scored_by("textvqa", "score"), text.ten_people),
    Comparison("VQA accuracy", "kit_vqa", scored_by("textvqa", "score"), text.ten_people),
    Comparison("OCRBench", "lmms_ocrbench", scored_by("ocrbench", "score"), text.ocr_word),
    Comparison("OCRBench", "kit_ocrbench", scored_by("ocrbench", "score"), text.ocr_word),
)

V2 = scored_by("ocrbench_v2_en", "score")
V2_TYPES: dict[str, Draw] = {
    "questions": ocr.question,
    "counting": ocr.counting,
    "grounding": ocr.grounding,
    "questions with places": ocr.question_with_place,
    "spotting": ocr.spotting,
    "pages": ocr.page,
    "key information": ocr.fields,
    "formulas": ocr.formula,
    "handwriting": ocr.handwritten,
    "documents": ocr.document,
    "tables": ocr.table,
    "charts": ocr.chart,
}
READING = tuple(
    Comparison(f"OCRBench v2, {name}", "lmms_ocrbench_v2", V2, draw)
    for name, draw in V2_TYPES.items()
)
CC_OCR = tuple(
    Comparison(f"CC-OCR, {name}", rule, scored_by("cc_ocr", "score"), draw)
    for name, draw in ccocr.TRACKS.items()
    for rule in ("kit_cc_ocr", "lmms_cc_ocr")
)

RULES = (
    Comparison("MMMU", "lmms_mmmu", read_by("mmmu", "mmmu-lmms"), letters.many_options),
    Comparison(
        "MMMU, short answers", "lmms_mmmu_open", scored_by("mmmu", "correct"), letters.short_word
    ),
    Comparison(
        "MMMU, short answers",
        "lmms_mmmu_open_task",
        scored_by("mmmu", "correct"),
        letters.short_word,
    ),
    Comparison("MMMU-Pro", "lmms_mmmu_pro", read_by("mmmu_pro_standard"), letters.many_options),
    Comparison(
        "rule can-infer",
        "kit_can_infer",
        read_by("mmbench_en", "can-infer"),
        letters.options,
        is_copy=True,
    ),
    Comparison(
        "rule lmms-letter-ai2d",
        "lmms_ai2d",
        read_by("ai2d", "lmms-letter-ai2d"),
        letters.options,
        is_copy=True,
    ),
    Comparison(
        "rule lmms-letter-muirbench",
        "lmms_muirbench",
        read_by("muirbench", "lmms-letter-muirbench"),
        letters.options,
        is_copy=True,
    ),
    Comparison(
        "rule lmms-letter-blink",
        "lmms_blink",
        read_by("blink", "lmms-letter-blink"),
        letters.options,
        is_copy=True,
    ),
    Comparison(
        "rule videomme-letter",
        "kit_videomme",
        read_by("video_mme", "videomme-letter"),
        letters.options,
        is_copy=True,
    ),
)
ROBUST = {
    "MMBench, MMStar, SEED-2-Plus by VLMEvalKit": ("mmbench_en", "kit_can_infer"),
    "MMStar": ("mmstar", "lmms_mmstar"),
    "RealWorldQA": ("realworldqa", "lmms_realworldqa"),
    "AI2D": ("ai2d", "lmms_ai2d"),
    "MuirBench": ("muirbench", "lmms_muirbench"),
    "BLINK": ("blink", "lmms_blink"),
    "SEED-Bench-2-Plus": ("seed_bench_2_plus", "lmms_seedbench_2_plus"),
    "Video-MME": ("video_mme", "lmms_videomme"),
    "Video-MME by VLMEvalKit": ("video_mme", "kit_videomme"),
    "LVBench": ("lvbench", "lmms_lvbench"),
    "MLVU": ("mlvu", "lmms_mlvu"),
    "Video-MMMU": ("video_mmmu", "lmms_videommmu"),
    "LongVideoBench": ("longvideobench", "lmms_longvideobench"),
    "LongVideoBench by VLMEvalKit": ("longvideobench", "kit_longvideobench"),
    "MVBench": ("mvbench", "lmms_mvbench"),
    "MVBench by VLMEvalKit": ("mvbench", "kit_mvbench"),
}
OPTIONS = (
    *(
        Comparison(name, rule, read_by(task), letters.options)
        for name, (task, rule) in ROBUST.items()
    ),
    Comparison("EgoSchema", "lmms_egoschema", read_by("egoschema"), letters.five_options),
)
TEMPCOMPASS = scored_by("tempcompass", "correct")
VIDEO = tuple(
    Comparison(f"TempCompass, {name}", rule, TEMPCOMPASS, draw)
    for name, draw in (("options", letters.labelled), ("yes or no", letters.yes_or_no))
    for rule in ("lmms_tempcompass", "kit_tempcompass")
)
COUNTS = tuple(
    Comparison("CountBench", rule, scored_by("countbench", "correct"), letters.number_of_things)
    for rule in ("lmms_countbench", "lmms_countbenchqa")
)

MATHS = (
    Comparison(
        "MATH-Vision", "lmms_mathvision", scored_by("mathvision", "correct"), maths.solution
    ),
    Comparison("MATH-Vision, equality", "lmms_is_equal", equal, maths.equality),
    Comparison("MATH-Vision, equality to a millionth", "kit_is_equal", equal_tight, maths.equality),
    Comparison("MathVista", "lmms_mathvista", scored_by("mathvista", "correct"), maths.vista),
)
PLACES = (
    Comparison("Charades-STA", "lmms_charades", scored_by("charades_sta", "iou"), places.interval),
    Comparison(
        "rule lmms-interval",
        "lmms_charades",
        scored_by("charades_sta", "iou", "lmms-interval"),
        places.interval,
        is_copy=True,
    ),
    Comparison("RefCOCO", "lmms_refcoco", scored_by("refcoco_val", "iou"), places.box),
    Comparison("RefCOCO", "kit_refcoco", scored_by("refcoco_val", "iou"), points.box),
    Comparison("Point-Bench", "lmms_pointbench", scored_by("point_bench", "correct"), points.many),
    Comparison(
        "Point-Bench, share inside",
        "lmms_pointbench_share",
        scored_by("point_bench", "inside"),
        points.many,
    ),
    Comparison("ScreenSpot", "kit_screenspot", scored_by("screenspot", "hit"), places.point),
    Comparison("ScreenSpot, boxes", "lmms_screenspot", scored_by("screenspot", "hit"), points.box),
    Comparison(
        "ScreenSpot v2", "lmms_screenspot_v2", scored_by("screenspot_v2", "hit"), places.point
    ),
    Comparison(
        "ScreenSpot-Pro",
        "lmms_screenspot_pro",
        scored_by("screenspot_pro", "hit"),
        places.point,
    ),
    Comparison("ODinW-13", "lmms_odinw13_read", average_precision_read, points.labelled_boxes),
    Comparison("average precision", "lmms_odinw13", average_precision, places.detections),
)

MEGA_FAMILIES: dict[str, Draw] = {
    "strings": mega.string,
    "numbers": mega.number,
    "sets": mega.item_set,
    "sequences": mega.sequence,
    "objects": mega.mapping,
    "places": mega_places.place,
    "formulas": mega.formula,
}
MEGA = (
    *(
        Comparison(f"MEGA-Bench, {name}", "kit_mega", mega_field, draw)
        for name, draw in MEGA_FAMILIES.items()
    ),
    Comparison(
        "MEGA-Bench, whole answers",
        "kit_mega_answer",
        scored_by("mega_bench", "score"),
        mega.reply,
    ),
)

COMPARISONS = (
    *SHORT_ANSWERS,
    *READING,
    *CC_OCR,
    *RULES,
    *OPTIONS,
    *VIDEO,
    *COUNTS,
    *MATHS,
    *PLACES,
    *MEGA,
)

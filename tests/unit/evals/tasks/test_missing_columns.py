# SPDX-License-Identifier: Apache-2.0
"""A copy that lacks a column of its benchmark is refused, and the columns it has are named."""

from __future__ import annotations

import pytest

from finesight.errors import EvalError
from finesight.evals.core import registry
from tests.support.benchmark_copies import items

COPIES = {
    "ai2d": "AI2D_TEST.tsv",
    "aitz": "test/a/b.json",
    "android_control_high": "android_control.jsonl",
    "blink": "val.jsonl",
    "cc_ocr": "a.jsonl",
    "charades_sta": "test.jsonl",
    "chartqa": "test.jsonl",
    "countbench": "test.jsonl",
    "docvqa": "validation.jsonl",
    "egoschema": "test.jsonl",
    "infovqa": "validation.jsonl",
    "longvideobench": "val.jsonl",
    "lvbench": "test.jsonl",
    "mathverse": "testmini.json",
    "mega_bench": "test.jsonl",
    "mlvu": "json/4_count.json",
    "mmbench_en": "MMBench_DEV_EN.tsv",
    "mmstar": "MMStar.tsv",
    "muirbench": "test.jsonl",
    "mvbench": "json/action_count.json",
    "ocrbench": "test.jsonl",
    "ocrbench_v2_en": "OCRBench_v2.json",
    "omnidocbench_en": "OmniDocBench.json",
    "point_bench": "data.jsonl",
    "point_grounding": "test.jsonl",
    "realworldqa": "RealWorldQA.tsv",
    "refcoco_val": "val.jsonl",
    "screenspot": "test.jsonl",
    "screenspot_pro": "test.jsonl",
    "screenspot_v2": "test.jsonl",
    "seed_bench_2_plus": "SEEDBench2_Plus.tsv",
    "tempcompass": "multi-choice/test.jsonl",
    "textvqa": "validation.jsonl",
    "video_mme": "test.jsonl",
    "video_mmmu": "Perception/test.jsonl",
}
TEXTS = {
    "tsv": "strange\tother\n1\t2\n",
    "jsonl": '{"strange": 1}\n',
    "json": '[{"strange": 1}]',
}


@pytest.mark.parametrize("name", COPIES)
def test_a_missing_column_is_named(tmp_path, name):
    path = tmp_path / COPIES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXTS[path.suffix.removeprefix(".")])
    with pytest.raises(EvalError, match=r"no column .* Found: strange"):
        items(registry.task(name), tmp_path)

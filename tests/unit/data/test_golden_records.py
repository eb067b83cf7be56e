# SPDX-License-Identifier: Apache-2.0
"""Records of fixed seeds do not change when builders share more code: a data set can always be drawn again.

Answers, places and sizes are compared exactly, pixels by their mean and spread, because rasterisers differ between
versions of Pillow. `--update-golden` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from finesight.data.build import PartConfig, make_builder, seed_of

GOLDEN = Path(__file__).parents[2] / "golden" / "data" / "records.json"
PARTS = {
    "text": {"difficulty": 0.8, "turned_share": 0.5},
    "sheets": {"difficulty": 0.8},
    "scenes": {"difficulty": 0.8},
}


def drawn(assets, builder: str) -> list[dict[str, object]]:
    part = {"builder": builder, "name": "p", "num_records": 1, "options": PARTS[builder]}
    made = make_builder(TypeAdapter(PartConfig).validate_python(part), assets)
    rows = []
    for index in range(8):
        record = made.record(f"r{index}", seed_of(7, builder, 0, index))
        truth = record.truth[0]
        glyphs = [
            [glyph.char, round(glyph.x, 1), round(glyph.y, 1)] for glyph in truth.glyphs or ()
        ]
        rows.append(
            {
                "turns": [list(turn) for turn in record.turns],
                "shape": list(record.picture.shape),
                "glyphs": glyphs,
                "objects": [[list(thing.box), thing.name] for thing in truth.objects or ()],
                "mean": float(record.picture.mean()),
                "spread": float(record.picture.std()),
            }
        )
    return rows


@pytest.mark.parametrize("builder", PARTS)
def test_records_of_a_seed_stay(assets, builder, update_golden):
    rows = drawn(assets, builder)
    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    if update_golden:
        text = json.dumps(known | {builder: rows}, ensure_ascii=False, sort_keys=True) + "\n"
        GOLDEN.write_text(text, encoding="utf-8")
        return
    assert len(rows) == len(known[builder])
    for now, before in zip(rows, known[builder], strict=True):
        for key in ("mean", "spread"):
            assert now.pop(key) == pytest.approx(before.pop(key), abs=0.5)
        assert now == before

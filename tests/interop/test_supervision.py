# SPDX-License-Identifier: Apache-2.0
"""`supervision`, in an environment of its own, takes the arrays of what was located and reads the files of YOLO."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from finesight.apps.evidence import Coverage, Evidence, Score
from finesight.apps.grounding import export
from finesight.apps.grounding.records import Located, Sought, Thing
from finesight.geometry import Box, Size

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
PROGRAM = """
import json, sys
import numpy as np, supervision as sv
given = json.loads(sys.argv[1])
arrays = {key: np.array(given[key]) for key in ("xyxy", "confidence", "class_id")}
data = {key: np.array(value) for key, value in given["data"].items()}
made = sv.Detections(**arrays, data=data)
folder = sys.argv[2]
read = sv.DetectionDataset.from_yolo(f"{folder}/images", f"{folder}/labels", f"{folder}/data.yaml")
coco = sv.DetectionDataset.from_coco(f"{folder}/images", f"{folder}/coco.json")
voc = sv.DetectionDataset.from_pascal_voc(f"{folder}/images", f"{folder}/voc")
rows = {"made": made}
for name, found in (("yolo", read), ("coco", coco), ("voc", voc)):
    (rows[name],) = [one for _, _, one in found]
classes = {"made": None, "yolo": read.classes, "coco": coco.classes, "voc": voc.classes}
print(json.dumps({name: {"xyxy": one.xyxy.tolist(), "names": [str(n) for n in one.data["class_name"]]
                         if classes[name] is None else [classes[name][i] for i in one.class_id]}
                  for name, one in rows.items()}))
"""
BOXES = {"cat": [(10.25, 20.5, 110, 90), (200, 5, 319.5, 239)], "dog": [(0, 0, 50, 60)]}


def test_arrays_and_files_are_what_was_located(tmp_path):
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: run scripts/clients-venv.sh with the interpreter of the tests")
    sought = tuple(
        Sought(
            phrase=name,
            status="found",
            things=tuple(
                Thing(label=name, evidence=Evidence(box=Box(*one)), score=Score(0.5, "logprob"))
                for one in boxes
            ),
        )
        for name, boxes in BOXES.items()
    )
    coverage = Coverage(unit="tiles", total=1, seen=(0,))
    located = Located(source="a.png", size=Size(320, 240), sought=sought, coverage=coverage)
    export.write([located], tmp_path, ["yolo", "coco", "voc"])
    (tmp_path / "images").mkdir()
    Image.new("RGB", (320, 240)).save(tmp_path / "images" / "a.png")
    arrays = json.dumps(located.to_supervision())
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, arrays, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    truth = sorted((name, box) for name, boxes in BOXES.items() for box in boxes)
    for how, found in json.loads(done.stdout.splitlines()[-1]).items():
        rows = sorted(zip(found["names"], found["xyxy"], strict=True))
        assert [name for name, _ in rows] == [name for name, _ in truth], how
        for (_, box), (_, edges) in zip(rows, truth, strict=True):
            real = edges
            if how == "voc":  # its reader gives the last pixel, not the edge after it
                real = (*real[:2], real[2] - 1, real[3] - 1)
            assert max(abs(a - b) for a, b in zip(box, real, strict=True)) <= 0.5, how

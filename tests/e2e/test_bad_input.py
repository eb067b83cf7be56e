# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a copy, an endpoint or an answer: it is counted under a reason, shown, and stops nothing."""

from __future__ import annotations

import json
from functools import partial

import pytest

from finesight.evals.core import registry
from finesight.evals.core.scoring import REASONS
from finesight.remote import client
from tests.support.benchmark_copies import parquet, save
from tests.support.fake_endpoint import completion, serving
from tests.support.toy_eval import TOY, write_copy

PLACES = "refcoco_val"
RIGHT = '[{"bbox_2d": [5, 2, 10, 22], "label": "cup"}]'
ANSWERS = {
    "a right one": (RIGHT, 1.0),
    "100 KB of it": ("[5, 2, 10, 22] " * 7000, 1.0),
    "100 KB of noise": ("x" * 100_000, 0.0),
    "a box of NaN": ('[{"bbox_2d": [NaN, NaN, 10, 22], "label": "cup"}]', 0.0),
    "corners in another order": ("[10, 22, 5, 2]", 1.0),
    "an endless number": (f"[{'9' * 5000}, 2, 10, 22]", 0.0),
    "half a list": ('[{"bbox_2d": [5, 2, 10', 0.0),
    "nothing": ("", 0.0),
}


def row(number, **changes):
    """A cup in a picture of its own."""
    name = f"{number}.png"
    box = [5.0, 2.0, 5.0, 20.0]
    good = {"question_id": str(number), "image": name, "answer": f"cup {number}", "bbox": box}
    return good | {"file_name": name} | changes


def write(folder, rows):
    lines = [each if isinstance(each, str) else json.dumps(each) for each in rows]
    (folder / "val.jsonl").write_text("\n".join(lines) + "\n")
    for number in range(20):
        save(folder / f"{number}.png", number)


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that an endpoint was waited for; nobody waits."""
    waited = []
    patient = partial(client.Endpoint, sleep=waited.append)
    monkeypatch.setattr(client, "Endpoint", patient)
    return waited


def asked_of(server, task, *more, data="copy"):
    endpoint = ("--endpoint", server.url, "--endpoint-model", "m", "--space", "original")
    return ("eval", "run", task, "--data", data, "--out", "out", *endpoint, *more)


def samples(folder):
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return {each["id"]: each for each in map(json.loads, lines)}


def test_answers_that_nobody_wants(finesight, tmp_path):
    (tmp_path / "copy").mkdir()
    write(tmp_path / "copy", [row(number) for number in range(len(ANSWERS))])
    with serving() as server:
        server.script = [(200, completion(text), {}) for text, _ in ANSWERS.values()]
        outcome = finesight(*asked_of(server, PLACES))
    assert outcome.code == 0, outcome.err
    found = samples(tmp_path / "out" / PLACES)
    assert [each["error"] for each in found.values()] == [None] * len(ANSWERS)
    hits = dict(zip(ANSWERS, (each["parts"]["hit"] for each in found.values()), strict=True))
    assert hits == {name: hit for name, (_, hit) in ANSWERS.items()}
    assert [each["text"] for each in found.values()] == [text for text, _ in ANSWERS.values()]
    assert finesight("eval", "report", "out", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "(the answer is empty)" in page
    assert len(page) < 300_000  # long answers are cut in the page, not in the file


def test_rows_that_cannot_be_used(finesight, tmp_path):
    """A missing picture, broken rows, boxes that are none, an id twice; eight good rows are scored."""
    (tmp_path / "copy").mkdir()
    bad = [
        row(8, image="missing.png", file_name="missing.png"),
        '{"question_id": "9", ',
        row(10, bbox=None),
        row(11, bbox=[1.0, 2.0, 3.0]),
        '{"question_id": "12", "image": "12.png", "answer": "cup", "bbox": [NaN, 2, 3, 4]}',
        row(13, bbox="[1, 2, x, 4]"),
        row(0),
        "[1, 2]",
        row(14, image=None),
    ]
    write(tmp_path / "copy", [*(row(number) for number in range(8)), *bad])
    with serving() as server:
        server.script = [(200, completion(RIGHT), {})]
        outcome = finesight(*asked_of(server, PLACES))
    assert outcome.code == 0, outcome.err
    result = json.loads((tmp_path / "out" / PLACES / "result.json").read_text())
    assert result["errors"] == {"broken_row": 7, "duplicate_id": 1, "missing_media": 1}
    assert result["n"] == 9  # the missing picture is a question, and it is not answered
    assert result["metrics"]["acc@0.5"] == pytest.approx(8 / 9)
    assert outcome.out.endswith("failed: broken_row 7, duplicate_id 1, missing_media 1\n")
    assert finesight("eval", "report", "out", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    for reason in result["errors"]:
        assert f"{REASONS[reason]} ({reason}): {result['errors'][reason]}" in page
    assert "missing.png" in page


@pytest.mark.parametrize("task", ["docvqa", "mmmu", "screenspot_pro", "charades_sta", "pubtabnet"])
def test_a_column_that_is_missing_names_those_that_are_there(finesight, tmp_path, task):
    """Whatever file of the stated layout is there, its columns are listed."""
    (tmp_path / "copy").mkdir()
    names = {
        "docvqa": "DocVQA_VAL.tsv",
        "mmmu": "MMMU_DEV_VAL.tsv",
        "screenspot_pro": "annotations/odd.json",
        "charades_sta": "test-00000-of-00001.parquet",
        "pubtabnet": "PubTabNet_Examples.jsonl",
    }
    path = tmp_path / "copy" / names[task]
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        parquet(path, [{"strange": "1"}])
    else:
        rows = {".tsv": "strange\n1\n", ".json": '[{"strange": 1}]', ".jsonl": '{"strange": 1}\n'}
        path.write_text(rows[path.suffix])
    with serving() as server:
        outcome = finesight(*asked_of(server, task))
    assert outcome.code != 0
    assert "strange" in outcome.err
    assert "no column" in outcome.err


@pytest.fixture
def toy(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "tasks", lambda *package: {"toy": TOY})
    return write_copy(tmp_path / "copy.jsonl", range(6))


def test_an_endpoint_that_dies(finesight, toy, tmp_path, pauses):
    """What it did not answer is counted, and asked again on demand."""
    with serving() as server:
        server.script = [*[(200, completion("It is 0."), {})] * 3, "hang up"]
        outcome = finesight(*asked_of(server, "toy", data="copy.jsonl"))
        assert outcome.code == 0, outcome.err
        assert "n=6" in outcome.out
        assert outcome.out.endswith("failed: endpoint 3\n")
        assert len(pauses) == 3 * 5
        assert finesight("eval", "report", "out", "--out", "page.html").code == 0
        assert REASONS["endpoint"] in (tmp_path / "page.html").read_text()

        server.script = [(200, completion("It is 8."), {})]
        num_before = len(server.requests)
        outcome = finesight(*asked_of(server, "toy", "--retry-errors", data="copy.jsonl"))
        assert len(server.requests) == num_before + 3
    assert outcome.code == 0
    assert "failed" not in outcome.out
    assert [each["text"] for each in samples(tmp_path / "out" / "toy").values()] == (
        ["It is 0."] * 3 + ["It is 8."] * 3
    )


def test_an_endpoint_that_is_dead_gives_no_score(finesight, toy, tmp_path, pauses):
    with serving() as server:
        server.script = ["hang up"]
        outcome = finesight(*asked_of(server, "toy", data="copy.jsonl"))
    assert outcome.code == 1
    assert "had failed 5 times in a row" in outcome.err
    assert "--retry-errors" in outcome.err
    assert len(server.requests) == 5 * 6

    write_copy(tmp_path / "short.jsonl", range(4))
    with serving() as server:
        server.script = ["hang up"]
        outcome = finesight(*asked_of(server, "toy", data="short.jsonl"))
    assert outcome.code == 1
    assert "none of 4 items of toy was answered" in outcome.err
    assert "--retry-errors" in outcome.err


def test_an_endpoint_that_asks_for_patience(finesight, toy, pauses):
    """429 with Retry-After is waited for as long as it says, within reason, and nothing is lost."""
    limited = [(429, b"slow down", {"Retry-After": 9}), (429, b"", {"Retry-After": 900})]
    with serving() as server:
        server.script = [*limited, (200, completion("It is 0."), {})]
        outcome = finesight(*asked_of(server, "toy", data="copy.jsonl"))
    assert outcome.code == 0
    assert "failed" not in outcome.out
    assert pauses == [9.0, 60.0]


def test_stretches_of_time_that_are_none(finesight, tmp_path):
    """Ends in the wrong order in the copy and in answers, and ends that are no numbers."""
    said = {
        "0.mp4": ("from 8.0 to 2.0", [2.0, 8.0], 1.0),
        "1.mp4": ("[NaN, 8.0]", [2.0, 8.0], 0.0),
        "2.mp4": ("2.0 - 8.0", [8.0, 2.0], 1.0),
        "3.mp4": ("5 - 5", [2.0, 8.0], 0.0),
        "4.mp4": ("at 99:99 o'clock", [2.0, 8.0], 0.0),
    }
    rows = [
        {"video": name, "caption": "sits", "timestamp": span} for name, (_, span, _) in said.items()
    ]
    rows += [
        {"video": "5.mp4", "caption": "sits", "timestamp": [float("nan"), 8.0]},
        {"video": "6.mp4", "caption": "sits", "timestamp": [2.0]},
        {"video": "7.mp4", "caption": "sits", "timestamp": None},
    ]
    parquet(tmp_path / "copy" / "test-00000-of-00001.parquet", rows)
    stored = {
        f"{name} {span[0]:g}-{span[1]:g} sits": {"text": text}
        for name, (text, span, _) in said.items()
    }
    (tmp_path / "said.json").write_text(json.dumps(stored))
    words = ("--data", "copy", "--out", "out", "--replay", "said.json", "--space", "original")
    outcome = finesight("eval", "run", "charades_sta", *words)
    assert outcome.code == 0, outcome.err
    found = samples(tmp_path / "out" / "charades_sta")
    overlaps = {name.split()[0]: each["parts"].get("iou") for name, each in found.items()}
    assert {name: overlaps[name] for name in said} == {
        name: overlap for name, (_, _, overlap) in said.items()
    }
    result = json.loads((tmp_path / "out" / "charades_sta" / "result.json").read_text())
    assert result["errors"] == {"broken_row": 3}
    assert result["n"] == 5

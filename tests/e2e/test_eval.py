# SPDX-License-Identifier: Apache-2.0
"""Benchmarks from the command line, with a toy benchmark and stored answers: run, rescore, compare, report."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.journal import Journal, write_samples
from tests.support.fake_endpoint import completion, serving
from tests.support.toy_eval import TOY, write_copy


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A benchmark of ten questions, stored right answers and stored half right ones."""
    monkeypatch.setattr(registry, "tasks", lambda *package: {"toy": TOY})
    write_copy(tmp_path / "toy.jsonl", range(10))
    right = {f"q{n}": f"It is {2 * n}." for n in range(10)}
    half = {name: text if n % 2 else "no idea" for n, (name, text) in enumerate(right.items())}
    (tmp_path / "right.json").write_text(json.dumps({k: {"text": v} for k, v in right.items()}))
    (tmp_path / "half.json").write_text(json.dumps({k: {"text": v} for k, v in half.items()}))
    return tmp_path


def words(stored="right.json", out="out"):
    given = ("--data", "toy.jsonl", "--out", out, "--replay", stored, "--space", "original")
    return ("eval", "run", "toy", *given)


def test_stored_answers_are_scored(finesight, toy):
    outcome = finesight(*words())
    assert outcome.code == 0
    assert outcome.out == (
        "toy: accuracy 100.00 [100.00, 100.00], n=10, not read 0.0%, cut short 0.0%\n"
    )
    files = sorted(path.name for path in (toy / "out" / "toy").iterdir())
    assert files == ["result.json", "run.json", "samples.jsonl"]


def test_a_log_of_another_harness_is_scored(finesight, toy):
    lines = [{"doc_id": n, "target": "0", "filtered_resps": f"It is {2 * n}."} for n in range(9)]
    (toy / "samples_toy.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    outcome = finesight(*words("samples_toy.jsonl"))
    assert outcome.out.startswith("toy: accuracy 90.00")
    assert "samples_toy.jsonl: 9 outputs logged by lmms-eval" in outcome.err
    assert "9 of 10 items have an output, matched by place in the split" in outcome.err
    assert "1 items without an output: q9" in outcome.err
    table = "\n".join(["index\tprediction", *(f"q{n}\t{2 * n}" for n in range(10))])
    (toy / "m_toy.tsv").write_text(f"{table}\n")
    outcome = finesight(*words("m_toy.tsv", "other"))
    assert outcome.out.startswith("toy: accuracy 100.00")
    assert "10 items have an output, matched by column index" in outcome.err
    assert finesight(*words("m_toy.tsv"), "--cache", "c").code == 2


def test_json_is_one_object(finesight, toy):
    outcome = finesight(*words("half.json"), "--json", "--limit", 4, "--prompt", "terse")
    (told,) = json.loads(outcome.out)["runs"]
    assert (told["task"], told["items"], told["asked"]) == ("toy", 4, 4)
    assert told["result"]["metrics"] == {"accuracy": 0.5}
    assert told["result"]["prompt"] == "terse"
    again = json.loads(finesight(*words("half.json"), "--json", "--prompt", "terse").out)["runs"][0]
    assert (again["items"], again["asked"]) == (10, 6)


def test_list(finesight, toy):
    assert finesight("eval", "list").out.split() == ["toy", "Toy", "(accuracy)"]
    described = json.loads(finesight("eval", "list", "--json").out)["tasks"][0]
    assert described["published"] == {"Qwen2.5-VL-7B": 58.6}
    details = finesight("eval", "list", "toy").out
    assert "files: a JSONL file with number" in details
    assert "note: numbers <only>" in details


def test_check(finesight, toy):
    outcome = finesight("eval", "check", "toy", "--data", "toy.jsonl")
    assert outcome.code == 0
    assert outcome.out == (
        "toy: 10 items: right answers 100.00, answers of others 0.00, silence 0.00\n"
    )


def test_a_check_fails_where_rows_are_lost(finesight, toy):
    with (toy / "toy.jsonl").open("a") as file:
        file.write('{\n{"number": null}\n{"number": null}\n{"number": 3}\n')
    outcome = finesight("eval", "check", "toy", "--data", "toy.jsonl", "--json")
    (found,) = json.loads(outcome.out)["checks"]
    assert (outcome.code, found["num_items"], len(found["broken"])) == (1, 10, 4)
    assert found["broken_by_reason"]["nothing in column number"] == 2
    assert found["broken_by_reason"]["its id occurs more than once"] == 1
    outcome = finesight("eval", "check", "toy", "--data", "toy.jsonl", "--extractor", "bad")
    assert outcome.code == 1
    assert "4 broken rows, the first: toy.jsonl, line 11: not JSON" in outcome.out
    assert "\n  2 rows: nothing in column number\n" in outcome.out
    assert "30 failures of rules, the first: q0: extractor: ZeroDivisionError" in outcome.out
    assert "toy: 4 of 14 rows cannot be used, 30 failures of rules" in outcome.err
    assert "finesight eval list NAME" in outcome.err


def test_a_check_of_a_copy_without_a_usable_row_says_why(finesight, toy):
    (toy / "toy.jsonl").write_text('{"number": null}\n')
    outcome = finesight("eval", "check", "toy", "--data", "toy.jsonl")
    assert outcome.code == 1
    assert "has no row that task toy can use: nothing in column number (1)" in outcome.err


def test_rescore_and_compare_and_report(finesight, toy):
    finesight(*words("half.json", "a"))
    finesight(*words("right.json", "b"))
    rescored = finesight("eval", "rescore", "a", "--extractor", "whole")
    assert rescored.out.startswith("toy: accuracy 0.00")
    assert finesight("eval", "rescore", "a").out.startswith("toy: accuracy 50.00")
    compared = finesight("eval", "compare", "a/toy", "b/toy")
    assert "accuracy 50.00 -> 100.00, difference +50.00" in compared.out
    assert "lost 0, gained 5, McNemar p = 0.0625" in compared.out
    assert json.loads(finesight("eval", "compare", "a/toy", "b/toy", "--json").out)["gained"] == 5
    outcome = finesight("eval", "report", "a", "b", "--out", "page.html")
    assert (outcome.code, outcome.err) == (0, "wrote page.html\n")
    page = (toy / "page.html").read_text()
    assert "What is 2 + 2?" in page
    assert "58.6" in page


def test_the_report_reads_pictures_from_the_copy(finesight, toy):
    Image.new("RGB", (30, 20), "red").save(toy / "a.png")
    (toy / "toy.jsonl").write_text('{"number": 0, "image": "a.png"}\n')
    finesight(*words("half.json"))
    (toy / "a.png").rename(toy / "moved.png")
    finesight("eval", "report", "out", "--out", "p.html")
    assert "data:image" not in (toy / "p.html").read_text().split("<body>")[1]
    (toy / "moved.png").rename(toy / "a.png")
    finesight("eval", "report", "out", "--out", "p.html", "--data", "toy.jsonl")
    assert "data:image" in (toy / "p.html").read_text().split("<body>")[1]


def test_shards(finesight, toy):
    for index in range(3):
        assert finesight(*words(), "--shard", f"{index}/3").code == 0
    assert finesight("eval", "rescore", "out").out.startswith("toy: accuracy 100.00")


def test_a_model_answers(finesight, toy, tiny_model_folder):
    given = ("--data", "toy.jsonl", "--out", "out", "--limit", 2, "--max-new-tokens", 3)
    who = ("--model", tiny_model_folder, "--cache", "kept", "--json")
    outcome = finesight("eval", "run", "toy", *given, *who, "--extractor", "whole")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)["runs"][0]["result"]
    assert result["settings"]["sampling"]["max_new_tokens"] == 3
    assert "float32" in result["responder"]
    assert len(list((toy / "kept").rglob("*.json"))) == 2
    unread = finesight("eval", "run", "toy", *given, "--model", tiny_model_folder)
    assert unread.code == 1
    assert "nothing could be read in any answer of toy (2)" in unread.err
    alone = (*given[:2], "--limit", 1, "--max-new-tokens", 3, "--model", tiny_model_folder)
    assert finesight("eval", "run", "toy", *alone, "--out", "alone").code == 0  # a look at it


def test_a_run_in_which_nothing_was_read_is_no_success(finesight, toy):
    """Scores are shown and kept, so that another rule can read the answers; some unread answers are no fault."""
    (toy / "mute.json").write_text(
        json.dumps({f"q{n}": {"text": "I cannot tell."} for n in range(10)})
    )
    outcome = finesight(*words("mute.json", "mute"))
    assert outcome.code == 1
    assert outcome.out.startswith("toy: accuracy 0.00 [0.00, 0.00], n=10, not read 100.0%")
    assert "nothing could be read in any answer of toy (10)" in outcome.err
    assert "'I cannot tell.'" in outcome.err
    assert finesight(*words("mute.json", "mute"), "--json").code == 1
    assert json.loads((toy / "mute" / "toy" / "result.json").read_text())["parse_fail_rate"] == 1
    assert finesight("eval", "rescore", "mute", "--extractor", "whole").code == 0
    assert finesight(*words("mute.json", "parts"), "--shard", "0/2").code == 1
    assert finesight(*words("half.json", "half")).code == 0
    failed = finesight(*words("mute.json", "bad"), "--extractor", "bad")
    assert failed.code == 1
    assert "nothing could be read" in failed.err


def test_a_run_that_could_not_begin_leaves_nothing(finesight, toy):
    (toy / "other.jsonl").write_text('{"name": "q0"}\n')
    (toy / "empty.jsonl").write_text("")
    wrong = {
        ("--data", "nowhere"): "no copy at nowhere",
        ("--data", "other.jsonl"): "no column",
        ("--data", "empty.jsonl"): "no item to score",
    }
    for options, said in wrong.items():
        failed = finesight(*words(), *options)
        assert failed.code == 1
        assert said in failed.err
        assert not (toy / "out").exists()


def test_settings_bind_a_folder_from_the_first_answer_on(finesight, toy):
    """What failed before it was answered, also with a result of zeros, stops no other run."""
    (toy / "strange.json").write_text(json.dumps({"another": {"text": "1"}}))
    failed = finesight(*words("strange.json"))
    assert failed.code == 1
    assert "none of 10 items of toy was answered" in failed.err
    done = finesight(*words(), "--prompt", "terse")
    assert done.code == 0, done.err
    assert done.out.startswith("toy: accuracy 100.00")
    refused = finesight(*words(), "--prompt", "paper")
    assert refused.code == 1
    assert "holds a run with prompt='terse', now it is 'paper'" in refused.err


def test_a_run_that_is_under_way_is_not_replaced(finesight, toy):
    """It has no answer yet, but its journal is open."""
    (toy / "strange.json").write_text(json.dumps({"another": {"text": "1"}}))
    finesight(*words("strange.json"))
    with Journal(toy / "out" / "toy" / "samples.jsonl"):
        refused = finesight(*words(), "--prompt", "terse")
    assert refused.code == 1
    assert "another process writes to" in refused.err


@pytest.mark.parametrize("place", ["right.json", "right.json/out", "/proc/nope", "x" * 300, "half"])
@pytest.mark.parametrize("option", ["--out", "--cache"])
def test_places_that_cannot_be_written_to_are_refused(finesight, toy, place, option):
    (toy / "half").mkdir()
    (toy / "half" / "toy").write_text("a file where the folder of the task belongs")
    place = "half/toy" if option == "--cache" and place == "half" else place
    before = sorted(toy.rglob("*"))
    refused = finesight(
        "eval", "run", "toy", "--data", "toy.jsonl", "--model", "tiny", option, place
    )
    assert refused.code == 2
    assert place[:160] in refused.err
    assert sorted(toy.rglob("*")) == before


def test_a_disk_that_fills_up_is_an_error_and_nothing_is_lost(finesight, toy, monkeypatch):
    """The lines before stay; the command goes on with the rest once there is room."""
    written = []

    def flush_or_fail(self, sample):
        if len(written) == 3:
            self._file = FullDisk(self._file)
        written.append(sample.id)
        return append(self, sample)

    append = Journal.append
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", flush_or_fail)
        failed = finesight(*words())
    assert failed.code == 1
    assert "out/toy/samples.jsonl cannot be written: No space left on device" in failed.err
    assert len((toy / "out" / "toy" / "samples.jsonl").read_text().splitlines()) == 3
    assert finesight(*words()).out.startswith("toy: accuracy 100.00 [100.00, 100.00], n=10")


class FullDisk:
    """A file that takes nothing any more."""

    def __init__(self, file):
        self._file = file

    def write(self, _):
        raise OSError(28, "No space left on device")

    def close(self):
        self._file.close()
        raise OSError(28, "No space left on device")


def test_answers_that_cannot_be_written_anew_leave_those_before(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text("before")

    class Full:
        def line(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(EvalError, match=r"samples\.jsonl cannot be written: No space left"):
        write_samples(path, [Full()])
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["samples.jsonl"]


WRONG = [
    (("eval", "run", "toyy", "--data", "x"), 2, "did you mean toy?"),
    ((*words(), "--model", "tiny"), 2, "both --model and --replay"),
    (words()[:-2], 2, "--replay needs --space"),
    ((*words(), "--prompt", "loud"), 2, "there are: paper, terse"),
    ((*words(), "--extractor", "loud"), 2, "there are: first-number, whole, bad"),
    ((*words(), "--shard", "4/4"), 2, "shards count from 0"),
    ((*words(), "--temperature", "-1"), 2, "temperature"),
    ((*words(), "--data", "nowhere"), 1, "there is no copy at nowhere"),
    ((*words()[:3], "--data", "toy.jsonl", "--workers", "2"), 2, "--workers 2 is for endpoints"),
    (
        (*words()[:3], "--data", "x", "--endpoint", "http://h/v1", "--space", "original"),
        2,
        "needs --endpoint-model",
    ),
    (("eval", "rescore", "."), 2, "holds no run"),
    (("eval", "compare", "a", "b"), 1, "run.json cannot be read"),
    (("eval", "--limit", "3", "list"), 2, "precede the command `list`"),
    (("eval",), 2, "needs held-out data"),
    (("eval", "--suite", "x", "--data", "y"), 2, "there are: card, offline, ocr-compare"),
    (("eval", "--suite", "ofline", "--data", "y"), 2, "did you mean offline?"),
    (("eval", "convert", "android-control", "a", "b"), 2, "did you mean android_control?"),
    (("eval", "run", "toy", "--data", "toy.jsonl", "--prompt", "papr"), 2, "there are: paper"),
]


@pytest.mark.parametrize(("line", "code", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_calls_are_named(finesight, toy, line, code, said):
    outcome = finesight(*line)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_an_endpoint_that_is_not_there_is_no_score(finesight, toy, monkeypatch):
    from finesight.remote import client

    monkeypatch.setattr(client.Endpoint, "_pause", lambda self, tried, asked: 0.0)
    given = ("--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m", "--space", "original")
    outcome = finesight("eval", "run", "toy", "--data", "toy.jsonl", *given, "--workers", 4)
    assert (outcome.code, outcome.out) == (1, "")
    assert (
        "http://127.0.0.1:9/v1 had failed 5 times in a row; the last: the connection to http://127.0.0.1:9/v1 failed"
        in outcome.err
    )
    assert "--retry-errors" in outcome.err
    assert not list(toy.rglob("result.json"))


def test_the_offline_suite_on_the_embedded_model(finesight, tmp_path):
    folder = tmp_path / "real" / "ocr_scans"
    folder.mkdir(parents=True)
    Image.new("L", (112, 56), 255).save(folder / "phototest.tif")
    (folder / "phototest.gold.txt").write_text("quick brown dog\n")
    given = ("--suite", "offline", "--real", "real", "--out", "out", "--limit", 1)
    done = finesight("eval", *given, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert [(row["row"], row["n"]) for row in content["rows"]] == [("ocr_scans", 1)]
    assert content["missing"]["pubtabnet"]["needs"] == ["pubtabnet"]
    assert len(content["missing"]) == 13
    assert (tmp_path / "out" / "offline.html").is_file()
    again = finesight("eval", *given)
    assert again.code == 0
    assert "ocr_scans" in again.out
    assert "mathvision_mini: not run, mathvision is not there: put a copy" in again.err


def test_two_systems_read_the_same_pictures(finesight, heldout, tmp_path):
    with serving() as server:
        server.script = [(200, completion("cat"), {})]
        given = ("--a", "tiny", "--endpoint", server.url, "--endpoint-model", "reader")
        words = ("eval", "--suite", "ocr-compare", *given, "--data", heldout, "--limit", 1)
        done = finesight(*words, "--out", "out", "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert list(content["systems"]) == ["a", "endpoint"]
    rows = {row["row"]: row for row in content["rows"]}
    assert rows["all"]["n"] == 8
    assert rows["kind text"]["cer_second"] == 0.0
    assert rows["kind json"]["cer_second"] == 1.0
    assert rows["all"]["says"] == "too few pictures: 1"
    assert content["failures"][1]["not_json"] == 1
    assert (tmp_path / "out" / "ocr_compare.html").is_file()


def test_a_comparison_needs_two(finesight, heldout):
    done = finesight("eval", "--suite", "ocr-compare", "--a", "tiny", "--data", "x", "--out", "y")
    assert done.code == 2
    assert "needs two systems, got a" in done.err
    done = finesight("eval", "--suite", "ocr-compare", "--a", "tiny", "--b", "tiny", "--out", "y")
    assert done.code == 2
    assert "needs --out and --data or --real" in done.err


LEAVES_NOTHING = {
    "screens without pages": (("screens", "--real", "nope", "--out", "out"), "has no miniwob"),
    "screens with half of the pages": (("screens", "--real", "half", "--out", "out"), "holds none"),
    "no records": (("convert", "android_control", "half", "out"), "splits.json cannot be read"),
    "an unknown system": (
        (
            "--suite",
            "ocr-compare",
            "--a",
            "tiny",
            "--b",
            "./no",
            "--data",
            "heldout",
            "--out",
            "out",
        ),
        "there is no model folder './no'",
    ),
    "no text": (
        ("--suite", "ocr-compare", "--a", "tiny", "--b", "tiny", "--real", "half", "--out", "out"),
        "there is no text to be read",
    ),
    "a card of empty folders": (("--real", "half", "--out", "out"), "nothing to score in half"),
    "a suite of empty folders": (
        ("--suite", "offline", "--real", "half", "--out", "out"),
        "holds none of the folders",
    ),
    "nobody's episodes": (
        ("live", "miniwob", "--data", "half", "--replay", "no.jsonl", "--out", "out"),
        "no.jsonl",
    ),
    "no pages to play on": (("live", "miniwob", "--data", "half", "--out", "out"), "no pages"),
}


@pytest.mark.parametrize("fault", LEAVES_NOTHING)
def test_what_fails_at_once_leaves_nothing(finesight, heldout, tmp_path, fault):
    (tmp_path / "half" / "miniwob" / "miniwob").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    words, said = LEAVES_NOTHING[fault]
    failed = finesight("eval", *words)
    assert failed.code == 1, failed.err
    assert said in failed.err
    assert sorted(tmp_path.rglob("*")) == before

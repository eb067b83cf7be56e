# SPDX-License-Identifier: Apache-2.0
"""A batch loses nothing, doubles nothing and computes equal requests once; the engine is scripted."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import tracemalloc
from itertools import islice
from types import SimpleNamespace

import pytest

from finesight.api.batch import Batch
from finesight.conversation import Sampling, TextPart
from finesight.errors import ConfigError, EngineError, FinesightError
from tests.support.replies import reply


class Echo:
    """Answers with the last text; "fail" is an error, "crash" ends the process's work."""

    def __init__(self, at_once=16):
        self.asked = []
        self.at_once = at_once
        self.was_lazy = False

    def run(self, requests):
        self.was_lazy = iter(requests) is requests  # nothing is read before it is asked for
        numbered = enumerate(requests)
        while group := list(islice(numbered, self.at_once)):
            for index, request in reversed(group):  # the last one finishes first
                yield index, self.outcome(request)

    def outcome(self, request):
        part = request.conversation.messages[-1].parts[-1]
        text = part.text if isinstance(part, TextPart) else str(part.source)
        self.asked.append(text)
        if text == "crash":
            raise KeyboardInterrupt
        seed = request.sampling.seed
        said = text if seed is None else f"{text} {seed}"
        return EngineError("it failed") if text == "fail" else reply(said)


def line(custom_id, text="Hello", **body):
    messages = [{"role": "user", "content": text}]
    request = {"method": "POST", "url": "/v1/chat/completions"}
    return {"custom_id": custom_id, **request, "body": {"messages": messages, **body}}


@pytest.fixture
def files(tmp_path):
    return SimpleNamespace(source=tmp_path / "in.jsonl", target=tmp_path / "out.jsonl")


def write(files, *lines):
    texts = [json.dumps(each) if isinstance(each, dict) else each for each in lines]
    encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    files.source.write_bytes(b"".join(line + b"\n" for line in encoded))


def run(files, engine=None, *, names=("m",), defaults=None, **options):
    model = SimpleNamespace(engine=engine or Echo(), defaults=defaults or Sampling())
    with Batch(files.source, files.target, names=list(names), **options) as batch:
        batch.run(model)
    return batch


def results(files):
    return [json.loads(each) for each in files.target.read_text().splitlines()]


def texts(files):
    return {
        each["custom_id"]: [
            choice["message"]["content"] for choice in each["response"]["body"]["choices"]
        ]
        for each in results(files)
        if each["error"] is None
    }


def errors(files):
    return {
        each["custom_id"]: each["error"]["message"].split("\n")[0]
        for each in results(files)
        if each["error"] is not None
    }


def test_each_item_is_answered_once(files):
    write(files, line("a", "one"), line("b", "two"), line("c", "three"))
    batch = run(files)
    assert texts(files) == {"a": ["one"], "b": ["two"], "c": ["three"]}
    first = results(files)[0]
    assert set(first) == {"id", "custom_id", "response", "error"}
    assert first["response"]["status_code"] == 200
    assert first["response"]["body"]["usage"]["completion_tokens"] == 3
    assert (batch.counts.done, batch.counts.failed, batch.counts.tokens) == (3, 0, 9)


def test_an_empty_input_gives_an_empty_output(files):
    write(files)
    assert run(files).counts.total == 0
    assert files.target.read_bytes() == b""


def test_blank_lines_and_a_byte_order_mark_are_left_out(files):
    files.source.write_text("\ufeff" + json.dumps(line("a")) + "\r\n\n  \n", encoding="utf-8")
    assert run(files).counts.total == 1
    assert texts(files) == {"a": ["Hello"]}


@pytest.mark.parametrize(
    ("bad", "custom_id", "said"),
    [
        ("nonsense", None, "line 2: it is not JSON"),
        ("[1]", None, "line 2: it is [1], not an object"),
        (b'{"custom_id": "\xff"}', None, "line 2: it is not JSON: 'utf-8' codec"),
        ("[" * 100_000, None, "line 2: it is not JSON: maximum recursion depth"),
        (line(7), None, "line 2: custom_id is 7, not a text"),
        (line("b") | {"custom_id": None}, None, "line 2: custom_id is None"),
        (line("b") | {"method": "GET"}, "b", "line 2: method is 'GET', not POST"),
        (line("b") | {"url": "/v1/embeddings"}, "b", "line 2: url is '/v1/embeddings'"),
        (line("b") | {"priority": 1}, "b", "line 2: unknown key 'priority'"),
        (line("b") | {"body": None}, "b", "line 2: it has no body"),
        (line("b", logit_bias={"5": 1}), "b", "logit_bias is"),
        (line("b", model="other"), "b", "model is 'other', but this batch runs with m"),
        (line("b", "fail"), "b", "it failed"),
    ],
)
def test_a_bad_item_has_an_error_and_the_others_are_answered(files, bad, custom_id, said):
    write(files, line("a", "one"), bad, line("c", "three"))
    batch = run(files)
    assert texts(files) == {"a": ["one"], "c": ["three"]}
    assert errors(files)[custom_id].startswith(said)
    assert (batch.counts.done, batch.counts.failed) == (3, 1)


def test_lines_with_the_same_custom_id_and_request_are_asked_once(files):
    engine = Echo()
    write(files, line("a", "one"), line("b", "two"), line("a", "one"))
    batch = run(files, engine)
    assert sorted(engine.asked) == ["one", "two"]
    assert len(results(files)) == 2
    assert (batch.counts.total, batch.counts.doubled) == (2, 1)


def test_a_custom_id_with_two_requests_is_refused_before_anything_is_written(files):
    write(files, line("a", "one"), line("b"), line("a", "two"))
    with pytest.raises(ConfigError, match="line 3 has custom_id 'a' of an earlier line"):
        run(files)
    assert not files.target.exists()


@pytest.mark.parametrize("at_once", [1, 100])
def test_equal_requests_at_temperature_0_are_computed_once(files, at_once):
    engine = Echo(at_once)
    lines = [line(f"item {number}", f"text {number % 7}") for number in range(60)]
    write(files, *lines)
    batch = run(files, engine)
    assert len(engine.asked) == 7
    assert batch.counts.copied == 53
    assert texts(files) == {f"item {number}": [f"text {number % 7}"] for number in range(60)}
    ids = [each["response"]["body"]["id"] for each in results(files)]
    assert len(ids) == 60


def test_drawn_answers_are_computed_each(files):
    engine = Echo()
    write(files, line("a", temperature=1), line("b", temperature=1))
    assert run(files, engine).counts.copied == 0
    assert len(engine.asked) == 2


def test_the_temperature_may_be_the_checkpoints(files):
    engine = Echo()
    write(files, line("a"), line("b"))
    run(files, engine, defaults=Sampling(temperature=0.7))
    assert len(engine.asked) == 2


def test_several_choices_are_one_item(files):
    write(files, line("a", n=3, temperature=1, seed=5), line("b", n=2))
    batch = run(files)
    assert texts(files) == {"a": ["Hello 5", "Hello 6", "Hello 7"], "b": ["Hello", "Hello"]}
    assert batch.counts.done == 2


def test_copies_of_a_failed_item_fail(files):
    write(files, line("a", "fail"), line("b", "fail"), line("c", "one"))
    batch = run(files)
    assert errors(files) == {"a": "it failed", "b": "it failed"}
    assert (batch.counts.done, batch.counts.failed) == (3, 2)


def test_a_stopped_batch_goes_on_where_it_ended(files):
    lines = [line(f"item {number}", f"text {number}") for number in range(20)]
    write(files, *lines, line("last", "crash"))
    with pytest.raises(KeyboardInterrupt):
        run(files)
    before = files.target.read_bytes()
    assert 0 < len(results(files)) < 21
    write(files, *lines)
    engine = Echo()
    batch = run(files, engine)
    assert files.target.read_bytes().startswith(before)
    assert len(results(files)) == 20 == len(texts(files))
    assert len(engine.asked) == 20 - batch.counts.before < 20


def test_copies_are_read_from_the_output_of_an_earlier_run(files):
    write(files, line("a", "same"), line("b", "same"))
    run(files)
    kept = files.target.read_bytes().splitlines(keepends=True)[0]
    files.target.write_bytes(kept)
    engine = Echo()
    assert run(files, engine).counts.copied == 1
    assert engine.asked == []
    assert texts(files) == {"a": ["same"], "b": ["same"]}


@pytest.mark.parametrize("end", [b"", b'{"id": "batch_r', b'{"id": "batch_req_00"}\n', b"\0\0\0"])
def test_a_torn_last_line_is_cut_off_and_asked_again(files, end):
    write(files, line("a", "one"), line("b", "two"))
    run(files)
    first, second = files.target.read_bytes().splitlines(keepends=True)
    torn = end or second[: len(second) // 2]
    files.target.write_bytes(first + torn)
    batch = run(files)
    assert texts(files) == {"a": ["one"], "b": ["two"]}
    assert batch.notes == [
        f"the last line of {files.target} was incomplete; its item is asked again"
    ]
    assert len(results(files)) == 2


@pytest.mark.parametrize(
    "content",
    [b"my notes", b"my notes\n", b'{"id": "batch_req_1"}\n{}\n', b"\x89PNG\n\x1a\n\0\0", b"1\n"],
)
def test_a_file_that_no_batch_wrote_is_left_alone(files, content):
    write(files, line("a"))
    files.target.write_bytes(content)
    with pytest.raises(ConfigError, match="line 1 was not written by finesight batch"):
        run(files)
    assert files.target.read_bytes() == content


def test_the_input_is_not_the_output(files):
    write(files, line("a"))
    files.target = files.source
    with pytest.raises(ConfigError, match="both input and output"):
        run(files)


def test_an_output_of_another_input_is_refused(files):
    write(files, line("a"), line("b"))
    run(files)
    before = files.target.read_bytes()
    write(files, line("a"), line("c"))
    with pytest.raises(ConfigError, match=r"has custom_id 'b', which .* does not contain"):
        run(files)
    assert files.target.read_bytes() == before


def test_an_answered_request_that_changed_is_refused(files):
    write(files, line("a", "one"))
    run(files)
    write(files, line("a", "two"))
    with pytest.raises(ConfigError, match=r"answer to custom_id 'a', whose request in .* another"):
        run(files)


def test_an_answer_of_another_model_is_refused(files):
    write(files, line("a"))
    run(files, names=("m", "short"))
    with pytest.raises(ConfigError, match="answer of model m, but the model is other"):
        run(files, names=("other",))


def test_an_item_twice_in_the_output_is_refused(files):
    write(files, line("a"))
    run(files)
    files.target.write_bytes(2 * files.target.read_bytes())
    with pytest.raises(ConfigError, match="or twice"):
        run(files)


def test_lines_can_be_added_moved_and_respaced(files):
    write(files, line("a", "one"), line("b", "two"))
    run(files)
    spaced = json.dumps(line("a", "one"), indent=None, separators=(" , ", " : "))
    write(files, line("c", "three"), line("b", "two"), spaced)
    engine = Echo()
    run(files, engine)
    assert engine.asked == ["three"]
    assert set(texts(files)) == {"a", "b", "c"}


def test_failed_items_stay_until_they_are_asked_again(files):
    write(files, line("a", "one"), line("b", "fail"), line("c", "three"))
    run(files)
    engine = Echo()
    batch = run(files, engine)
    assert engine.asked == []
    assert (batch.counts.before, batch.counts.failed) == (3, 1)
    batch = run(files, engine, retry_errors=True)
    assert engine.asked == ["fail"]
    assert len(results(files)) == 3
    assert batch.notes == ["1 failed items of an earlier run are asked again"]


@pytest.mark.parametrize("bad", ["nonsense", json.dumps(line("b", logit_bias={"5": 1}))])
def test_a_failed_item_that_was_corrected_is_asked_again(files, bad):
    write(files, line("a", "one"), bad, line("c", "three"))
    run(files)
    write(files, line("a", "one"), line("b", "two"), line("c", "three"))
    engine = Echo()
    batch = run(files, engine)
    assert engine.asked == ["two"]
    assert errors(files) == {}
    assert texts(files) == {"a": ["one"], "b": ["two"], "c": ["three"]}
    assert batch.counts.failed == 0


def test_one_process_writes_an_output(files):
    write(files, line("a"))
    with files.target.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FinesightError, match="another process writes to"):
            run(files)
    assert run(files).counts.done == 1


def test_an_output_is_locked_all_the_time_that_it_is_replaced(files, monkeypatch):
    """Another process that opened the file before, or opens it at any moment later, finds it locked."""
    write(files, line("a", "one"), line("b", "fail"), line("c", "three"))
    run(files)
    before = files.target.open("ab")
    refused = []

    def is_locked(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(file, fcntl.LOCK_UN)
        return False

    replace = type(files.target).replace

    def watched(draft, target):
        with draft.open("ab") as early:
            refused.append(is_locked(early))
        replace(draft, target)
        with target.open("ab") as late:
            refused.append(is_locked(late))

    monkeypatch.setattr(type(files.target), "replace", watched)
    batch = Batch(files.source, files.target, names=["m"], retry_errors=True)
    with batch, before, files.target.open("ab") as after:
        assert refused == [True, True]
        assert not os.path.samestat(os.fstat(before.fileno()), os.fstat(after.fileno()))
        assert [is_locked(before), is_locked(after)] == [True, True]
        batch.run(SimpleNamespace(engine=Echo(), defaults=Sampling()))
    with files.target.open("ab") as free:
        assert not is_locked(free)
    assert len(results(files)) == 3


def test_long_lines_need_three_times_the_memory_of_one(files):
    size = 10_000_000
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}
    requests = [line("a"), line("b")]
    for each in requests:
        each["body"]["messages"][0]["content"] = [picture]
    write(files, *requests)
    del requests, picture, each
    gc.collect()
    tracemalloc.start()
    try:
        with Batch(files.source, files.target, names=["m"]) as batch:
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert batch.counts.total == 2
    assert peak < 3.1 * size


def test_few_requests_are_held_at_once(files):
    write(files, *(line(f"item {number}", f"text {number}") for number in range(500)))
    engine = Echo(at_once=3)
    run(files, engine)
    assert engine.was_lazy
    assert len(texts(files)) == 500


def test_an_input_that_changes_while_it_is_read_is_an_error(files):
    write(files, line("a", "one"))
    model = SimpleNamespace(engine=Echo(), defaults=Sampling())
    with Batch(files.source, files.target, names=["m"]) as batch:
        write(files, line("a", "two"))
        with pytest.raises(FinesightError, match="changed while it was read"):
            batch.run(model)
    assert files.target.read_bytes() == b""


def test_relative_paths_are_those_of_the_inputs_folder(files):
    def shows(custom_id, address):
        picture = {"type": "image_url", "image_url": {"url": address}}
        found = line(custom_id)
        found["body"]["messages"][0]["content"] = [picture]
        return found

    data = "data:image/png;base64,AAAA"
    write(files, shows("a", "pictures/a.png"), shows("b", "/b.png"), shows("c", data))
    engine = Echo()
    run(files, engine)
    folder = files.source.parent
    assert set(engine.asked) == {str(folder / "pictures/a.png"), "/b.png", data}


def test_a_frame_list_has_paths_of_the_inputs_folder(files):
    found = line("a")
    found["body"]["messages"][0]["content"] = [{"type": "video", "video": ["a.png", "b.png"]}]
    write(files, found)
    engine = Echo()
    run(files, engine)
    folder = files.source.parent
    assert engine.asked == [str((str(folder / "a.png"), str(folder / "b.png")))]


def test_half_a_surrogate_pair_survives(files):
    write(files, line("\ud800", "one"))
    run(files)
    assert texts(files) == {"\ud800": ["one"]}
    assert run(files).counts.before == 1


def test_a_full_disk_keeps_what_is_written(files, monkeypatch):
    write(files, line("a", "one"), line("b", "two"))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.api.batch_files._SECONDS_BETWEEN_SYNCS", -1.0)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FinesightError, match="cannot be written: No space left on device"):
        run(files)
    monkeypatch.undo()
    run(files)
    assert texts(files) == {"a": ["one"], "b": ["two"]}


def test_a_line_nested_deeply_is_an_error_of_its_own(files):
    """How deep Python can read depends on the caller, so the limit is ours."""
    deep = [
        json.dumps({**line(f"d{depth}"), "body": json.loads("[" * depth + "]" * depth)})
        for depth in (50, 300)
    ]
    deepest = '{"custom_id": "d9", "body": ' + "[" * 3000 + "]" * 3000 + "}"
    write(files, *deep, deepest, line("fine"))
    batch = run(files)
    assert batch.counts.done == 4
    assert texts(files) == {"fine": ["Hello"]}
    assert run(files).counts.before == 4


def test_the_file_at_the_end_of_a_link_is_the_output(files):
    real = files.target.with_name("real.jsonl")
    files.target.symlink_to(real)
    write(files, line("a", "one"), line("b", "fail"))
    run(files)
    write(files, line("a", "one"), line("b", "two"))
    run(files, retry_errors=True)
    assert files.target.is_symlink()
    assert texts(files) == {"a": ["one"], "b": ["two"]}
    assert len(real.read_bytes().splitlines()) == 2


def test_a_line_that_is_no_json_has_not_the_id_of_another(files):
    write(files, "abc", line("abc", "one"))
    assert run(files).counts.done == 2

# SPDX-License-Identifier: Apache-2.0
"""Records of the published form come out as the copy of a benchmark; broken ones are named, never dropped."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from typer.testing import CliRunner

from finesight.cli.app import build
from finesight.errors import EvalError
from finesight.evals.convert import android_control
from finesight.evals.convert.android_control import convert, targets_in
from finesight.evals.convert.messages import Element, elements_of, features_of, message
from finesight.evals.convert.tfrecord import masked_checksum, records
from finesight.evals.core.registry import task
from finesight.evals.core.self_check import check_task
from tests.support.benchmark_copies import items

SIZE = (108, 240)
CLICK = {"action_type": "click", "x": 30, "y": 50}
BACK = {"action_type": "navigate_back"}


def png(size=SIZE, kind="PNG"):
    file = BytesIO()
    Image.new("RGB", size, (9, 9, 99)).save(file, kind)
    return file.getvalue()


def node(unique_id, box, *, children=(), visible=True, **flags):
    made = message("Node")
    made.unique_id = unique_id
    for name, value in zip(("left", "top", "right", "bottom"), box, strict=True):
        setattr(made.bounds_in_screen, name, value)
    made.is_visible_to_user = visible
    made.child_ids.extend(children)
    for name, value in flags.items():
        setattr(made, name, value)
    return made


def forest():
    """A screen with a button that holds a label, a lone label, and a hidden button."""
    made = message("Forest")
    window = made.windows.add()
    window.tree.nodes.extend(
        [
            node(0, (0, 0, 108, 240), children=[1, 3, 4]),
            node(1, (20, 40, 60, 80), children=[2], is_clickable=True),
            node(2, (25, 45, 50, 60)),
            node(3, (10, 100, 200, 120)),
            node(4, (0, 0, 50, 50), visible=False, is_clickable=True),
        ]
    )
    return made.SerializeToString()


def example(episode=7, actions=(CLICK, BACK), **changed):
    """An example with the lists that the data set has."""
    screens = len(actions) + 1
    features = {
        "episode_id": [episode],
        "goal": [b"open the \xe2\x80\x9cmenu\xe2\x80\x9d"],
        "screenshots": [png()] * screens,
        "accessibility_trees": [forest()] * screens,
        "screenshot_widths": [SIZE[0]] * screens,
        "screenshot_heights": [SIZE[1]] * screens,
        "actions": [json.dumps(each).encode() for each in actions],
        "step_instructions": [f"do {each['action_type']}".encode() for each in actions],
    }
    features |= changed
    made = message("Example")
    for name, values in features.items():
        if not values:
            continue
        entry = made.features.feature.add(key=name)
        kind = "bytes_list" if isinstance(values[0], bytes) else "int64_list"
        getattr(entry.value, kind).value.extend(values)
    return made.SerializeToString()


def framed(*contents):
    """Records as a file holds them."""
    frames = []
    for content in contents:
        length = struct.pack("<Q", len(content))
        head = length + struct.pack("<I", masked_checksum(length))
        frames.append(head + content + struct.pack("<I", masked_checksum(content)))
    return b"".join(frames)


def published(folder, *contents, episodes=(7,), content=None):
    folder.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(framed(*contents)) if content is None else content
    (folder / "android_control-00000-of-00001").write_bytes(packed)
    (folder / "splits.json").write_text(json.dumps({"train": [1], "test": list(episodes)}))
    return folder


def test_checksums_are_those_of_the_standard():
    """CRC-32C of 32 zero bytes is 8a9136aa (RFC 3720, B.4); turned by 15 bits and shifted here by hand."""
    plain = 0x8A9136AA
    turned = ((plain >> 15) | (plain << 17)) & 0xFFFFFFFF
    assert masked_checksum(bytes(32)) == (turned + 0xA282EAD8) % 2**32


def test_fields_have_the_numbers_of_the_published_messages():
    """Bytes written by hand: field 1 (features), 1 (entry), 1 (key "a") and 2 (feature), 3 (int64), value 150."""
    by_hand = bytes.fromhex("0a0f0a0d0a016112081a060a0496019601")
    assert features_of(by_hand, "here") == {"a": [150, 150]}
    # window (1) > tree (11) > node (1) > bounds (2) with left 1 and bottom 9; visible (23); checkable (12)
    node = bytes.fromhex("1204" + "08012009" + "6001" + "b80101")
    tree = b"\x0a" + bytes([len(node)]) + node
    window = b"\x5a" + bytes([len(tree)]) + tree
    found = elements_of(b"\x0a" + bytes([len(window)]) + window, "here")
    assert found == [Element((1, 0, 0, 9), is_leaf=True, answers_touch=True)]


def test_a_split_comes_out_as_the_benchmark_reads_it(tmp_path):
    source = published(
        tmp_path / "src", example(3), example(7), example(9, actions=[BACK]), episodes=[7, 9, 11]
    )
    found = convert(source, tmp_path / "copy")
    assert (found.num_episodes, found.num_steps, found.num_other, found.missing) == (2, 3, 1, (11,))
    lines = [
        json.loads(line)
        for line in (tmp_path / "copy" / "android_control.jsonl").read_text().splitlines()
    ]
    assert [(each["episode_id"], each["step"]) for each in lines] == [(7, 0), (7, 1), (9, 0)]
    assert lines[0]["goal"] == "open the “menu”"
    assert lines[0]["step_instruction"] == "do click"
    assert lines[0]["elements"] == [[20, 40, 60, 80], [10, 100, 108, 120]]
    assert (tmp_path / "copy" / lines[0]["screenshot"]).read_bytes() == png()
    asked = items(task("android_control_high"), tmp_path / "copy")
    assert asked[0].truth["step"] == {"kind": "click", "point": [30.0, 50.0]}
    assert asked[0].truth["elements"][0] == [20.0, 40.0, 60.0, 80.0]
    assert check_task(task("android_control_low"), asked).oracle == 1.0


def test_labels_belong_to_what_holds_them():
    elements = [
        Element((0, 0, 90, 90), is_leaf=False, answers_touch=False),
        Element((10, 10, 30, 30), is_leaf=False, answers_touch=True),
        Element((12, 12, 20, 20), is_leaf=True, answers_touch=False),
        Element((40, 40, 60, 60), is_leaf=True, answers_touch=False),
        Element((10, 10, 30, 30), is_leaf=True, answers_touch=True),
        Element((-9, 80, 20, 140), is_leaf=True, answers_touch=False),
        Element((120, 0, 150, 9), is_leaf=True, answers_touch=True),
        Element((50, 50, 50, 70), is_leaf=True, answers_touch=True),
    ]
    assert targets_in(elements, 100, 100) == [(10, 10, 30, 30), (40, 40, 60, 60), (0, 80, 20, 100)]


def test_files_that_are_not_compressed_are_read_too(tmp_path):
    source = published(tmp_path, content=framed(example()))
    assert len(list(records(source / "android_control-00000-of-00001"))) == 1


@pytest.mark.parametrize("cut", [1, 4, 11, 13, 100, -2, -5])
def test_a_file_that_was_cut_off_is_an_error(tmp_path, cut):
    whole = framed(example())
    two = whole + whole[:cut]
    source = published(tmp_path / "a", content=gzip.compress(two))
    with pytest.raises(EvalError, match=r"android_control-00000-of-00001, record 2.*the file ends"):
        convert(source, tmp_path / "copy")
    assert not (tmp_path / "copy" / "android_control.jsonl").exists()


def test_a_compressed_file_that_was_cut_off_is_an_error(tmp_path):
    whole = gzip.compress(framed(example()))
    source = published(tmp_path / "a", content=whole[: len(whole) // 2])
    with pytest.raises(EvalError, match="00001 is truncated or not a gzip file"):
        convert(source, tmp_path / "copy")
    flipped = bytearray(whole)
    flipped[-6] ^= 1
    source = published(tmp_path / "b", content=bytes(flipped))
    with pytest.raises(EvalError, match="is truncated or not a gzip file"):
        list(records(source / "android_control-00000-of-00001"))


@pytest.mark.parametrize(("at", "what"), [(0, "record 1, its length: "), (60, "record 1: ")])
def test_a_changed_bit_is_an_error(tmp_path, at, what):
    content = bytearray(framed(example()))
    content[at] ^= 4
    source = published(tmp_path / "a", content=bytes(content))
    with pytest.raises(EvalError, match=f"{what}the checksum is [0-9a-f]{{8}}, the file says"):
        convert(source, tmp_path / "copy")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"goal": None}, "record 1 lacks feature 'goal'"),
        ({"actions": ()}, "lacks feature 'actions'"),
        ({"screenshots": [png()]}, "has 2 actions and 1 screenshots, not 3"),
        ({"step_instructions": [b"x"]}, "2 actions and 1 step_instructions, not 2"),
        ({"accessibility_trees": [b""] * 2}, "2 accessibility_trees, not 3"),
        ({"screenshot_widths": [108]}, "1 screenshot_widths, not 3"),
        ({"actions": [{"action_type": "dance"}]}, "record 1: action 'dance' is unknown"),
        ({"actions": [{"action_type": "click", "x": 1}]}, "cannot be read: KeyError"),
        ({"screenshots": [b"x"] * 3}, "step 0 has a screenshot that cannot be read"),
        ({"screenshots": [png((9, 9))] * 3}, "9 x 9 in PNG, the record says 108 x 240"),
        ({"screenshots": [png(kind="JPEG")] * 3}, "in JPEG"),
        ({"accessibility_trees": [b"\xff"] * 3}, "accessibility_trees holds no message Forest"),
        ({"goal": [b"\xff"]}, "text that is not UTF-8"),
        ({"goal": [1]}, "has int where text should be"),
    ],
)
def test_a_record_that_lacks_something_is_named(tmp_path, changed, says):
    source = published(tmp_path / "src", example(**{"actions": (CLICK, BACK)} | changed))
    with pytest.raises(EvalError) as raised:
        convert(source, tmp_path / "copy")
    assert says in raised.value.message
    assert "android_control-00000-of-00001, record 1" in raised.value.message


def test_a_record_that_is_no_example_is_named(tmp_path):
    source = published(tmp_path / "src", b"\xff\xff")
    with pytest.raises(EvalError, match="record 1 holds no message Example"):
        convert(source, tmp_path / "copy")


def test_an_episode_that_stands_twice_is_an_error(tmp_path):
    source = published(tmp_path / "src", example(), example())
    with pytest.raises(EvalError, match="record 2 holds episode 7 a second time"):
        convert(source, tmp_path / "copy")


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(EvalError, match=r"splits\.json cannot be read"):
        convert(tmp_path, tmp_path / "copy")
    (tmp_path / "splits.json").write_text('{"test": [1]}')
    with pytest.raises(EvalError, match="has no split 'dev'"):
        convert(tmp_path, tmp_path / "copy", split="dev")
    with pytest.raises(EvalError, match="holds no android_control"):
        convert(tmp_path, tmp_path / "copy")


def test_the_command_says_what_it_wrote_and_writes_it_once(tmp_path):
    source = published(tmp_path / "src", example(7), example(8), episodes=[7, 8, 9])
    words = ["eval", "convert", "android_control", str(source), str(tmp_path / "copy")]
    done = CliRunner().invoke(build(), words)
    assert (done.exit_code, done.stdout) == (
        0,
        "2 episodes, 4 steps of split test; 0 episodes of other splits passed over\n",
    )
    assert "1 episodes of split test are in no record, such as 9" in done.stderr
    again = CliRunner().invoke(build(), words)
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)
    one = CliRunner().invoke(build(), [*words[:4], str(tmp_path / "b"), "--limit", "1", "--json"])
    assert json.loads(one.stdout)["num_steps"] == 2
    other = CliRunner().invoke(build(), ["eval", "convert", "x", "a", "b"])
    assert (other.exit_code, "no converter for 'x'" in other.stderr) == (2, True)


def test_an_interrupted_copy_goes_on_after_its_last_whole_file(tmp_path, monkeypatch):
    source = published(tmp_path / "src", example(7), episodes=[7, 8, 9])
    next(source.glob("android_control*")).rename(source / "android_control-00000")
    for number, episode in ((1, example(8)), (2, example(9))):
        other = published(tmp_path / f"of-{number}", episode)
        next(other.glob("android_control*")).rename(source / f"android_control-{number:05}")
    whole = convert(source, tmp_path / "whole")
    read = []

    def records_until(path):
        read.append(path.name)
        if len(read) == 4:  # the first file is looked into before anything is written
            raise KeyboardInterrupt
        yield from records(path)

    monkeypatch.setattr(android_control, "records", records_until)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    shutil.copytree(tmp_path / ".copy.part", tmp_path / ".other.part")
    other = convert(
        source, tmp_path / "other", limit=1
    )  # what another call has begun is no part of it
    assert (other.num_episodes, other.num_kept_files) == (1, 0)
    assert len(list((tmp_path / "other" / "screens").iterdir())) == other.num_steps
    read[:] = ["of the calls before"] * 10
    again = convert(source, tmp_path / "copy")
    assert read[10:] == ["android_control-00000", "android_control-00002"]
    assert again == replace(whole, num_kept_files=2)
    for name in ("android_control.jsonl", *(f"screens/{n}-1.png" for n in (7, 8, 9))):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / ".copy.part").exists()


def test_nothing_is_left_of_a_copy_that_fails(tmp_path):
    first = published(tmp_path / "first", content=gzip.compress(b"no record"))
    with pytest.raises(EvalError, match="record 1"):
        convert(first, tmp_path / "new" / "copy")
    second = published(tmp_path / "second", example(7), example(7))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    (tmp_path / ".copy.part" / "screens").mkdir(parents=True)  # of a process that was killed
    with pytest.raises(EvalError, match="a second time"):
        convert(second, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "first", "second"]
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["notes.txt"]
    convert(published(tmp_path / "third", example(7)), tmp_path / "copy")
    found = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert found == ["android_control.jsonl", "notes.txt", "screens"]

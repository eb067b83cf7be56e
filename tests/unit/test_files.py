# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are complete or not there, whatever happens while they are written."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from finesight import files
from finesight.errors import DataError, DecodeError, FinesightError


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fail(writing, failure, *, name=""):
    """Begin to write, then fail."""
    with writing as draft:
        (draft / name if name else draft).write_text("half")
        raise failure


FULL = OSError(28, "No space left on device")


def test_a_file_is_written_whole(tmp_path):
    files.write_text(tmp_path / "new" / "a.txt", "猫", parents=True)
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "猫"
    files.write_bytes(tmp_path / "new" / "a.txt", b"b")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"b"
    assert names(tmp_path) == ["new", "new/a.txt"]


def test_json_keeps_what_utf_8_cannot_hold(tmp_path):
    for value in ({"a": "猫"}, {"a": "\ud800"}):
        files.write_json(tmp_path / "a.json", value)
        text = (tmp_path / "a.json").read_text(encoding="utf-8")
        assert json.loads(text) == value
        assert text.endswith("}\n")
    assert "猫" not in text


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(DecodeError):
        fail(files.whole_file(target), DecodeError("broken"))
    assert target.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_named_and_the_file_before_stays(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(DataError, match=r"a\.txt cannot be written: No space left") as failed:
        fail(files.whole_file(target, error=DataError), FULL)
    assert "free some space" in failed.value.hint
    assert target.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FinesightError, match=r"missing/a\.txt cannot be written: No such file"):
        files.write_text(tmp_path / "missing" / "a.txt", "text")
    (tmp_path / "file").write_text("")
    with pytest.raises(FinesightError, match=r"file/a\.txt cannot be written"):
        files.write_text(tmp_path / "file" / "a.txt", "text", parents=True)
    assert names(tmp_path) == ["file"]


def test_the_longest_name_of_a_file_can_be_written(tmp_path):
    files.write_text(tmp_path / ("é" * 127), "text")
    assert names(tmp_path) == ["é" * 127]


def test_threads_write_one_file_without_a_mixture(tmp_path):
    texts = [str(number) * 100_000 for number in range(8)]
    threads = [
        threading.Thread(target=files.write_text, args=(tmp_path / "a.txt", text)) for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.txt").read_text() in texts
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_is_replaced_before_it_is_locked_is_opened_again(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    flock, calls = fcntl.flock, []

    def late(file, how):
        if not calls:
            files.write_text(path, "new")  # another process
        calls.append(how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with files.lock(path) as file:
        file.write(b" end")
    assert path.read_text() == "new end"
    assert len(calls) == 2


@pytest.mark.parametrize("sync", [False, True])
def test_a_folder_replaces_the_one_before(tmp_path, sync):
    for text in ("one", "two"):
        with files.whole_folder(tmp_path / "deep" / "set", sync=sync) as draft:
            assert names(draft) == []
            (draft / "inner").mkdir()
            (draft / "inner" / f"{text}.txt").write_text(text)
    assert names(tmp_path / "deep") == ["set", "set/inner", "set/inner/two.txt"]


def test_a_folder_that_fails_leaves_the_one_before(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("before")
    (tmp_path / ".set.part").mkdir()  # of a process that was killed
    (tmp_path / ".set.part" / "left.txt").write_text("left")
    with pytest.raises(DataError, match="set cannot be written: No space left"):
        fail(files.whole_folder(tmp_path / "set", error=DataError), FULL, name="a.txt")
    with pytest.raises(OSError, match="No space"):
        fail(files.whole_folder(tmp_path / "set", error=None), FULL, name="a.txt")
    assert (tmp_path / "set" / "a.txt").read_text() == "before"
    assert names(tmp_path) == ["set", "set/a.txt"]


def test_a_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "set").write_text("mine")
    writing = files.whole_folder(tmp_path / "set")
    with pytest.raises(FinesightError, match="set cannot be written"), writing:
        pass
    assert (tmp_path / "set").read_text() == "mine"
    assert names(tmp_path) == ["set"]


def test_files_are_added_to_a_folder_and_the_list_of_them_comes_last(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    for name in ("mine.txt", "a.txt"):
        (tmp_path / "set" / name).write_text("before")
    moved = []
    replace = type(tmp_path).replace
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda self, to: (moved.append(to.name), replace(self, to))[1]
    )
    with files.filled_folder(tmp_path / "set", last=("a-list.json",)) as draft:
        for name in ("a-list.json", "a.txt", "deep/b.txt"):
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_text("new")
    assert moved == ["a.txt", "b.txt", "a-list.json"]
    assert names(tmp_path / "set") == ["a-list.json", "a.txt", "deep", "deep/b.txt", "mine.txt"]
    assert (tmp_path / "set" / "a.txt").read_text() == "new"
    assert (tmp_path / "set" / "mine.txt").read_text() == "before"


def test_nothing_is_left_of_a_folder_that_could_not_be_filled(tmp_path):
    with pytest.raises(DecodeError):
        fail(
            files.filled_folder(tmp_path / "new" / "set", last=()), DecodeError("no"), name="a.txt"
        )
    assert names(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from finesight import files
with files.whole_file(Path(sys.argv[1]) / "a.tar") as draft, \
     files.whole_folder(Path(sys.argv[1]) / "set") as folder:
    draft.write_text("half")
    (folder / "b.txt").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_only_drafts_and_they_can_be_removed(tmp_path):
    (tmp_path / "a.tar").write_text("before")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "writing\n"
    files.remove_drafts(tmp_path)  # the process still lives: nothing is removed
    assert len(names(tmp_path)) == 5
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert (tmp_path / "a.tar").read_text() == "before"
    assert not (tmp_path / "set").exists()
    files.remove_drafts(tmp_path)
    assert names(tmp_path) == ["a.tar"]


FOLDER_WRITER = """
import sys
from pathlib import Path
from finesight import files
from finesight.errors import DataError
try:
    with files.whole_folder(Path(sys.argv[1]), replaces=sys.argv[2] == "replace", error=DataError) as folder:
        (folder / "text").write_text("half")
        print("writing", flush=True)
        (folder / "text").write_text(sys.stdin.readline().strip())
    print("done")
except DataError as error:
    print(f"{error.message}; {error.hint}")
"""


class FolderWriter:
    """A process that writes the folder `path`, and waits for its text in the middle."""

    def __init__(self, path, replaces):
        words = [sys.executable, "-c", FOLDER_WRITER, str(path), "replace" if replaces else "keep"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout.readline() == "writing\n"

    def finish(self, text):
        return self.process.communicate(text + "\n")[0].strip()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def test_two_processes_write_the_same_folder(tmp_path):
    writers = [FolderWriter(tmp_path / "set", replaces=False) for _ in range(2)]
    assert writers[1].finish("second") == "done"
    assert (tmp_path / "set" / "text").read_text() == "second"
    assert writers[0].finish("first") == (
        f"{tmp_path / 'set'} cannot be written: another process wrote it meanwhile; it stays as it is; "
        "use what is there, or give another path"
    )
    assert (tmp_path / "set" / "text").read_text() == "second"
    assert names(tmp_path) == ["set", "set/text"]


def test_of_two_processes_that_replace_a_folder_the_last_one_stays(tmp_path):
    writers = [FolderWriter(tmp_path / "set", replaces=True) for _ in range(2)]
    assert [writers[1].finish("second"), writers[0].finish("first")] == ["done", "done"]
    assert (tmp_path / "set" / "text").read_text() == "first"
    assert names(tmp_path) == ["set", "set/text"]


def test_a_writer_removes_the_draft_of_a_killed_one_and_not_of_a_living_one(tmp_path):
    killed, living = (FolderWriter(tmp_path / "set", replaces=False) for _ in range(2))
    killed.kill()
    assert len([*tmp_path.glob(".set.*.part")]) == 2
    with files.whole_folder(tmp_path / "set") as folder:
        (folder / "text").write_text("whole")
        assert len([*tmp_path.glob(".set.*.part")]) == 2
    assert len([*tmp_path.glob(".set.*.part")]) == 1
    assert "it stays as it is" in living.finish("late")
    assert names(tmp_path) == ["set", "set/text"]

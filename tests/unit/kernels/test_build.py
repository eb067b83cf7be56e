# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import subprocess
import sys
import threading
import warnings

import pytest

from finesight.errors import EngineError
from finesight.kernels import build
from finesight.kernels.library import Library
from tests.support.compiled import compiled

TINY = """
extern "C" int finesight_answer() { return 42; }
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """One small source file instead of the kernels, which take seconds to compile."""
    compiled()
    folder = tmp_path / "csrc"
    folder.mkdir()
    (folder / "answer.cpp").write_text(TINY)
    monkeypatch.setattr(build, "SOURCES", folder)
    return folder


def test_it_is_compiled_once(sources, tmp_path):
    with pytest.warns(
        UserWarning, match="compiling the CPU kernels to .*this takes about ten seconds, once"
    ):
        path = build.library_file(tmp_path / "cache")
    before = path.stat().st_mtime_ns
    assert build.library_file(tmp_path / "cache") == path  # a warning would fail the test
    assert path.stat().st_mtime_ns == before
    assert [each.suffix for each in sorted(path.parent.iterdir())] == [".lock", ".so"]


def test_changed_sources_are_another_library(sources, tmp_path):
    with pytest.warns(UserWarning, match="compiling"):
        first = build.library_file(tmp_path)
    (sources / "answer.cpp").write_text(TINY.replace("42", "43"))
    with pytest.warns(UserWarning, match="compiling"):
        assert build.library_file(tmp_path) != first


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: b"", lambda content: b"x" + content[1:]],
)
def test_a_damaged_library_is_compiled_again(sources, tmp_path, damage):
    with pytest.warns(UserWarning, match="compiling"):
        path = build.library_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match="is damaged: compiling the CPU kernels again"):
        assert build.library_file(tmp_path) == path
    assert len(path.read_bytes()) == len(whole)


def test_several_at_the_same_time_compile_once(sources, tmp_path):
    found, started = [], threading.Barrier(3)

    def start():
        started.wait()
        found.append(build.library_file(tmp_path))

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=start) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len([each for each in seen if "compiling" in str(each.message)]) == 1


def test_an_error_of_the_compiler_is_shown(sources, tmp_path):
    (sources / "answer.cpp").write_text("int broken(")
    with (
        pytest.warns(UserWarning, match="compiling"),
        pytest.raises(EngineError, match=r"ended with code 1: .*answer.cpp") as caught,
    ):
        build.library_file(tmp_path)
    assert "g++ 11" in caught.value.hint
    assert not list(tmp_path.glob("*.so"))


def test_a_folder_that_cannot_be_written(sources, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match=r"file.*cannot be (written|read)"):
        build.library_file(tmp_path / "file" / "cache")


def test_machines_without_a_compiler_or_with_another_processor(sources, tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match="compiling the CPU kernels"):
        compiled_before = build.library_file(tmp_path / "kept")
    monkeypatch.setattr(build, "_COMPILERS", ("no-such-compiler",))
    assert build.library_file(tmp_path / "kept") == compiled_before
    with pytest.raises(EngineError, match=r"none of no-such-compiler is installed"):
        build.library_file(tmp_path / "new")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(EngineError, match=r"x86-64.*this is aarch64"):
        build.library_file()


def test_a_file_that_is_no_library(tmp_path):
    path = tmp_path / "kernels.so"
    path.write_bytes(b"nothing")
    with pytest.raises(EngineError, match="cannot be loaded"):
        Library(path)


def test_another_library_lacks_the_functions(sources, tmp_path):
    with pytest.warns(UserWarning, match="compiling"):
        path = build.library_file(tmp_path)
    with pytest.raises(EngineError, match="finesight_linear"):
        Library(path)


def test_compiling_ahead_prints_the_file():
    compiled()
    done = subprocess.run(
        [sys.executable, "-m", "finesight.kernels.build"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("CPU kernels: ")
    assert done.stdout.strip().endswith(".so")

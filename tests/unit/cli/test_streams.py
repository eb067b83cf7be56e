# SPDX-License-Identifier: Apache-2.0
"""Standard output that is not UTF-8, full, closed or left: nothing is lost in silence, and no traceback comes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finesight.cli import streams
from finesight.cli.output import print_json

PROGRAM = (
    sys.executable,
    "-c",
    "import sys; from finesight.cli.main import main; sys.exit(main())",
)
FULL = Path("/dev/full")


def outcome(*words, shell="", **settings):
    """Exit code, standard output and standard error of a process; `shell` redirects them."""
    command = ["bash", "-c", f'exec "$@" {shell}', "bash", *PROGRAM, *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=300, env=os.environ | settings)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def written(monkeypatch):
    """What a standard output of this encoding and a standard error were given."""

    def of(encoding, write, errors="strict"):
        out, err = io.BytesIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, errors))
        monkeypatch.setattr(sys, "stderr", err)
        assert streams.prepare()
        write()
        assert streams.flushed() is None
        return out.getvalue().decode(encoding), err.getvalue()

    return of


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_no_character_is_lost(written, encoding, errors):
    text = "图 é caf\udce9 😀\n"
    out, err = written(encoding, lambda: sys.stdout.write(text + text), errors)
    escaped = text.encode(encoding, "backslashreplace").decode(encoding)
    assert out == escaped + escaped
    assert err.count(f"note: standard output is {encoding}") == 1


def test_what_fits_is_left_alone(written):
    assert written("latin-1", lambda: sys.stdout.write("é\n")) == ("é\n", "")
    assert written("utf-8", lambda: sys.stdout.write("图\n")) == ("图\n", "")


def test_a_way_of_its_own_stays(written):
    assert written("ascii", lambda: sys.stdout.write("图"), "replace") == ("?", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_stays_json(written, encoding):
    value = {"text": "图 é \udce9 😀"}
    out, err = written(encoding, lambda: print_json(value))
    assert json.loads(out) == value
    assert err == ""
    plain = {"text": "图"}
    assert ("图" in written(encoding, lambda: print_json(plain))[0]) is (encoding == "utf-8")


@pytest.mark.parametrize("words", [("eval", "list"), ("--help",), ("--version",)])
@pytest.mark.skipif(not FULL.exists(), reason="this system has no full disk to write to")
def test_a_full_disk_is_an_error(words):
    code, _, err = outcome(*words, shell="> /dev/full")
    assert code == 1
    assert err.startswith("error: ")
    assert err.endswith("No space left on device\n")


@pytest.mark.parametrize("words", [("eval", "list"), ("--help",)])
def test_a_closed_standard_output_is_an_error_at_once(words):
    code, _, err = outcome(*words, shell=">&-")
    assert code == 1
    assert err.startswith("error: standard output is closed")
    assert "Traceback" not in err


def test_without_standard_error_the_result_comes_all_the_same():
    code, out, _ = outcome("eval", "list", shell="2>&-")
    assert code == 0
    assert b"mathvision" in out


@pytest.mark.parametrize("words", [("eval", "list"), ("--help",)])
def test_a_reader_that_has_gone_is_no_error_of_ours(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, *words], stdout=writer, stderr=subprocess.PIPE, timeout=300)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_latin_terminal_gets_the_whole_plan(tmp_path, picture_file):
    path = tmp_path / "图.png"
    path.write_bytes(picture_file.read_bytes())
    code, out, err = outcome("plan", "x", "--image", path, PYTHONIOENCODING="latin-1")
    assert code == 0
    assert b"\\u56fe.png" in out
    assert "note: standard output is iso8859-1; characters it lacks" in err

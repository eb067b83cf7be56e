# SPDX-License-Identifier: Apache-2.0
"""Places that cannot be written to, and errors as people can read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from finesight.cli import app
from finesight.cli.errors import BUG, reported
from finesight.cli.output import check_report, check_writable
from finesight.errors import ConfigError, DecodeError


def test_wrong_places_are_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        check_writable(tmp_path / "file", is_folder=True)
    with pytest.raises(ConfigError, match="is a folder"):
        check_writable(tmp_path, is_folder=False)
    check_writable(tmp_path / "not" / "yet" / "there.html", is_folder=False)
    for is_folder in (False, True):
        with pytest.raises(ConfigError, match="file is a file"):
            check_writable(tmp_path / "file" / "under", is_folder=is_folder)
        with pytest.raises(ConfigError, match="File name too long"):
            check_writable(tmp_path / ("a" * 300), is_folder=is_folder)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("bad option"), 2),
        (DecodeError("bad file"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error, code, capsys):
    with pytest.raises(typer.Exit) as end, reported(debug=False):
        raise error
    assert end.value.exit_code == code
    assert "Traceback" not in capsys.readouterr().err


def test_message_and_hint_on_standard_error(capsys):
    with pytest.raises(typer.Exit), reported(debug=False):
        raise DecodeError("a.png ends after 10 bytes", hint="copy it again")
    streams = capsys.readouterr()
    assert streams.err == "error: a.png ends after 10 bytes\n  hint: copy it again\n"
    assert streams.out == ""


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(typer.Exit), reported(debug=True):
        raise DecodeError("broken")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(36, "File name too long", "a.png"), "error: a.png: File name too long\n"),
        (
            OSError(36, "File name too long", "a" * 5000),
            f"error: {'a' * 157}...: File name too long\n",
        ),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (PermissionError(13, "Permission denied", "x"), "error: x: Permission denied\n"),
        (OverflowError("too large"), "error: too large\n  hint: --debug shows where\n"),
        (MemoryError(), "error: out of memory\n"),
        (BrokenPipeError(32, "Broken pipe"), ""),
    ],
)
def test_what_users_and_machines_cause_is_one_line(error, said, capsys):
    with pytest.raises(typer.Exit) as end, reported(debug=False):
        raise error
    assert end.value.exit_code == 1
    assert capsys.readouterr().err.startswith(said)


def test_bytes_of_another_encoding_are_an_error(capsys):
    with pytest.raises(typer.Exit), reported(debug=False):
        b"caf\xe9".decode()
    assert capsys.readouterr().err.startswith("error: 'utf-8' codec can't decode byte 0xe9")


def test_a_command_without_a_report_of_its_own_ends_alike(monkeypatch, capsys):
    def build():
        def command(**_):
            raise OSError(21, "Is a directory", "recipe.toml")

        return command

    monkeypatch.setattr(app, "build", build)
    assert app.run(["train"]) == 1
    assert capsys.readouterr().err == "error: recipe.toml: Is a directory\n"


def test_a_mistake_of_ours_says_that_it_is_one(monkeypatch):
    monkeypatch.setattr(app, "build", lambda: lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        app.run(["plan"])
    assert caught.value.__notes__ == [BUG]
    assert "bug in finesight" in BUG


def test_mistakes_of_ours_are_not_dressed_up():
    with pytest.raises(ZeroDivisionError), reported(debug=False):
        _ = 1 / 0


LONG = "x" * 300
UNWRITABLE = {
    "below a file": ("file/out", "file is a file"),
    "a name that is too long": (LONG, "File name too long"),
    "a long name below a folder to be made": (f"new/{LONG}", "File name too long"),
    "where nothing can be made": ("/proc/nope", "/proc/nope cannot be written"),
    "below what cannot be made": ("/proc/nope/deep", "/proc/nope/deep cannot be written"),
    "a link to nowhere": ("link", "link is a dangling link"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_places_that_cannot_be_made_are_refused_and_nothing_is_left(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    place, said = UNWRITABLE[name]
    with pytest.raises(ConfigError) as error:
        check_writable(tmp_path / place, is_folder=True)
    assert said in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "a" / "b", is_folder=True)
    check_writable(tmp_path / "a" / "b.html", is_folder=False)
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_no_file_to_be_replaced():
    with pytest.raises(ConfigError, match="/dev/null is a device, but a file is needed"):
        check_writable(Path("/dev/null"), is_folder=False)


@pytest.mark.parametrize("name", ["photo.png", "samples.jsonl", "report", "page.html.txt"])
def test_a_report_replaces_nothing_but_a_page(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"kept")
    with pytest.raises(ConfigError, match="no HTML file name"):
        check_report(path)
    assert path.read_bytes() == b"kept"


def test_a_page_may_be_replaced(tmp_path):
    check_report(tmp_path / "page.HTML")

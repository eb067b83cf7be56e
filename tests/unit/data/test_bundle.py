# SPDX-License-Identifier: Apache-2.0
"""A bundle of drawing assets draws the same pictures as the full assets."""

from __future__ import annotations

import errno
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finesight.data.sources.bundle import bundle, unbundle
from finesight.data.sources.fonts import (
    Face,
    FontCatalogue,
    bitmap_of_codes,
    codes_of,
    load_font,
    scripts_of,
)
from finesight.errors import DataError


def _face(name: str) -> Face:
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / name
    bitmap = bitmap_of_codes(range(0x20, 0x250))
    return Face(
        id=f"matplotlib/{name}#0",
        path=str(path),
        index=0,
        family=name,
        style="Regular",
        group=name,
        split="train",
        scripts=scripts_of(bitmap),
        legibility=1.0,
        licence="Bitstream-Vera",
        bitmap=bitmap,
    )


@pytest.fixture(scope="module")
def assets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    FontCatalogue([_face("DejaVuSans.ttf"), _face("DejaVuSerif.ttf")]).save(folder / "fonts.json")
    (folder / "words.tsv").write_text("en\t0\tword\n", encoding="utf-8")
    (folder / "sentences.tsv").write_text("en\tAll human beings.\n", encoding="utf-8")
    (folder / "photos" / "pack").mkdir(parents=True)
    (folder / "photos" / "pack" / "lake.jpg").write_bytes(b"lake")
    photos = {"kind": "photos", "package": "pack", "version": "1", "licence": "CC0-1.0",
              "files": {"photos/pack/lake.jpg": "0" * 64}}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"assets": [photos]}), encoding="utf-8")
    (folder / "prose.jsonl").write_text('{"document": "a", "text": "b"}\n', encoding="utf-8")
    (folder / "icons.json").write_text('{"drawings": []}', encoding="utf-8")
    np.save(folder / "icons.npy", np.zeros((0, 8, 8, 4), np.uint8))
    return folder


def test_a_bundle_draws_the_same(assets, tmp_path):
    assert bundle(assets, tmp_path / "a.tar.xz") == (2, 0)
    unbundle(tmp_path / "a.tar.xz", tmp_path / "there")
    before = FontCatalogue.read(assets / "fonts.json").faces
    after = FontCatalogue.read(tmp_path / "there" / "fonts.json").faces
    assert [face.id for face in after] == [face.id for face in before]
    for old, new in zip(before, after, strict=True):
        assert Path(new.path).is_relative_to(tmp_path / "there")
        assert Path(new.path).stat().st_size < 0.5 * Path(old.path).stat().st_size
        assert new.scripts == old.scripts
        assert set(codes_of(new.bitmap)) < set(codes_of(old.bitmap))  # 0x180 to 0x19f are not drawn
        drawn = [
            load_font(face.path, face.index, 24).getmask("Wörter 12").getbbox()
            for face in (old, new)
        ]
        assert (
            np.abs(np.subtract(*drawn)).max() <= 1
        )  # hinting is left out, which moves an edge by a pixel
    assert (tmp_path / "there" / "words.tsv").read_text() == (assets / "words.tsv").read_text()
    assert json.loads((tmp_path / "there" / "icons.json").read_text()) == {"drawings": []}
    assert (tmp_path / "there" / "photos" / "pack" / "lake.jpg").read_bytes() == b"lake"


def test_a_missing_part_is_named(assets, tmp_path):
    with pytest.raises(DataError, match=r"lacks icons\.json, icons\.npy, words"):
        bundle(tmp_path, tmp_path / "a.tar.xz")
    assert not (tmp_path / "a.tar.xz").exists()


def test_a_missing_photograph_is_named(assets, tmp_path):
    shutil.copytree(assets, tmp_path / "copy")
    (tmp_path / "copy" / "photos" / "pack" / "lake.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks photos/pack/lake\.jpg"):
        bundle(tmp_path / "copy", tmp_path / "a.tar.xz")


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_cut_off_bundle_is_refused(assets, tmp_path, keep):
    bundle(assets, tmp_path / "a.tar.xz")
    content = (tmp_path / "a.tar.xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(content[:keep])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unbundle(tmp_path / "cut.tar.xz", tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.xz", "cut.tar.xz"]


@pytest.mark.parametrize(
    ("content", "kind"), [(b"\x89PNG\r\n\x1a\n0000", "PNG picture"), (b"%PDF-1.7", "PDF document")]
)
def test_a_file_that_is_no_bundle_is_called_what_it_is(tmp_path, content, kind):
    source = tmp_path / "assets.tar.xz"
    source.write_bytes(content)
    with pytest.raises(DataError, match=kind):
        unbundle(source, tmp_path / "new" / "there")
    assert list(tmp_path.iterdir()) == [source]


def test_a_bundle_of_something_else_changes_nothing(assets, tmp_path):
    with tarfile.open(tmp_path / "other.tar.xz", "w:xz") as tar:
        tar.add(assets / "words.tsv", "words.tsv")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "words.tsv").write_text("mine")
    with pytest.raises(DataError, match=r"holds no icons\.json, icons\.npy, sentences\.tsv"):
        unbundle(tmp_path / "other.tar.xz", tmp_path / "there")
    assert (tmp_path / "there" / "words.tsv").read_text() == "mine"


def test_a_folder_that_is_there_keeps_its_other_files(assets, tmp_path):
    bundle(assets, tmp_path / "a.tar.xz")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    (tmp_path / "there" / "words.tsv").write_text("old")
    unbundle(tmp_path / "a.tar.xz", tmp_path / "there")
    assert (tmp_path / "there" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "there" / "words.tsv").read_text() == (assets / "words.tsv").read_text()


def test_a_bundle_that_fails_on_the_way_leaves_nothing(assets, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("finesight.data.sources.bundle._add", full)
    with pytest.raises(DataError, match=r"a\.tar\.xz cannot be written: No space left"):
        bundle(assets, tmp_path / "a.tar.xz")
    assert list(tmp_path.iterdir()) == []


def test_font_files_that_are_gone_are_named(assets, tmp_path):
    shutil.copytree(assets, tmp_path / "assets")
    face = replace(_face("DejaVuSans.ttf"), path="/nowhere/DejaVuSans.ttf")
    FontCatalogue([face]).save(tmp_path / "assets" / "fonts.json")
    with pytest.raises(DataError, match=r"1 of 1 font files .* such as /nowhere/DejaVuSans\.ttf"):
        bundle(tmp_path / "assets", tmp_path / "a.tar.xz")

# SPDX-License-Identifier: Apache-2.0
"""Drawing assets travel as one file and draw the same on the other side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path

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
    (folder / "manifest.json").write_text('{"assets": []}', encoding="utf-8")
    (folder / "icons.json").write_text('{"drawings": []}', encoding="utf-8")
    np.save(folder / "icons.npy", np.zeros((0, 8, 8, 4), np.uint8))
    return folder


def test_there_and_back(assets, tmp_path):
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


def test_a_missing_part_is_named(assets, tmp_path):
    with pytest.raises(DataError, match=r"lacks icons\.json, icons\.npy, words"):
        bundle(tmp_path, tmp_path / "a.tar.xz")
    assert not (tmp_path / "a.tar.xz").exists()


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_cut_off_bundle_is_refused(assets, tmp_path, keep):
    bundle(assets, tmp_path / "a.tar.xz")
    content = (tmp_path / "a.tar.xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(content[:keep])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unbundle(tmp_path / "cut.tar.xz", tmp_path / "there")

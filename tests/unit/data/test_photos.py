# SPDX-License-Identifier: Apache-2.0
"""Photographs: copied small with licence and version, divided by file, complete or an error."""

from __future__ import annotations

import random
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from finesight.data.sources import photos
from finesight.data.sources.photos import PhotoLibrary, load_photo, shrink
from finesight.errors import DataError


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """A package of two photographs with its licence, in folders of its own."""
    monkeypatch.setattr(photos, "PHOTOGRAPHS", {"pack": ("lake.png", "hill.jpg")})
    folder = tmp_path / "unpacked" / "share"
    folder.mkdir(parents=True)
    Image.new("RGBA", (3000, 1500), (10, 200, 30, 255)).save(folder / "lake.png")
    Image.new("L", (200, 100), 90).save(folder / "hill.jpg")
    Image.new("L", (200, 100), 90).save(folder / "unused.jpg")
    (folder / "copyright").write_text("CC0")
    return tmp_path / "unpacked"


def test_photographs_are_at_most_1024_pixels_a_side(unpacked, tmp_path, monkeypatch):
    target = tmp_path / "photos" / "pack"
    monkeypatch.setattr(sys, "argv", ["photos", "pack", "1.2", str(unpacked), str(target)])
    photos.main()
    assert {path.name for path in target.iterdir()} == {
        "lake.jpg",
        "hill.jpg",
        "licence.txt",
        "version.txt",
    }
    assert load_photo(target / "lake.jpg").shape == (512, 1024, 3)
    assert load_photo(target / "hill.jpg").shape == (100, 200, 3)
    assert (target / "version.txt").read_text() == "1.2\n"
    assert (target / "licence.txt").read_text() == "CC0"


def test_a_package_without_a_photograph_or_licence_is_an_error(unpacked, tmp_path):
    (unpacked / "share" / "copyright").unlink()
    with pytest.raises(DataError, match=r"pack 1\.2 has no licence text"):
        shrink("pack", "1.2", unpacked, tmp_path / "out")
    (unpacked / "share" / "hill.jpg").unlink()
    with pytest.raises(DataError, match=r"pack 1\.2 has no hill\.jpg"):
        shrink("pack", "1.2", unpacked, tmp_path / "out")


def test_the_splits_share_no_photograph(assets):
    library = PhotoLibrary.read(assets)
    rng = random.Random(0)
    train = {library.choose(rng, "train").id for _ in range(200)}
    heldout = {library.choose(rng, "heldout").id for _ in range(200)}
    assert train | heldout == {photo.id for photo in library.photos}
    assert not train & heldout


def test_every_listed_photograph_has_a_split_of_its_own():
    """Held-out pictures have real photographs behind them."""
    splits = [
        photos.split_of(f"{package}/{name.rpartition('.')[0]}", photos.HELDOUT_SHARE)
        for package, names in photos.PHOTOGRAPHS.items()
        for name in names
    ]
    assert 5 <= splits.count("heldout") <= 9
    assert splits.count("train") >= 15


def test_what_is_missing_is_an_error(assets, tmp_path):
    with pytest.raises(DataError, match="no heldout photograph is installed"):
        PhotoLibrary([]).choose(random.Random(0), "heldout")
    shutil.copy(assets / "manifest.json", tmp_path)
    with pytest.raises(DataError, match=r"photograph .* of the manifest is missing"):
        PhotoLibrary.read(tmp_path)


def test_loaded_pixels_cannot_be_changed(assets):
    pixels = load_photo(PhotoLibrary.read(assets).photos[0].path)
    assert pixels.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0

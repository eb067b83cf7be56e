# SPDX-License-Identifier: Apache-2.0
"""Photographs for backgrounds, from openly licensed packages, split by file into training and held-out photographs.

`PHOTOGRAPHS` lists the files that are used. Photographs with letters in them are left out, because drawn pictures have
complete transcriptions. `shrink` copies the files of an unpacked package into the assets folder, at most `MAX_SIDE`
pixels a side.

    photos/<package>/<name>.jpg
    photos/<package>/licence.txt    the package's own licence text
    photos/<package>/version.txt
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from finesight.data.sources.assets import photo_files
from finesight.data.split import Split, split_of
from finesight.errors import DataError

__all__ = ["Photo", "PhotoLibrary", "shrink"]

HELDOUT_SHARE = 0.25
MAX_SIDE = 1024
JPEG_QUALITY = 90
PHOTOGRAPHS: dict[str, tuple[str, ...]] = {
    "scikit-image": ("brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
                     "hubble_deep_field.jpg", "ihc.png", "moon.png", "retina.jpg", "rocket.jpg"),
    "scikit-learn": ("china.jpg", "flower.jpg"),
    "mate-backgrounds": ("Aqua.jpg", "Blinds.jpg", "Dune.jpg", "FreshFlower.jpg", "Garden.jpg", "GreenMeadow.jpg",
                         "LadyBird.jpg", "RainDrops.jpg", "Storm.jpg", "TwoWings.jpg", "Wood.jpg", "YellowFlower.jpg"),
}  # fmt: skip
"""File names used of each package, without their folders."""

LICENCE_NAMES = ("copyright", "LICENSE.txt", "COPYING", "README.txt")
"""Names of licence texts in a package. The README.txt of scikit-learn's photographs states their own licence."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph.

    Attributes:
        id: `package/name`.
        path: JPEG file.
        split: "train" or "heldout".
    """

    id: str
    path: Path
    split: Split


class PhotoLibrary:
    """Photographs by split.

    Args:
        photos: every usable photograph.
    """

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.photos = tuple(photos)

    def choose(self, rng: random.Random, split: Split) -> Photo:
        """Draw a photograph.

        Raises:
            DataError: the split has none.
        """
        found = [photo for photo in self.photos if photo.split == split]
        if not found:
            raise DataError(
                f"no {split} photograph is installed",
                hint="run scripts/install-training-assets.sh, or give photographs no share of the backgrounds",
            )
        return rng.choice(found)

    @classmethod
    def read(cls, assets: Path) -> PhotoLibrary:
        """The photographs that the manifest of an assets folder lists; none is not an error.

        Raises:
            DataError: the manifest, or a file that it lists, is missing.
        """
        photos = []
        for name in photo_files(assets):
            path = assets / name
            if path.suffix != ".jpg":
                continue
            if not path.is_file():
                raise DataError(
                    f"photograph {path} of the manifest is missing",
                    hint=f"run scripts/install-training-assets.sh {assets}",
                )
            identity = f"{path.parent.name}/{path.stem}"
            photos.append(Photo(identity, path, split_of(identity, HELDOUT_SHARE)))
        return cls(photos)


@lru_cache(maxsize=64)
def load_photo(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels of a photograph, `uint8[H, W, 3]`; kept in memory, about 2 MB each."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


def shrink(package: str, version: str, unpacked: Path, target: Path) -> None:
    """Write the photographs of an unpacked package, with its licence texts and version, into `target`.

    Raises:
        DataError: a photograph or the licence text is not in the package.
    """
    target.mkdir(parents=True, exist_ok=True)
    found = {path.name: path for path in sorted(unpacked.rglob("*")) if path.is_file()}
    lacks = [name for name in PHOTOGRAPHS[package] if name not in found]
    if lacks:
        raise DataError(f"package {package} {version} has no {', '.join(lacks)}")
    for name in PHOTOGRAPHS[package]:
        with Image.open(found[name]) as image:
            picture = image.convert("RGB")
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        picture.save(target / f"{found[name].stem}.jpg", "JPEG", quality=JPEG_QUALITY)
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(unpacked.rglob("*"))
        if path.name in LICENCE_NAMES and path.is_file()
    ]
    if not texts:
        raise DataError(f"package {package} {version} has no licence text among {LICENCE_NAMES}")
    (target / "licence.txt").write_text("\n\n".join(texts), encoding="utf-8")
    (target / "version.txt").write_text(version + "\n", encoding="utf-8")


def main() -> None:
    """Entry of the asset script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", choices=sorted(PHOTOGRAPHS))
    parser.add_argument("version")
    parser.add_argument("unpacked", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    shrink(options.package, options.version, options.unpacked, options.target)


if __name__ == "__main__":
    main()

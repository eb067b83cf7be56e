# SPDX-License-Identifier: Apache-2.0
"""A small assets folder from matplotlib's fonts, some words and drawn sprites; needs no installed asset."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from finesight.data.sources.font_scan import scan_fonts
from finesight.data.sources.icons import SPRITE, Drawing, IconLibrary
from finesight.data.sources.words import WordLists, split_of_word
from finesight.processor.processor import Processor

WORDS = {
    "en": "of to the cat dog tree house stone river window bread paper green light water street "
    "garden summer winter number letter music school friend market planet silver orange doctor "
    "engine bridge forest island mother father sister brother yellow purple dinner kitchen "
    "bottle pencil carpet mirror basket hammer ticket travel nature season village mountain",
    "ru": "на он мир дом вода рука город земля книга время слово дерево работа дорога человек",
}


@pytest.fixture
def tiny_processor(tiny_model_folder) -> Processor:
    return Processor.from_folder(tiny_model_folder)


def matplotlib_fonts() -> list[Path]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(folder.glob("DejaVuS*.ttf")) + sorted(folder.glob("STIXGeneral*.ttf"))


def write_manifest(folder: Path, fonts: list[Path]) -> None:
    """One package per design, so that the split can put them on different sides."""
    assets = []
    for path in fonts:
        package = "fonts-" + path.stem.split("-")[0].lower()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assets.append(
            {"kind": "fonts", "package": package, "version": "1", "licence": "Bitstream-Vera",
             "files": {str(path): digest}}
        )  # fmt: skip
    assets.append(write_photos(folder))
    body = {"format": 1, "assets": assets}
    (folder / "manifest.json").write_text(json.dumps(body), encoding="utf-8")


def write_photos(folder: Path) -> dict[str, object]:
    """Six photographs of noise with a bright side, some of them held out; returns their manifest entry."""
    target = folder / "photos" / "drawn"
    target.mkdir(parents=True)
    files = {}
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 120, (300, 400, 3), dtype=np.uint8)
        pixels[:, 200:] += 130
        path = target / f"photo{number}.jpg"
        Image.fromarray(pixels).save(path, "JPEG")
        files[f"photos/drawn/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "kind": "photos",
        "package": "drawn",
        "version": "1",
        "licence": "CC0-1.0",
        "files": files,
    }


@pytest.fixture(scope="session")
def assets(tmp_path_factory) -> Path:
    """An assets folder with catalogue, words and icons."""
    folder = tmp_path_factory.mktemp("assets")
    write_manifest(folder, matplotlib_fonts())
    rows = [
        f"{language}\t{rank}\t{word}"
        for language, words in WORDS.items()
        for rank, word in enumerate(words.split())
    ]
    (folder / "words.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "sentences.tsv").write_text("en\tAll are born free.\n", encoding="utf-8")
    (folder / "prose.jsonl").write_text(prose_rows(), encoding="utf-8")
    catalogue, _ = scan_fonts(folder)
    catalogue.save(folder / "fonts.json")
    icon_library().save(folder)
    return folder


@pytest.fixture(scope="session")
def icons() -> IconLibrary:
    return icon_library()


@pytest.fixture(scope="session")
def words(assets) -> WordLists:
    return WordLists.read(assets, "train")


@pytest.fixture(scope="session")
def a_heldout_word() -> str:
    return next(word for word in WORDS["en"].split() if split_of_word(word) == "heldout")


def prose_rows() -> str:
    """Forty documents of one passage each, four sentences of eight words."""
    rows = []
    for number in range(40):
        sentences = [
            f"Sentence {place} of document {number} has eight words."
            for place in ("A", "B", "C", "D")
        ]
        rows.append(json.dumps({"document": f"book/{number}", "text": " ".join(sentences)}))
    return "\n".join(rows) + "\n"


def icon_library() -> IconLibrary:
    """Twelve things with one solid drawing each per split."""
    names = [
        "apple",
        "ball",
        "cup",
        "door",
        "egg",
        "fan",
        "gate",
        "hat",
        "ink",
        "jug",
        "key",
        "lamp",
    ]
    drawings, sprites = [], []
    for split in ("train", "heldout"):
        for number, name in enumerate(names):
            picture = Image.new("RGBA", (SPRITE, SPRITE))
            colour = (20 * number, 255 - 20 * number, (90 * number) % 256, 255)
            ImageDraw.Draw(picture).ellipse((10, 20, 100, 90), fill=colour)
            drawings.append(
                Drawing(f"{split}/{name}", name, split, "MIT", len(sprites), (10, 20, 101, 91))
            )
            sprites.append(np.array(picture))
    return IconLibrary(drawings, np.stack(sprites))

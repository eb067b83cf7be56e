# SPDX-License-Identifier: Apache-2.0
"""Drawings of everyday objects as sprites, split by drawing.

A concept ("cat") has several drawings: one or more icons in each of several icon sets. The split is by drawing: every
concept is in the training data, but held-out drawings of it are not. Only sets that have every concept contain
held-out drawings.

Sprites are rasterised once, at `SPRITE` pixels, and memory-mapped, so that builder processes share one copy.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from finesight import files
from finesight.data.sources.assets import ICON_SETS
from finesight.data.sources.concepts import concepts
from finesight.data.split import Split, unit_hash
from finesight.errors import DataError

__all__ = ["Drawing", "IconLibrary", "rasterise_icons"]

SPRITE = 112
FULL_SETS = frozenset({"noto", "fluent-emoji-flat", "twemoji", "openmoji"})
"""Sets with the whole emoji standard. The others have training drawings of some concepts."""
HELDOUT_SHARE = 0.18
MIN_SETS = 3
MIN_INK = 0.08
"""Least share of opaque pixels; thinner drawings are invisible at 24 pixels."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One drawing of an object.

    Attributes:
        id: `set/icon`.
        name: name of the object.
        split: "train" or "heldout".
        licence: licence of its set.
        row: index of its pixels in the sprite file.
        box: ink box `(x1, y1, x2, y2)` in sprite pixels.
    """

    id: str
    name: str
    split: Split
    licence: str
    row: int
    box: tuple[int, int, int, int]


class IconLibrary:
    """Sprites by concept and split.

    Args:
        drawings: every drawing.
        sprites: `uint8[N, SPRITE, SPRITE, 4]`, straight alpha.
    """

    def __init__(self, drawings: Sequence[Drawing], sprites: npt.NDArray[np.uint8]) -> None:
        self.drawings = tuple(drawings)
        self._sprites = sprites
        self._by_name: dict[tuple[str, str], list[Drawing]] = {}
        for drawing in self.drawings:
            self._by_name.setdefault((drawing.split, drawing.name), []).append(drawing)

    def names(self, split: Split) -> list[str]:
        """Concepts that have a drawing in the split, sorted."""
        return sorted(name for side, name in self._by_name if side == split)

    def drawings_of(self, split: Split, name: str) -> Sequence[Drawing]:
        """Drawings of a concept in a split."""
        return self._by_name[split, name]

    def sprite(self, drawing: Drawing) -> Image.Image:
        """The drawing cropped to its ink, mode "RGBA"."""
        x1, y1, x2, y2 = drawing.box
        return Image.fromarray(np.ascontiguousarray(self._sprites[drawing.row, y1:y2, x1:x2]))

    def save(self, assets: Path) -> None:
        """Write `icons.npy`, then `icons.json`, each by rename."""
        with (
            files.whole_file(assets / "icons.npy", error=DataError) as draft,
            draft.open("wb") as out,
        ):
            np.save(out, self._sprites)
        rows = ",\n".join(json.dumps(asdict(drawing)) for drawing in self.drawings)
        text = f'{{"format": 1, "drawings": [\n{rows}\n]}}\n'
        files.write_text(assets / "icons.json", text, error=DataError)

    @classmethod
    def read(cls, assets: Path) -> IconLibrary:
        """Read what `save` wrote; pixels are memory-mapped.

        Raises:
            DataError: it is missing or broken, or the two files differ in their number of sprites.
        """
        if not (assets / "icons.json").is_file():
            raise DataError(
                f"icon sprites {assets / 'icons.json'} are missing",
                hint=f"run finesight data sources {assets}",
            )
        try:
            body = json.loads((assets / "icons.json").read_text(encoding="utf-8"))
            drawings = [Drawing(**{**row, "box": tuple(row["box"])}) for row in body["drawings"]]
            sprites = np.load(assets / "icons.npy", mmap_mode="r")
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise DataError(
                f"icon sprites {assets / 'icons.npy'} and icons.json cannot be read: {error}",
                hint=f"run finesight data sources {assets} again",
            ) from error
        if len(sprites) != len(drawings):
            raise DataError(
                f"{assets / 'icons.npy'} holds {len(sprites)} sprites, icons.json {len(drawings)}",
                hint=f"run finesight data sources {assets} again",
            )
        return cls(drawings, sprites)


def rasterise_icons(assets: Path) -> IconLibrary:
    """Rasterise all drawings of every concept that at least three of the full icon sets have.

    Args:
        assets: folder with `npm/<set>/icons.json`.

    Raises:
        DataError: an icon set is missing.
    """
    sets = {name: _icon_set(assets / "npm" / name) for name in ICON_SETS}
    drawings: list[Drawing] = []
    sprites: list[npt.NDArray[np.uint8]] = []
    for name, icons in concepts().items():
        found = [
            (set_name, icon)
            for icon in icons
            for set_name in ICON_SETS
            if _plain(icon) in sets[set_name]
        ]
        pictures = [(key, _rasterise(sets[key[0]][_plain(key[1])])) for key in found]
        pictures = [(key, picture) for key, picture in pictures if _ink(picture) >= MIN_INK]
        full = [key for key, _ in pictures if key[0] in FULL_SETS]
        if len({set_name for set_name, _ in full}) < MIN_SETS:
            continue
        heldout = _heldout(name, [f"{set_name}/{icon}" for set_name, icon in full])
        for (set_name, icon), picture in pictures:
            drawing_id = f"{set_name}/{icon}"
            split: Split = "heldout" if drawing_id in heldout else "train"
            box = Image.fromarray(picture[:, :, 3] > 24).getbbox() or (0, 0, SPRITE, SPRITE)
            drawings.append(
                Drawing(drawing_id, name, split, ICON_SETS[set_name], len(sprites), box)
            )
            sprites.append(picture)
    return IconLibrary(drawings, np.stack(sprites))


def _heldout(name: str, drawing_ids: Sequence[str]) -> set[str]:
    """Held-out drawings of a concept, chosen by hash; at least two remain for training."""
    hashes = {key: unit_hash(f"{name}/{key}") for key in drawing_ids}
    chosen = [key for key in sorted(hashes, key=hashes.__getitem__) if hashes[key] < HELDOUT_SHARE]
    return set(chosen[: max(0, len(drawing_ids) - 2)])


def _icon_set(folder: Path) -> dict[str, str]:
    """SVG text of each icon, by its name as returned by `_plain`."""
    path = folder / "icons.json"
    if not path.is_file():
        raise DataError(
            f"icon set {path} is missing", hint="run scripts/install-training-assets.sh"
        )
    body = json.loads(path.read_text(encoding="utf-8"))
    width, height = body.get("width", 16), body.get("height", 16)
    return {
        _plain(name): (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {icon.get("width", width)} {icon.get("height", height)}">{icon["body"]}</svg>'
        )
        for name, icon in body["icons"].items()
        if not icon.get("hidden")
    }


def _plain(icon: str) -> str:
    """An icon's name without hyphens; one of the sets has none."""
    return icon.replace("-", "")


def _rasterise(svg: str) -> npt.NDArray[np.uint8]:
    """`uint8[SPRITE, SPRITE, 4]`; a drawing that is not square is centred."""
    import resvg_py  # only the asset step needs it

    png = bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE, height=SPRITE, skip_system_fonts=True)
    )
    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    canvas = Image.new("RGBA", (SPRITE, SPRITE))
    canvas.paste(drawn, ((SPRITE - drawn.width) // 2, (SPRITE - drawn.height) // 2))
    return np.array(canvas)


def _ink(picture: npt.NDArray[np.uint8]) -> float:
    """Share of pixels that are more than half opaque."""
    return float((picture[:, :, 3] > 128).mean())

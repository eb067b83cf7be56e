# SPDX-License-Identifier: Apache-2.0
"""Assets of user interfaces: icon sets, style sheets and template sites from npm, each in one split.

A concept ("trash") has a drawing in every icon set. The split is by set, so that held-out screens show known concepts
in unknown drawings. Style sheets and sites are also divided as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finesight.data.split import Split
from finesight.errors import DataError

__all__ = [
    "ICONS",
    "LOOKALIKE",
    "SITES",
    "STYLE_SHEETS",
    "IconSet",
    "Site",
    "read_icon_sets",
    "style_sheet",
]

SET_SPLITS: dict[str, Split] = {
    "lucide": "train", "tabler": "train", "bi": "train", "mdi": "train", "ph": "heldout", "iconoir": "heldout",
}  # fmt: skip
SET_NAMES = tuple(SET_SPLITS)
SET_SIZES = {"bi": 16, "ph": 256}
"""Side of the view box of a set, where it is not 24."""

_TABLE = """
trash: trash trash trash trash-can-outline trash trash
search: search search search magnify magnifying-glass search
gear: settings settings gear cog-outline gear settings
bell: bell bell bell bell-outline bell bell
heart: heart heart heart heart-outline heart heart
star: star star star star-outline star star
house: house home house home-outline house home
envelope: mail mail envelope email-outline envelope mail
calendar: calendar calendar calendar calendar-blank-outline calendar-blank calendar
camera: camera camera camera camera-outline camera camera
phone: phone phone telephone phone-outline phone phone
pencil: pencil pencil pencil pencil-outline pencil-simple edit-pencil
plus: plus plus plus-lg plus plus plus
cross: x x x-lg close x xmark
check mark: check check check-lg check check check
download: download download download download download-simple download
upload: upload upload upload upload upload-simple upload
shopping cart: shopping-cart shopping-cart cart cart-outline shopping-cart cart
shopping bag: shopping-bag shopping-bag bag shopping-outline shopping-bag shopping-bag
lock: lock lock lock lock-outline lock lock
eye: eye eye eye eye-outline eye eye
folder: folder folder folder folder-outline folder folder
printer: printer printer printer printer-outline printer printer
floppy disk: save device-floppy floppy content-save-outline floppy-disk floppy-disk
flag: flag flag flag flag-outline flag white-flag
bookmark: bookmark bookmark bookmark bookmark-outline bookmark-simple bookmark
map pin: map-pin map-pin geo-alt map-marker-outline map-pin map-pin
microphone: mic microphone mic microphone-outline microphone microphone
speaker: volume-2 volume volume-up volume-high speaker-high sound-high
play: play player-play play play-outline play play
pause: pause player-pause pause pause pause pause
skip forward: skip-forward player-skip-forward skip-forward skip-forward-outline skip-forward skip-next
skip back: skip-back player-skip-back skip-backward skip-backward-outline skip-back skip-prev
left arrow: arrow-left arrow-left arrow-left arrow-left arrow-left arrow-left
right arrow: arrow-right arrow-right arrow-right arrow-right arrow-right arrow-right
user: user user person account-outline user user
people: users users people account-multiple-outline users group
three dots: ellipsis dots three-dots dots-horizontal dots-three more-horiz
menu: menu menu-2 list menu list menu
share: share-2 share share share-variant-outline share-network share-android
link: link link link-45deg link-variant link link
paper clip: paperclip paperclip paperclip paperclip paperclip attachment
paper plane: send send send send-outline paper-plane-tilt send-diagonal
funnel: funnel filter funnel filter-outline funnel filter
refresh: refresh-cw refresh arrow-clockwise refresh arrow-clockwise refresh
undo: undo-2 arrow-back-up arrow-counterclockwise undo arrow-u-up-left undo
redo: redo-2 arrow-forward-up - redo arrow-u-up-right redo
copy: copy copy copy content-copy copy copy
scissors: scissors scissors scissors content-cut scissors scissor
clipboard: clipboard clipboard clipboard clipboard-outline clipboard paste-clipboard
picture: image photo image image-outline image media-image
file: file file file-earmark file-outline file empty-page
cloud: cloud cloud cloud cloud-outline cloud cloud
sun: sun sun sun white-balance-sunny sun sun-light
moon: moon moon moon weather-night moon half-moon
globe: globe world globe web globe globe
clock: clock clock clock clock-outline clock clock
credit card: credit-card credit-card credit-card credit-card-outline credit-card credit-card
gift: gift gift gift gift-outline gift gift
bar chart: chart-column chart-bar bar-chart chart-bar chart-bar stats-report
pie chart: chart-pie chart-pie pie-chart chart-pie chart-pie-slice percentage-circle
thumbs up: thumbs-up thumb-up hand-thumbs-up thumb-up-outline thumbs-up thumbs-up
thumbs down: thumbs-down thumb-down hand-thumbs-down thumb-down-outline thumbs-down thumbs-down
speech bubble: message-circle message-circle chat chat-outline chat-circle chat-bubble-empty
info: info info-circle info-circle information-outline info info-circle
question mark: circle-question-mark help-circle question-circle help-circle-outline question help-circle
warning triangle: triangle-alert alert-triangle exclamation-triangle alert-outline warning warning-triangle
log out: log-out logout box-arrow-right logout sign-out log-out
bold: bold bold type-bold format-bold text-b bold
italic: italic italic type-italic format-italic text-italic italic
underline: underline underline type-underline format-underline text-underline underline
bullet list: list list list-ul format-list-bulleted list-bullets list
grid: layout-grid layout-grid grid view-grid-outline squares-four view-grid
palette: palette palette palette palette-outline palette palette
battery: battery battery battery battery-outline battery-empty battery-empty
wifi: wifi wifi wifi wifi wifi-high wifi
key: key key key key-outline key key
shield: shield shield shield shield-outline shield shield
tag: tag tag tag tag-outline tag label
truck: truck truck truck truck-outline truck truck
music note: music music music-note-beamed music music-notes music-double-note
video camera: video video camera-video video-outline video-camera video-camera
headphones: headphones headphones headphones headphones headphones headset
light bulb: lightbulb bulb lightbulb lightbulb-outline lightbulb light-bulb
lightning: zap bolt lightning lightning-bolt-outline lightning flash
archive box: archive archive archive archive-outline archive archive
rocket: rocket rocket rocket rocket-launch-outline rocket-launch rocket
book: book-open book book book-open-outline book-open open-book
trophy: trophy trophy trophy trophy-outline trophy trophy
coffee cup: coffee coffee cup-hot coffee-outline coffee coffee-cup
"""


@dataclass(frozen=True, slots=True)
class IconSet:
    """Line drawings of one set.

    Attributes:
        name: of the set.
        bodies: SVG elements by concept.
        side: of the view box.
    """

    name: str
    bodies: Mapping[str, str]
    side: int

    def svg(self, concept: str, pixels: int) -> str:
        """The drawing in the text's colour, `pixels` high and wide."""
        view = f"0 0 {self.side} {self.side}"
        return (
            f'<svg viewBox="{view}" width="{pixels}" height="{pixels}">{self.bodies[concept]}</svg>'
        )


@dataclass(frozen=True, slots=True)
class Site:
    """Pages of a template site.

    Attributes:
        folder: under `npm/`.
        pattern: of its pages, relative to the folder.
        split: which the whole site belongs to.
        skipped: names of pages that show nothing without a network.
    """

    folder: str
    pattern: str
    split: Split
    skipped: frozenset[str] = frozenset()

    def pages(self, assets: Path) -> list[Path]:
        """Its pages, sorted.

        Raises:
            DataError: it is not installed.
        """
        found = sorted((assets / "npm" / self.folder).glob(self.pattern))
        if not found:
            raise _missing(assets, self.folder)
        return [page for page in found if page.stem not in self.skipped]


SITES = (
    Site(
        "adminator-admin-dashboard",
        "dist/*.html",
        "train",
        frozenset({"google-maps", "vector-maps", "404", "500"}),
    ),
    Site(
        "gentelella",
        "dist/production/*.html",
        "train",
        frozenset(
            {"map", "echarts", "maintenance", "coming_soon", "page_403", "page_404", "page_500"}
        ),
    ),
    Site("soft-ui-dashboard", "pages/*.html", "train", frozenset({"rtl"})),
    Site("startbootstrap-sb-admin", "dist/*.html", "train", frozenset({"401", "404", "500"})),
    Site("startbootstrap-sb-admin-2", "*.html", "heldout", frozenset({"404", "blank"})),
)

STYLE_SHEETS: dict[str, tuple[str, ...]] = {
    "bootstrap": ("dist/css/bootstrap.min.css",),
    "pico": tuple(f"css/pico.{hue}.min.css" for hue in ("blue", "violet", "green", "orange", "slate", "red")),
    "spectre.css": ("dist/spectre.min.css",),
    "water.css": ("out/light.min.css", "out/dark.min.css"),
    "mvp.css": ("mvp.css",),
    "sakura.css": ("css/sakura.css", "css/sakura-earthly.css", "css/sakura-vader.css", "css/sakura-ink.css"),
    "98.css": ("dist/98.css",),
    "xp.css": ("dist/XP.css",),
    "milligram": ("dist/milligram.min.css",),
    "chota": ("dist/chota.min.css",),
}  # fmt: skip
"""Files of each package of style sheets; one is drawn for a screen."""


def read_icon_sets(assets: Path, split: Split) -> list[IconSet]:
    """The icon sets of a split.

    Raises:
        DataError: a set is not installed, or lacks an icon.
    """
    return [_icon_set(assets, name) for name in SET_NAMES if SET_SPLITS[name] == split]


def style_sheet(assets: Path, package: str, file: str) -> str:
    """Text of a style sheet.

    Raises:
        DataError: it is not installed.
    """
    path = assets / "npm" / package / file
    if not path.is_file():
        raise _missing(assets, package)
    return path.read_text(encoding="utf-8")


def _icon_set(assets: Path, name: str) -> IconSet:
    path = assets / "npm" / name / "icons.json"
    if not path.is_file():
        raise _missing(assets, name)
    icons = json.loads(path.read_text(encoding="utf-8"))["icons"]
    drawings = {concept: row[name] for concept, row in ICONS.items() if name in row}
    if absent := sorted(icon for icon in drawings.values() if icon not in icons):
        raise DataError(
            f"icon set {name} lacks {', '.join(absent)}", hint="install the pinned version"
        )
    bodies = {concept: str(icons[icon]["body"]) for concept, icon in drawings.items()}
    return IconSet(name, bodies, SET_SIZES.get(name, 24))


def _missing(assets: Path, package: str) -> DataError:
    return DataError(
        f"package {package} is missing in {assets / 'npm'}",
        hint=f"run scripts/install-training-assets.sh {assets}",
    )


def _icons() -> dict[str, dict[str, str]]:
    """Name in each set by concept."""
    found: dict[str, dict[str, str]] = {}
    for line in _TABLE.strip().splitlines():
        concept, _, names = line.partition(": ")
        drawn = dict(zip(SET_NAMES, names.split(), strict=True))
        found[concept] = {name: icon for name, icon in drawn.items() if icon != "-"}
    return found


ICONS = _icons()
"""Name of its icon in each set, by concept; a set that lacks it is left out."""

LOOKALIKE: dict[str, str] = {
    "bullet list": "menu", "three dots": "menu", "share": "link", "refresh": "undo",
    "shopping bag": "shopping cart", "user": "people", "book": "bookmark", "info": "question mark",
    "bar chart": "pie chart", "video camera": "camera", "thumbs down": "thumbs up", "file": "clipboard",
    "redo": "undo", "tag": "bookmark", "lightning": "light bulb", "flag": "bookmark",
}  # fmt: skip
"""Concepts whose small drawings may be confused; a screen shows at most one of each pair."""

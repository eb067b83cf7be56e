# SPDX-License-Identifier: Apache-2.0
"""Templates of screens of phones."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from finesight.data.builders.screens.components import Ui
from finesight.data.builders.screens.content import ACTIONS, MENU, OPTIONS, TABS
from finesight.data.builders.screens.layout import block, column, grid, grow, row
from finesight.data.builders.screens.templates import Template
from finesight.data.split import Split

__all__ = ["MOBILE"]

PLACES = ("house", "user", "heart", "bell", "grid", "folder", "shopping bag", "calendar")
PLAYER_TOOLS = ("heart", "share", "bullet list", "speaker", "clock")
POST_TOOLS = ("heart", "speech bubble", "share", "bookmark", "thumbs up")


def _status(ui: Ui) -> str:
    """The line at the top of a phone."""
    icons = row(ui.svg("wifi", 1), ui.svg("battery", 1))
    return row(
        f"<span>{ui.content.time()}</span>", icons, shape="x-between", css="padding: .1em .6em"
    )


def _phone(ui: Ui, title: str, body: str, *, foot: str = "") -> str:
    """A status line, a bar, a body, and perhaps tabs at the bottom."""
    wanted = ("search", "three dots", "plus", "pencil")
    ends = [ui.icon_button(*wanted, plain=True) for _ in range(ui.rng.randint(0, 2))]
    back = ui.icon_button("left arrow", "menu", "cross", plain=True)
    bar = ui.bar(back, f'<b class="x-grow x-clip">{escape(title)}</b>', *ends)
    return column(_status(ui), bar, grow(body), foot or _tab_bar(ui), shape="x-fill", css="gap: 0")


def _tab_bar(ui: Ui) -> str:
    """Icons with labels at the bottom edge, or nothing."""
    if ui.has(0.3):
        return ""
    labels = ui.rng.sample([label for label in MENU if len(label) < 9], ui.rng.randint(3, 4))
    chosen = ui.rng.randrange(len(labels))
    cells = [ui.place(label, *PLACES, is_on=index == chosen) for index, label in enumerate(labels)]
    return row(*cells, shape="x-side", css="gap: 0")


def home(ui: Ui) -> str:
    """Apps in a grid."""
    columns = 4 if ui.size.width > 20 * ui.style.pixels else 3
    short = [label for label in MENU if len(label) < 10]
    labels = ui.content.labels(short, columns * 2, columns * ui.fitting(6.5, 2, 6))
    search = row(ui.search(), shape="x-pad")
    return _status(ui) + search + grid(columns, *map(ui.app, labels), shape="x-pad")


def settings(ui: Ui) -> str:
    """Entries and switches below each other."""
    rows = []
    for label in ui.content.labels(OPTIONS, 4, ui.fitting(2.8, 4, 12)):
        icon = ui.concept() if ui.has(0.5) else ""
        if ui.has(0.5):
            rows.append(block(ui.switch(label, icon=icon), css="padding: .35em .6em"))
        else:
            below = ui.content.title(1, 2) if ui.has(0.4) else ""
            rows.append(ui.entry(label, below, lead=ui.svg(icon) if icon else ""))
    name = ui.rng.choice(("Volume", "Brightness", "Zoom", "Speed"))
    slider = block(ui.slider(name), shape="x-pad") if ui.has(0.4) else ""
    title = ui.rng.choice(("Settings", "Options", "Preferences", ui.content.title(1, 1)))
    return _phone(ui, title, block(slider, *rows))


def feed(ui: Ui) -> str:
    """Cards of people with a picture and buttons."""
    cards = []
    for index in range(3):
        person = ui.content.person()
        head = ui.entry(person, ui.content.date(), lead=ui.avatar(person))
        icons = [ui.icon_button(*POST_TOOLS, plain=True) for _ in range(3)] if index == 0 else []
        tools = icons or [ui.button(ui.content.label(ACTIONS))]
        text = f"<p>{escape(ui.content.sentence(3, 7))}</p>"
        cards.append(ui.card(head, ui.thumb(ui.rng.randint(4, 8)), row(*tools), text))
    return _phone(ui, ui.content.title(1, 1), column(*cards, shape="x-pad"))


def listing(ui: Ui) -> str:
    """A list with tabs, and a round button above it."""
    tabs = ui.tabs(ui.content.labels(TABS, 2, 3)) if ui.has(0.6) else ""
    rows = []
    for _ in range(ui.fitting(3.4, 3, 12)):
        lead = ui.avatar(ui.content.person()) if ui.has(0.7) else ""
        rows.append(
            ui.entry(ui.content.title(1, 3), ui.content.title(2, 4), lead=lead, trail=ui.moment())
        )
    plus = ui.round_button("plus", "pencil", "camera") if ui.has(0.5) else ""
    body = block(
        block(ui.search(), shape="x-pad"),
        tabs,
        *rows,
        plus,
        shape="x-fill",
        css="position: relative",
    )
    return _phone(ui, ui.content.title(1, 2), body)


def player(ui: Ui) -> str:
    """A player of music."""
    names = ("skip back", "pause" if ui.has(0.5) else "play", "skip forward")
    tools = row(*(ui.icon_button(name, ems=1.8, plain=True) for name in names), shape="x-center")
    more = row(*(ui.icon_button(*PLAYER_TOOLS, plain=True) for _ in range(3)), shape="x-between")
    singer = f'<span class="x-muted">{escape(ui.content.person())}</span>'
    times = row(*(f"<span>{ui.content.time()}</span>" for _ in range(2)), shape="x-between x-muted")
    cover = ui.thumb(max(4.0, ui.size.height / ui.style.pixels - 22))
    parts = (
        cover,
        ui.heading(ui.content.title(1, 3)),
        singer,
        ui.track(ui.rng.randint(5, 95)),
        times,
        tools,
        more,
    )
    return _phone(ui, ui.content.title(1, 2), column(*parts, shape="x-pad"))


def chat(ui: Ui) -> str:
    """Messages on both sides and a field below."""
    bubbles = [
        ui.bubble(ui.content.title(2, 6), is_own=ui.has(0.5)) for _ in range(ui.fitting(4, 2, 9))
    ]
    wanted = ("paper clip", "picture", "microphone")
    icons = [ui.icon_button(*wanted, plain=True) for _ in range(ui.rng.randint(0, 2))]
    field = ui.search(
        ui.rng.choice(("Message", "Type a message", "Write something")), role="textbox"
    )
    foot = row(*icons, field, ui.icon_button("paper plane", plain=True), shape="x-pad x-side")
    return _phone(ui, ui.content.person(), column(*bubbles, shape="x-pad"), foot=foot)


def profile(ui: Ui) -> str:
    """A person with numbers, buttons and a menu."""
    person = ui.content.person()
    address = f'<span class="x-muted">{escape(ui.content.email())}</span>'
    head = column(ui.avatar(person), ui.heading(person), address, shape="x-center")
    numbers = [
        column(
            f"<b>{ui.content.number()}</b>",
            f'<span class="x-muted">{name}</span>',
            shape="x-center x-grow",
        )
        for name in ("Posts", "Followers", "Following")
    ]
    buttons = row(ui.button("Follow", is_primary=True), ui.button("Message"), shape="x-center")
    menu = ui.menu(ui.content.labels(MENU, 3, ui.fitting(3.2, 3, 8)), icon_share=0.8)
    return _phone(
        ui, ui.content.title(1, 1), column(head, row(*numbers), buttons, menu, shape="x-pad")
    )


MOBILE: Mapping[str, tuple[Template, Split]] = {
    "home": (home, "train"), "phone_settings": (settings, "train"), "feed": (feed, "train"),
    "list": (listing, "train"), "player": (player, "train"), "chat": (chat, "heldout"),
    "profile": (profile, "heldout"),
}  # fmt: skip

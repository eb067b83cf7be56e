# SPDX-License-Identifier: Apache-2.0
"""Templates of screens of phones, and of chats, which phones and computers show alike."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from finesight.data.builders.screens.components import Ui
from finesight.data.builders.screens.content import ACTIONS, MENU, OPTIONS, TABS
from finesight.data.builders.screens.templates import Template
from finesight.data.split import Split

__all__ = ["MOBILE"]


def _phone(ui: Ui, title: str, body: str, *, foot: str = "") -> str:
    """A status line, a bar, a body, and perhaps tabs at the bottom."""
    status = f'<div class="x-row x-between" style="padding:.1em .6em"><span>{ui.content.time()}</span><span class="x-row">{ui.svg("wifi", 1)}{ui.svg("battery", 1)}</span></div>'
    end = "".join(ui.icon_button("search", "three dots", "plus", "pencil", plain=True) for _ in range(ui.rng.randint(0, 2)))
    bar = ui.bar(ui.icon_button("left arrow", "menu", "cross", plain=True), f'<b class="x-grow x-clip">{escape(title)}</b>', end)
    return f'<div class="x-col x-fill" style="gap:0">{status}{bar}<div class="x-grow">{body}</div>{foot or _tab_bar(ui)}</div>'


def _tab_bar(ui: Ui) -> str:
    """Icons with labels at the bottom edge."""
    if ui.has(0.3):
        return ""
    cells = ""
    count = ui.rng.randint(3, 4)
    chosen = ui.rng.randrange(count)
    for index, label in enumerate(ui.rng.sample([label for label in MENU if len(label) < 9], count)):
        concept = ui.concept("house", "user", "heart", "bell", "grid", "folder", "shopping bag", "calendar")
        ink = "color:var(--accent)" if index == chosen else ""
        cells += f'<div class="x-col x-center x-grow" style="gap:.1em;padding:.3em 0;{ink}" data-part="tab" data-icon="{concept}">{ui.svg(concept, 1.4)}<span style="font-size:.85em">{label}</span></div>'
    return f'<div class="x-row x-side" style="gap:0">{cells}</div>'


def home(ui: Ui) -> str:
    """Apps in a grid."""
    columns = 4 if ui.size.width > 20 * ui.style.pixels else 3
    cells = ""
    for label in ui.content.labels([label for label in MENU if len(label) < 10], columns * 2, columns * ui.fitting(6.5, 2, 6)):
        hue = ui.rng.randrange(360)
        concept = ui.concept(label.lower())
        tile = f'<span style="padding:.6em;border-radius:.8em;color:#fff;background:hsl({hue} 55% 42%)">{ui.svg(concept, 1.7)}</span>'
        cells += f'<div class="x-col x-center" style="gap:.2em" data-part="button" data-icon="{concept}">{tile}<span style="font-size:.9em">{escape(label)}</span></div>'
    grid = f'<div class="x-grid x-pad" style="grid-template-columns:repeat({columns},minmax(0,1fr));align-content:start">{cells}</div>'
    top = f'<div class="x-row x-between" style="padding:.1em .6em"><span>{ui.content.time()}</span><span class="x-row">{ui.svg("wifi", 1)}{ui.svg("battery", 1)}</span></div>'
    return f'{top}<div class="x-pad x-row">{ui.search()}</div>{grid}'


def settings(ui: Ui) -> str:
    """Entries and switches below each other."""
    rows = ""
    for label in ui.content.labels(OPTIONS, 4, ui.fitting(2.8, 4, 12)):
        icon = ui.concept() if ui.has(0.5) else ""
        if ui.has(0.5):
            rows += f'<div class="x-item" style="display:block">{ui.switch(label, icon=icon)}</div>'
        else:
            rows += ui.row(label, ui.content.title(1, 2) if ui.has(0.4) else "", lead=ui.svg(icon) if icon else "")
    slider = f'<div class="x-pad">{ui.slider(ui.rng.choice(("Volume", "Brightness", "Zoom", "Speed")))}</div>' if ui.has(0.4) else ""
    return _phone(ui, ui.rng.choice(("Settings", "Options", "Preferences", ui.content.title(1, 1))), slider + rows)


def feed(ui: Ui) -> str:
    """Cards of people with a picture and buttons."""
    cards = ""
    for index in range(3):
        person = ui.content.person()
        head = ui.row(person, ui.content.date(), lead=ui.avatar(person))
        tools = "".join(ui.icon_button("heart", "speech bubble", "share", "bookmark", "thumbs up", plain=True) for _ in range(3)) if index == 0 else ui.button(ui.content.label(ACTIONS))
        cards += ui.card(head, ui.thumb(ui.rng.randint(4, 8)), f'<div class="x-row">{tools}</div>', f"<p>{escape(ui.content.sentence(3, 7))}</p>")
    return _phone(ui, ui.content.title(1, 1), f'<div class="x-col x-pad">{cards}</div>')


def listing(ui: Ui) -> str:
    """A list with tabs, and a round button above it."""
    tabs = ui.tabs(ui.content.labels(TABS, 2, 3)) if ui.has(0.6) else ""
    rows = "".join(
        ui.row(ui.content.title(1, 3), ui.content.title(2, 4), lead=ui.avatar(ui.content.person()) if ui.has(0.7) else "", trail=f'<span class="x-muted">{ui.content.time()}</span>')
        for _ in range(ui.fitting(3.4, 3, 12))
    )
    concept = ui.concept("plus", "pencil", "camera")
    plus = f'<div style="position:absolute;right:1em;bottom:1em;padding:.8em;border-radius:50%;background:var(--accent);color:#fff" data-part="button" data-icon="{concept}">{ui.svg(concept, 1.5)}</div>' if ui.has(0.5) else ""
    return _phone(ui, ui.content.title(1, 2), f'<div class="x-fill" style="position:relative"><div class="x-pad">{ui.search()}</div>{tabs}{rows}{plus}</div>')


def player(ui: Ui) -> str:
    """A player of music."""
    tools = "".join(ui.icon_button(name, ems=1.8, plain=True) for name in ("skip back", "pause" if ui.has(0.5) else "play", "skip forward"))
    more = "".join(ui.icon_button("heart", "share", "bullet list", "speaker", "clock", plain=True) for _ in range(3))
    share = ui.rng.randint(5, 95)
    track = f'<span class="x-track" style="width:100%"><i style="width:{share}%"></i><b style="left:{share}%"></b></span>'
    times = f'<div class="x-row x-between x-muted"><span>{ui.content.time()}</span><span>{ui.content.time()}</span></div>'
    height = max(4.0, ui.size.height / ui.style.pixels - 22)
    body = f'<div class="x-col x-pad">{ui.thumb(height)}{ui.heading(ui.content.title(1, 3))}<span class="x-muted">{escape(ui.content.person())}</span>{track}{times}<div class="x-row x-center">{tools}</div><div class="x-row x-between">{more}</div></div>'
    return _phone(ui, ui.content.title(1, 2), body)


def chat(ui: Ui) -> str:
    """Messages on both sides and a field below."""
    bubbles = ""
    for _ in range(ui.fitting(4, 2, 9)):
        mine = ui.has(0.5)
        paint = "background:var(--accent);color:#fff;margin-left:auto" if mine else "background:#8883;margin-right:auto"
        bubbles += f'<div style="max-width:75%;padding:.4em .7em;border-radius:.9em;{paint}" data-part="text">{escape(ui.content.title(2, 6))}</div>'
    icons = "".join(ui.icon_button("paper clip", "picture", "microphone", plain=True) for _ in range(ui.rng.randint(0, 2)))
    hint = ui.rng.choice(("Message", "Type a message", "Write something", "Aa"))
    foot = f'<div class="x-row x-pad x-side">{icons}<span class="x-field x-grow" data-part="textbox" data-name="message"><input class="{ui.style.of("input")}"><span class="x-value x-muted">{hint}</span></span>{ui.icon_button("paper plane", plain=True)}</div>'
    return _phone(ui, ui.content.person(), f'<div class="x-col x-pad">{bubbles}</div>', foot=foot)


def profile(ui: Ui) -> str:
    """A person with numbers, buttons and a menu."""
    person = ui.content.person()
    head = f'<div class="x-col x-center">{ui.avatar(person)}{ui.heading(person)}<span class="x-muted">{escape(ui.content.email())}</span></div>'
    numbers = "".join(f'<div class="x-col x-center x-grow" style="gap:0"><b>{ui.content.number()}</b><span class="x-muted">{name}</span></div>' for name in ("Posts", "Followers", "Following"))
    buttons = f'<div class="x-row x-center">{ui.button("Follow", is_primary=True)}{ui.button("Message")}</div>'
    menu = ui.menu(ui.content.labels(MENU, 3, ui.fitting(3.2, 3, 8)), icon_share=0.8)
    return _phone(ui, ui.content.title(1, 1), f'<div class="x-col x-pad">{head}<div class="x-row">{numbers}</div>{buttons}{menu}</div>')


MOBILE: Mapping[str, tuple[Template, Split]] = {
    "home": (home, "train"), "phone_settings": (settings, "train"), "feed": (feed, "train"), "list": (listing, "train"),
    "player": (player, "train"), "chat": (chat, "heldout"), "profile": (profile, "heldout"),
}  # fmt: skip

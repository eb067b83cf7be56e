# SPDX-License-Identifier: Apache-2.0
"""Templates of screens of computers: each arranges components that fit its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from finesight.data.builders.screens.components import Ui
from finesight.data.builders.screens.content import (
    ACTIONS,
    COLUMNS,
    FIELDS,
    MENU,
    OPTIONS,
    TABS,
)
from finesight.data.builders.screens.layout import block, column, grid, grow, row
from finesight.data.split import Split

__all__ = ["DESKTOP", "Template"]

Template = Callable[[Ui], str]
MAIL_TOOLS = ("archive box", "trash", "envelope", "clock", "flag", "refresh", "three dots", "tag")
FILE_TOOLS = ("left arrow", "right arrow", "upload", "refresh", "trash", "grid", "scissors", "copy")
EDITOR_TOOLS = (
    "bold", "italic", "underline", "bullet list", "undo", "redo", "scissors", "copy", "clipboard", "link", "picture",
    "printer", "floppy disk", "palette", "search",
)  # fmt: skip
EDITOR_MENUS = ("File", "Edit", "View", "Insert", "Format", "Tools", "Table", "Window", "Help")
SIGN_IN = ("Sign in", "Log in", "Welcome back", "Create account", "Sign up")
TWO_COLUMNS = 42
"""Least width of a screen with two columns, in ems."""


def _top_bar(ui: Ui) -> str:
    """A bar with a title, perhaps links or a search box, and icons."""
    parts = [f'<b class="x-clip">{escape(ui.content.title(1, 2))}</b>']
    if ui.has(0.5):
        parts.insert(0, ui.icon_button("menu", "left arrow", "house", plain=True))
    if not ui.is_narrow and ui.has(0.5):
        parts += [ui.link(label) for label in ui.content.labels(MENU, 2, 4)]
    parts.append(ui.search() if ui.has(0.5) else grow())
    parts += [ui.icon_button() for _ in range(ui.rng.randint(1, 2 if ui.is_narrow else 4))]
    if ui.has(0.4):
        parts.append(ui.avatar(ui.content.person()))
    return ui.bar(*parts)


def _titled(ui: Ui, body: str) -> str:
    """A page with a bar at the top."""
    return column(_top_bar(ui), grow(body), shape="x-fill", css="gap: 0")


def _beside(ui: Ui, body: str) -> str:
    """A menu at the side and a body; on a narrow screen a bar at the top and the body."""
    if ui.is_narrow:
        return _titled(ui, body)
    menu = ui.menu(ui.content.labels(MENU, 4, ui.fitting(2.0, 4, 10)))
    brand = block(escape(ui.content.title(1, 1)), shape="x-item x-bold")
    side = block(
        brand, menu, shape=ui.style.of("side"), css="width: 10.5em; flex: none; padding: .4em"
    )
    inner = row(
        side, grow(body, css="height: 100%"), shape="x-fill", css="align-items: stretch; gap: 0"
    )
    return _titled(ui, inner) if ui.has(0.4) else inner


def _actions(ui: Ui, low: int, high: int) -> str:
    """Buttons beside each other, the first or last of which is the primary one."""
    labels = ui.content.labels(ACTIONS, low, high)
    first = 0 if ui.has(0.5) else len(labels) - 1
    drawn = [
        ui.button(label, icon=ui.concept() if ui.has(0.2) else "", is_primary=index == first)
        for index, label in enumerate(labels)
    ]
    return row(*drawn, shape="x-wrap")


def _num_columns(ui: Ui) -> int:
    return 1 if ui.size.width < TWO_COLUMNS * ui.style.pixels else 2


def login(ui: Ui) -> str:
    """A form to sign in, centred."""
    is_wide, space = ui.has(0.6), ui.fitting(3, 1, 9)
    parts = [ui.heading(ui.rng.choice((*SIGN_IN, ui.content.title(1, 2))), 1 if ui.has(0.4) else 2)]
    parts += [ui.field(it) for it in (["Email"] if ui.has(0.6) else ui.content.some(FIELDS, 1, 2))]
    parts.append(ui.field("Password", is_secret=True))
    if space > 5:
        parts.append(
            ui.check(ui.rng.choice(("Remember me", "Keep me signed in", "I accept the terms")))
        )
    go = ui.rng.choice(("Sign in", "Log in", "Continue", "Submit", "Create account"))
    parts.append(ui.button(go, is_primary=True, is_wide=is_wide))
    links = ["Forgot password?", ui.rng.choice(("Create an account", "Sign up", "Need help?"))]
    parts.append(row(*map(ui.link, links[: 1 if ui.is_narrow else 2]), shape="x-between"))
    if space > 7 and ui.has(0.5):
        names = ui.rng.sample(("Google", "Apple", "GitHub", "Microsoft", "SSO"), 2)
        parts += [ui.button(f"Continue with {name}", is_wide=is_wide) for name in names]
    return row(ui.card(*parts, css="width: 20em; max-width: 96%"), shape="x-center x-fill x-pad")


def settings(ui: Ui) -> str:
    """Options, fields and drop-down lists in groups."""
    blocks = [ui.card(ui.heading(ui.content.label(TABS)), *_options(ui)) for _ in range(3)]
    tabs = ui.tabs(ui.content.labels(TABS, 2, 3 if ui.is_narrow else 5)) if ui.has(0.6) else ""
    above = _actions(ui, 1, 2) if ui.has(0.5) else ""
    body = column(tabs, above, grid(_num_columns(ui), *blocks), _actions(ui, 1, 2), shape="x-pad")
    return _beside(ui, body)


def _options(ui: Ui) -> list[str]:
    """Two or three options of one kind."""
    kind = ui.rng.choice(("switch", "check", "field", "select", "slider", "radio"))
    labels = ui.content.labels(FIELDS if kind in ("field", "select") else OPTIONS, 2, 3)
    if kind == "radio":
        chosen = ui.rng.randrange(len(labels))
        return [
            ui.check(label, "radio", is_on=index == chosen) for index, label in enumerate(labels)
        ]
    makers: dict[str, Callable[[str], str]] = {
        "switch": ui.switch,
        "check": ui.check,
        "field": ui.field,
        "slider": ui.slider,
    }
    if kind == "select":
        return [ui.select(label, ui.content.value(label)) for label in labels]
    return [makers[kind](label) for label in labels]


def mail(ui: Ui) -> str:
    """Messages below each other with a bar of icons."""
    has_boxes = ui.style.name not in ("98.css", "xp.css") and ui.has(0.6)
    rows = []
    for _ in range(ui.fitting(3, 2, 12)):
        lead = ui.box() if has_boxes else ui.avatar(ui.content.person())
        rows.append(
            ui.entry(ui.content.person(), ui.content.title(2, 5), lead=lead, trail=ui.moment())
        )
    compose = ui.rng.choice(("Compose", "New message", "Write"))
    tools = [] if ui.is_narrow else [ui.icon_button(*MAIL_TOOLS) for _ in range(4)]
    head = row(ui.button(compose, icon="pencil", is_primary=True), *tools)
    return _beside(ui, column(head, block(*rows), shape="x-pad"))


def shop(ui: Ui) -> str:
    """Products in a grid, each with a price and a button."""
    columns = max(1, min(4, int(ui.size.width / ui.style.pixels / 11)))
    label = ui.rng.choice(("Add to cart", "Buy now", "Add", "Details", "Order"))
    cards = []
    for _ in range(columns * 3):
        heart = ui.icon_button("heart", "star", "eye") if ui.has(0.15) else ""
        price = row(f"<b>{ui.content.price()}</b>", heart, shape="x-between")
        text = label if ui.has(0.7) else ui.content.label(ACTIONS)
        button = ui.button(text, is_primary=ui.has(0.5))
        cards.append(
            ui.card(
                ui.thumb(ui.rng.choice((3, 5, 6))), ui.link(ui.content.title(1, 2)), price, button
            )
        )
    chips = ui.tabs(ui.content.labels(TABS, 2, 3)) if ui.has(0.6) else ""
    body = column(
        ui.heading(ui.content.title(1, 3), 1), chips, grid(columns, *cards), shape="x-pad"
    )
    return _titled(ui, body)


def dashboard(ui: Ui) -> str:
    """Tiles with numbers, a chart and a table."""
    count = 2 if ui.is_narrow else ui.rng.randint(2, 4)
    tiles = []
    for label in ui.content.labels(MENU, count, count):
        icon = ui.picture(ui.concept()) if ui.has(0.4) else ""
        name = f'<span class="x-muted">{escape(label)}</span>'
        tiles.append(grow(ui.card(name, f"<b>{ui.content.number()}</b>", icon)))
    paint = "flex: 1; background: var(--accent); opacity: .8; height:"
    bars = (
        f'<i style="{paint} {ui.rng.randint(10, 100)}%"></i>' for _ in range(ui.rng.randint(5, 12))
    )
    chart = row(*bars, css="height: 5em; align-items: flex-end")
    tools = row(ui.icon_button(), ui.button(ui.content.label(ACTIONS)))
    head = row(ui.heading(ui.content.title(1, 2)), tools, shape="x-between")
    table = _table(ui, ui.content.some(list(COLUMNS), 2, 3), ui.fitting(4, 2, 6))
    return _beside(ui, column(row(*tiles), ui.card(head, chart), table, shape="x-pad"))


def _table(ui: Ui, columns: list[str], count: int) -> str:
    rows = [[ui.content.cell(name) for name in columns] for _ in range(count)]
    return ui.table(columns, rows)


def files(ui: Ui) -> str:
    """Folders and files in a list or grid, with a toolbar."""
    tools = [ui.icon_button(*FILE_TOOLS) for _ in range(ui.rng.randint(2, 5))]
    label, icon = (
        ui.rng.choice(("New folder", "Upload", "New", "Create")),
        "plus" if ui.has(0.5) else "",
    )
    head = row(*tools, ui.button(label, icon=icon, is_primary=True), shape="x-wrap")
    count = ui.fitting(2.2, 3, 14)
    names = [
        ui.content.file_name() if ui.has(0.7) else ui.content.title(1, 2) for _ in range(count)
    ]
    kinds = ["file" if "." in name else "folder" for name in names]
    named = list(zip(names, kinds, strict=True))
    if ui.has(0.5):
        rows = [
            ui.entry(name, lead=ui.svg(kind), trail="" if ui.is_narrow else ui.moment())
            for name, kind in named
        ]
        return _beside(ui, column(head, block(*rows), shape="x-pad"))
    cells = [ui.tile(name, ui.svg(kind, 2.4)) for name, kind in named]
    columns = max(1, int(ui.size.width / ui.style.pixels / 10) - (0 if ui.is_narrow else 1))
    return _beside(ui, column(head, grid(columns, *cells), shape="x-pad"))


def dialog(ui: Ui) -> str:
    """A page behind a question with two or three buttons."""
    behind = files(ui) if ui.has(0.5) else dashboard(ui)
    parts = [row(ui.icon_button("cross", plain=True), shape="x-end")] if ui.has(0.5) else []
    parts += [ui.heading(ui.content.title(1, 3)), f"<p>{escape(ui.content.sentence())}</p>"]
    if ui.has(0.4):
        parts.append(ui.field(ui.content.label(FIELDS)))
    if ui.has(0.3):
        parts.append(ui.check(ui.content.label(OPTIONS)))
    parts.append(row(_actions(ui, 2, 2 if ui.is_narrow else 3), shape="x-end"))
    paper = "#26282c; color: #eee" if ui.style.is_dark else "#fff; color: #222"
    box = block(
        ui.card(*parts), css=f"width: 22em; max-width: 92%; border-radius: 6px; background: {paper}"
    )
    return block(
        behind, row(box, shape="x-shade x-center"), shape="x-fill", css="position: relative"
    )


def editor(ui: Ui) -> str:
    """A text editor with menus and a toolbar."""
    menus = [
        ui.choice("menuitem", name)
        for name in ui.rng.sample(EDITOR_MENUS, 3 if ui.is_narrow else 6)
    ]
    tools = [
        ui.icon_button(*EDITOR_TOOLS) for _ in range(4 if ui.is_narrow else ui.rng.randint(6, 12))
    ]
    texts = [_paragraph(ui, ui.rng.randint(1, 3)) for _ in range(ui.fitting(4, 1, 6))]
    page = column(ui.heading(ui.content.title(2, 3), 1), *texts, shape="x-pad")
    return column(
        row(*menus, css="gap: 0"), ui.bar(*tools), grow(page), shape="x-fill", css="gap: 0"
    )


def _paragraph(ui: Ui, count: int) -> str:
    return f"<p>{escape(' '.join(ui.content.sentence() for _ in range(count)))}</p>"


def table_page(ui: Ui) -> str:
    """A table with filters, buttons and pages."""
    columns = [*COLUMNS[:1], *ui.content.some(list(COLUMNS[1:]), 1, 2 if ui.is_narrow else 4)]
    table = _table(ui, columns, ui.fitting(2.4, 2, 12))
    label, icon = (
        ui.rng.choice(("Add", "New", "Export", "Filter")),
        ui.concept("plus", "download", "funnel"),
    )
    head = row(ui.search(), ui.button(label, icon=icon, is_primary=True))
    pages = ("Previous", "1", "2", "3", "Next")[: 2 if ui.is_narrow else 5]
    return _beside(ui, column(head, table, row(*map(ui.button, pages)), shape="x-pad"))


def form(ui: Ui) -> str:
    """A form in one or two columns."""
    columns = _num_columns(ui)
    labels = ui.content.labels(FIELDS, 3, columns * ui.fitting(5, 2, 6))
    fields = [
        ui.field(it) if ui.has(0.75) else ui.select(it, ui.content.value(it)) for it in labels
    ]
    boxes = [ui.check(label) for label in ui.content.labels(OPTIONS, 1, 2)]
    title = ui.heading(ui.content.title(1, 3), 1)
    body = column(title, grid(columns, *fields), *boxes, _actions(ui, 1, 3), shape="x-pad")
    return _titled(ui, body) if ui.has(0.5) else _beside(ui, body)


def article(ui: Ui) -> str:
    """A web page with links, an introduction and buttons."""
    links = [ui.link(label) for label in ui.content.labels(MENU, 2, 3 if ui.is_narrow else 6)]
    head = ui.bar(f"<b>{escape(ui.content.title(1, 1))}</b>", row(*links))
    items = [
        ui.entry(ui.content.title(2, 4), ui.content.date(), lead=ui.picture(ui.concept(), 1.5))
        for _ in range(ui.fitting(4, 1, 6) // 2)
    ]
    foot = row(*map(ui.link, ("Imprint", "Privacy", "Contact")))
    title = ui.heading(ui.content.title(2, 4), 1)
    return head + column(
        title, _paragraph(ui, 3), _actions(ui, 1, 2), ui.thumb(4), *items, foot, shape="x-pad"
    )


def calendar(ui: Ui) -> str:
    """A month of days, some with entries."""
    days = [f"<b>{name}</b>" for name in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")]
    days += ["<span></span>"] * ui.rng.randrange(7)
    for day in range(1, 31):
        has_entry = not ui.is_narrow and ui.has(0.15)
        days.append(ui.day(str(day), ui.content.word(3, 6) if has_entry else ""))
    views = ui.tabs(["Day", "Week", "Month"][: 2 if ui.is_narrow else 3])
    arrows = ui.icon_button("left arrow") + ui.icon_button("right arrow")
    tools = row(arrows, ui.heading(ui.content.date()), grow(), ui.button("Today"))
    return _beside(
        ui, column(tools, views, grid(7, *days, css="gap: 2px"), _actions(ui, 1, 2), shape="x-pad")
    )


def checkout(ui: Ui) -> str:
    """A cart with its total, and fields of a card."""
    rows = [
        ui.entry(
            ui.content.title(1, 2), lead=ui.svg(ui.concept()), trail=f"<b>{ui.content.price()}</b>"
        )
        for _ in range(ui.fitting(6, 1, 5))
    ]
    total = row("<b>Total</b>", f"<b>{ui.content.price()}</b>", shape="x-between")
    fields = [ui.field(label) for label in ("Card number", "Name on card")]
    pay = ui.card(
        ui.heading("Payment"), *fields, ui.check("Save card"), ui.button("Pay now", is_primary=True)
    )
    cart = ui.card(ui.heading("Your order"), *rows, total, ui.link("Add discount code"))
    return _titled(ui, grid(_num_columns(ui), pay, cart, shape="x-pad"))


DESKTOP: Mapping[str, tuple[Template, Split]] = {
    "login": (login, "train"), "settings": (settings, "train"), "mail": (mail, "train"), "shop": (shop, "train"),
    "dashboard": (dashboard, "train"), "files": (files, "train"), "dialog": (dialog, "train"),
    "editor": (editor, "train"), "table": (table_page, "train"), "form": (form, "train"),
    "article": (article, "train"), "calendar": (calendar, "heldout"), "checkout": (checkout, "heldout"),
}  # fmt: skip

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
from finesight.data.split import Split

__all__ = ["DESKTOP", "Template", "titled", "top_bar"]

Template = Callable[[Ui], str]


def top_bar(ui: Ui, title: str) -> str:
    """A bar with a title, perhaps links or a search box, and icons."""
    parts = [f'<b class="x-clip">{escape(title)}</b>']
    if ui.has(0.5):
        parts.insert(0, ui.icon_button("menu", "left arrow", "house", plain=True))
    if not ui.is_narrow and ui.has(0.5):
        parts += [ui.link(label) for label in ui.content.labels(MENU, 2, 4)]
    if ui.has(0.5):
        parts.append(ui.search())
    else:
        parts.append('<span class="x-grow"></span>')
    parts += [ui.icon_button() for _ in range(ui.rng.randint(1, 2 if ui.is_narrow else 4))]
    if ui.has(0.4):
        parts.append(ui.avatar(ui.content.person()))
    return ui.bar(*parts)


def titled(ui: Ui, body: str) -> str:
    """A page with a bar at the top."""
    return f'<div class="x-col x-fill" style="gap:0">{top_bar(ui, ui.content.title(1, 2))}<div class="x-grow">{body}</div></div>'


def _beside(ui: Ui, body: str) -> str:
    """A menu at the side and a body; the body alone on a narrow screen."""
    if ui.is_narrow:
        return titled(ui, body)
    menu = ui.menu(ui.content.labels(MENU, 4, ui.fitting(2.0, 4, 10)))
    brand = f'<div class="x-item x-bold">{escape(ui.content.title(1, 1))}</div>'
    side = f'<div class="{ui.style.of("side")}" style="width:10.5em;flex:none;padding:.4em">{brand}{menu}</div>'
    body = f'<div class="x-grow x-fill">{body}</div>'
    inner = f'<div class="x-row x-fill" style="align-items:stretch;gap:0">{side}{body}</div>'
    if ui.has(0.4):
        return f'<div class="x-col x-fill" style="gap:0">{top_bar(ui, ui.content.title(1, 2))}<div class="x-grow">{inner}</div></div>'
    return inner


def _actions(ui: Ui, low: int, high: int, *, wide: bool = False) -> str:
    labels = ui.content.labels(ACTIONS, low, high)
    first = 0 if ui.has(0.5) else len(labels) - 1
    drawn = [
        ui.button(label, icon=ui.concept() if ui.has(0.2) else "", is_primary=index == first, wide=wide)
        for index, label in enumerate(labels)
    ]
    return f'<div class="x-row x-wrap">{"".join(drawn)}</div>'


def login(ui: Ui) -> str:
    """A form to sign in, centred."""
    wide = ui.has(0.6)
    title = ui.rng.choice(("Sign in", "Log in", "Welcome back", "Create account", "Sign up", ui.content.title(1, 2)))
    parts = [ui.heading(title, 1 if ui.has(0.4) else 2)]
    parts += [ui.field(label) for label in (["Email"] if ui.has(0.6) else ui.content.some(FIELDS, 1, 2))]
    parts.append(ui.field("Password", is_secret=True))
    if ui.fitting(3, 1, 9) > 5:
        parts.append(ui.check(ui.rng.choice(("Remember me", "Keep me signed in", "I accept the terms"))))
    go = ui.rng.choice(("Sign in", "Log in", "Continue", "Submit", "Create account"))
    parts.append(ui.button(go, is_primary=True, wide=wide))
    links = ["Forgot password?", ui.rng.choice(("Create an account", "Sign up", "Need help?"))]
    parts.append(f'<div class="x-row x-between">{"".join(map(ui.link, links[: 1 if ui.is_narrow else 2]))}</div>')
    if ui.fitting(3, 1, 9) > 7 and ui.has(0.5):
        names = ui.rng.sample(("Google", "Apple", "GitHub", "Microsoft", "SSO"), 2)
        parts += [ui.button(f"Continue with {name}", wide=wide) for name in names]
    return f'<div class="x-row x-center x-fill x-pad">{ui.card(*parts, extra="width:20em;max-width:96%")}</div>'


def settings(ui: Ui) -> str:
    """Options, fields and drop-down lists in groups."""
    blocks = []
    for _ in range(3):
        kind = ui.rng.choice(("switch", "check", "field", "select", "slider", "radio"))
        labels = ui.content.labels(FIELDS if kind in ("field", "select") else OPTIONS, 2, 3)
        if kind == "radio":
            chosen = ui.rng.randrange(len(labels))
            drawn = [ui.check(label, "radio", is_on=index == chosen) for index, label in enumerate(labels)]
        else:
            drawn = [_option(ui, kind, label) for label in labels]
        blocks.append(ui.card(ui.heading(ui.content.label(TABS)), *drawn))
    tabs = ui.tabs(ui.content.labels(TABS, 2, 3 if ui.is_narrow else 5)) if ui.has(0.6) else ""
    columns = 1 if ui.size.width < 34 * ui.style.pixels else 2
    grid = f'<div class="x-grid" style="grid-template-columns:repeat({columns},minmax(0,1fr));align-items:start">{"".join(blocks)}</div>'
    body = f'<div class="x-col x-pad">{tabs}{_actions(ui, 1, 2) if ui.has(0.5) else ""}{grid}{_actions(ui, 1, 2)}</div>'
    return _beside(ui, body)


def _option(ui: Ui, kind: str, label: str) -> str:
    if kind == "switch":
        return ui.switch(label)
    if kind == "check":
        return ui.check(label)
    if kind == "slider":
        return ui.slider(label)
    return ui.field(label) if kind == "field" else ui.select(label, ui.content.value(label))


def mail(ui: Ui) -> str:
    """Messages below each other with a bar of icons."""
    tools = "".join(ui.icon_button("archive box", "trash", "envelope", "clock", "flag", "refresh", "three dots", "tag") for _ in range(4))
    rows = []
    for _ in range(ui.fitting(3, 2, 12)):
        lead = '<input type="checkbox" style="flex:none" data-part="checkbox">' if ui.style.name not in ("98.css", "xp.css") and ui.has(0.6) else ui.avatar(ui.content.person())
        trail = f'<span class="x-muted">{ui.content.time() if ui.has(0.5) else ui.content.date()}</span>'
        rows.append(ui.row(ui.content.person(), ui.content.title(2, 5), lead=lead, trail=trail))
    compose = ui.button(ui.rng.choice(("Compose", "New message", "Write")), icon="pencil", is_primary=True)
    body = f'<div class="x-col x-pad"><div class="x-row">{compose}{tools if not ui.is_narrow else ""}</div><div>{"".join(rows)}</div></div>'
    return _beside(ui, body)


def shop(ui: Ui) -> str:
    """Products in a grid, each with a price and a button."""
    columns = max(1, min(4, int(ui.size.width / ui.style.pixels / 11)))
    label = ui.rng.choice(("Add to cart", "Buy now", "Add", "Details", "Order"))
    cards = []
    for _ in range(columns * 3):
        heart = ui.icon_button("heart", "star", "eye") if ui.has(0.15) else ""
        price = f'<div class="x-row x-between"><b>{ui.content.price()}</b>{heart}</div>'
        title = f'<div class="x-clip x-fit" data-part="link">{escape(ui.content.title(1, 2))}</div>'
        button = ui.button(label if ui.has(0.7) else ui.content.label(ACTIONS), is_primary=ui.has(0.5))
        cards.append(ui.card(ui.thumb(ui.rng.choice((3, 5, 6))), title, price, button))
    grid = f'<div class="x-grid" style="grid-template-columns:repeat({columns},minmax(0,1fr))">{"".join(cards)}</div>'
    chips = f'<div class="x-row">{ui.tabs(ui.content.labels(TABS, 2, 3))}</div>' if ui.has(0.6) else ""
    return titled(ui, f'<div class="x-col x-pad">{ui.heading(ui.content.title(1, 3), 1)}{chips}{grid}</div>')


def dashboard(ui: Ui) -> str:
    """Tiles with numbers, a chart and a table."""
    count = 2 if ui.is_narrow else ui.rng.randint(2, 4)
    tiles = "".join(
        f'<div class="x-grow">{ui.card(f"<span class=x-muted>{escape(label)}</span>", f"<b>{ui.content.number()}</b>", *([ui.picture(ui.concept())] if ui.has(0.4) else []))}</div>'
        for label in ui.content.labels(MENU, count, count)
    )
    bars = "".join(
        f'<i style="flex:1;height:{ui.rng.randint(10, 100)}%;background:var(--accent);opacity:.8"></i>'
        for _ in range(ui.rng.randint(5, 12))
    )
    chart = f'<div class="x-row" style="height:5em;align-items:flex-end">{bars}</div>'
    tools = f'<div class="x-row x-between">{ui.heading(ui.content.title(1, 2))}<div class="x-row">{ui.icon_button()}{ui.button(ui.content.label(ACTIONS))}</div></div>'
    columns = ui.content.some(list(COLUMNS), 2, 3)
    rows = [[ui.content.cell(column) for column in columns] for _ in range(ui.fitting(4, 2, 6))]
    body = f'<div class="x-col x-pad"><div class="x-row">{tiles}</div>{ui.card(tools, chart)}{ui.table(columns, rows)}</div>'
    return _beside(ui, body)


def files(ui: Ui) -> str:
    """Folders and files in a list or grid, with a toolbar."""
    tools = "".join(ui.icon_button("left arrow", "right arrow", "upload", "refresh", "trash", "grid", "scissors", "copy") for _ in range(ui.rng.randint(2, 5)))
    new = ui.button(ui.rng.choice(("New folder", "Upload", "New", "Create")), icon="plus" if ui.has(0.5) else "", is_primary=True)
    head = f'<div class="x-row x-wrap">{tools}{new}</div>'
    names = [ui.content.file_name() if ui.has(0.7) else ui.content.title(1, 2) for _ in range(ui.fitting(2.2, 3, 14))]
    if ui.has(0.5):
        trail = lambda: "" if ui.is_narrow else f'<span class="x-muted">{ui.content.date()}</span>'  # noqa: E731
        body = "".join(ui.row(name, lead=ui.svg("file" if "." in name else "folder"), trail=trail()) for name in names)
    else:
        cells = "".join(
            f'<div class="x-col x-center" style="padding:.4em" data-part="row">{ui.svg("file" if "." in name else "folder", 2.4)}<span class="x-clip">{escape(name)}</span></div>'
            for name in names
        )
        body = f'<div class="x-grid" style="grid-template-columns:repeat(auto-fill,minmax(9em,1fr))">{cells}</div>'
    return _beside(ui, f'<div class="x-col x-pad">{head}{body}</div>')


def dialog(ui: Ui) -> str:
    """A page behind a question with two or three buttons."""
    behind = files(ui) if ui.has(0.5) else dashboard(ui)
    inner = [ui.heading(ui.content.title(1, 3)), f"<p>{escape(ui.content.sentence())}</p>"]
    inner += [ui.field(ui.content.label(FIELDS))] if ui.has(0.4) else []
    inner += [ui.check(ui.content.label(OPTIONS))] if ui.has(0.3) else []
    close = f'<div class="x-row x-end">{ui.icon_button("cross", plain=True)}</div>' if ui.has(0.5) else ""
    box = ui.card(close, *inner, f'<div class="x-row x-end">{_actions(ui, 2, 2 if ui.is_narrow else 3)}</div>')
    paper = "#26282c;color:#eee" if "scheme: dark" in ui.style.css else "#fff;color:#222"
    front = f'<div class="x-shade x-row x-center"><div style="width:22em;max-width:92%;background:{paper};border-radius:6px">{box}</div></div>'
    return f'<div class="x-fill" style="position:relative">{behind}{front}</div>'


def editor(ui: Ui) -> str:
    """A text editor with menus and a toolbar."""
    menus = "".join(f'<span class="x-tab" data-part="menuitem">{name}</span>' for name in ui.rng.sample(("File", "Edit", "View", "Insert", "Format", "Tools", "Table", "Window", "Help"), 3 if ui.is_narrow else 6))
    wanted = ("bold", "italic", "underline", "bullet list", "undo", "redo", "scissors", "copy", "clipboard", "link", "picture", "printer", "floppy disk", "palette", "search")
    tools = "".join(ui.icon_button(*wanted) for _ in range(4 if ui.is_narrow else ui.rng.randint(6, 12)))
    text = "".join(f"<p>{escape(' '.join(ui.content.sentence() for _ in range(ui.rng.randint(1, 3))))}</p>" for _ in range(ui.fitting(4, 1, 6)))
    page = f'<div class="x-col x-pad">{ui.heading(ui.content.title(2, 3), 1)}{text}</div>'
    return f'<div class="x-col x-fill" style="gap:0"><div class="x-row" style="gap:0">{menus}</div>{ui.bar(tools)}<div class="x-grow">{page}</div></div>'


def table_page(ui: Ui) -> str:
    """A table with filters, buttons and pages."""
    columns = list(COLUMNS[:1]) + ui.content.some(list(COLUMNS[1:]), 1, 2 if ui.is_narrow else 4)
    rows = [[ui.content.cell(column) for column in columns] for _ in range(ui.fitting(2.4, 2, 12))]
    head = f'<div class="x-row">{ui.search()}{ui.button(ui.rng.choice(("Add", "New", "Export", "Filter")), icon=ui.concept("plus", "download", "funnel"), is_primary=True)}</div>'
    pages = "".join(ui.button(label) for label in ("Previous", "1", "2", "3", "Next")[: 2 if ui.is_narrow else 5])
    return _beside(ui, f'<div class="x-col x-pad">{head}{ui.table(columns, rows)}<div class="x-row">{pages}</div></div>')


def form(ui: Ui) -> str:
    """A form in one or two columns."""
    columns = 1 if ui.size.width < 30 * ui.style.pixels else 2
    labels = ui.content.labels(FIELDS, 3, columns * ui.fitting(5, 2, 6))
    drawn = "".join(ui.field(label) if ui.has(0.75) else ui.select(label, ui.content.value(label)) for label in labels)
    grid = f'<div class="x-grid" style="grid-template-columns:repeat({columns},minmax(0,1fr))">{drawn}</div>'
    boxes = "".join(ui.check(label) for label in ui.content.labels(OPTIONS, 1, 2))
    body = f'<div class="x-col x-pad">{ui.heading(ui.content.title(1, 3), 1)}{grid}{boxes}{_actions(ui, 1, 3)}</div>'
    return titled(ui, body) if ui.has(0.5) else _beside(ui, body)


def article(ui: Ui) -> str:
    """A web page with links, an introduction and buttons."""
    links = "".join(ui.link(label) for label in ui.content.labels(MENU, 2, 3 if ui.is_narrow else 6))
    head = ui.bar(f"<b>{escape(ui.content.title(1, 1))}</b>", f'<span class="x-row x-grow">{links}</span>')
    intro = f"<p>{escape(' '.join(ui.content.sentence(6, 12) for _ in range(2)))}</p>"
    items = "".join(ui.row(ui.content.title(2, 4), ui.content.date(), lead=ui.picture(ui.concept(), 1.5)) for _ in range(ui.fitting(4, 1, 6) // 2))
    foot = "".join(ui.link(label) for label in ("Imprint", "Privacy", "Contact"))
    body = f'{ui.heading(ui.content.title(2, 4), 1)}{intro}{_actions(ui, 1, 2)}{ui.thumb(4)}{items}<div class="x-row">{foot}</div>'
    return f'{head}<div class="x-col x-pad">{body}</div>'


def calendar(ui: Ui) -> str:
    """A month of days, some with entries."""
    first = ui.rng.randrange(7)
    head = "".join(f"<b>{day}</b>" for day in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"))
    cells = "<span></span>" * first
    for day in range(1, 31):
        entry = f'<div class="x-clip">{ui.badge(ui.content.word(3, 6))}</div>' if not ui.is_narrow and ui.has(0.15) else ""
        cells += f'<div style="min-height:2.2em;border:1px solid #8884;padding:.15em" data-part="row">{day}{entry}</div>'
    grid = f'<div class="x-grid" style="grid-template-columns:repeat(7,minmax(0,1fr));gap:2px">{head}{cells}</div>'
    views = ui.tabs(["Day", "Week", "Month"][: 2 if ui.is_narrow else 3])
    tools = f'<div class="x-row">{ui.icon_button("left arrow")}{ui.icon_button("right arrow")}{ui.heading(ui.content.date())}<span class="x-grow"></span>{ui.button("Today")}</div>'
    return _beside(ui, f'<div class="x-col x-pad">{tools}{views}{grid}{_actions(ui, 1, 2)}</div>')


def checkout(ui: Ui) -> str:
    """A cart with its total, and fields of a card."""
    rows = "".join(ui.row(ui.content.title(1, 2), lead=ui.svg(ui.concept()), trail=f"<b>{ui.content.price()}</b>") for _ in range(ui.fitting(6, 1, 5)))
    total = f'<div class="x-row x-between"><b>Total</b><b>{ui.content.price()}</b></div>'
    pay = ui.card(ui.heading("Payment"), ui.field("Card number"), ui.field("Name on card"), ui.check("Save card"), ui.button("Pay now", is_primary=True))
    cart = ui.card(ui.heading("Your order"), rows, total, ui.link("Add discount code"))
    columns = 1 if ui.size.width < 30 * ui.style.pixels else 2
    return titled(ui, f'<div class="x-grid x-pad" style="grid-template-columns:repeat({columns},minmax(0,1fr));align-items:start">{pay}{cart}</div>')


DESKTOP: Mapping[str, tuple[Template, Split]] = {
    "login": (login, "train"), "settings": (settings, "train"), "mail": (mail, "train"), "shop": (shop, "train"),
    "dashboard": (dashboard, "train"), "files": (files, "train"), "dialog": (dialog, "train"), "editor": (editor, "train"),
    "table": (table_page, "train"), "form": (form, "train"), "article": (article, "train"),
    "calendar": (calendar, "heldout"), "checkout": (checkout, "heldout"),
}  # fmt: skip

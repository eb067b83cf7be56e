# SPDX-License-Identifier: Apache-2.0
"""What a page says: titles, paragraphs, facts with labels, and tables whose totals add up."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Mapping

from finesight.data.builders.pages.names import Money, Names
from finesight.data.builders.pages.sheet import Fact, Grid, Kind, Paragraph, Sheet
from finesight.data.builders.pages.wording import COLUMNS, LABELS, PAYMENTS, THANKS, TITLES

__all__ = ["write_sheet"]

MAX_ITEM = 60
"""Most characters of an item of a list."""
FORM_KEYS = (
    "first_name", "last_name", "birth_date", "street", "city", "postcode", "phone", "email", "member_number",
    "occupation", "company", "start_date",
)  # fmt: skip


def write_sheet(kind: Kind, names: Names, size: float) -> Sheet:
    """Draw the contents of a page.

    Args:
        kind: kind of page.
        names: source of texts.
        size: 0 is the shortest page of its kind, 1 the longest.
    """
    return _WRITERS[kind](names, size)


def _count(rng: random.Random, size: float, low: int, high: int) -> int:
    """A number near `size` between two bounds."""
    middle = low + size * (high - low)
    return min(high, max(low, round(rng.gauss(middle, (high - low) * 0.08))))


def _fact(names: Names, key: str, value: str) -> Fact:
    return Fact(key, names.rng.choice(LABELS[key][names.language]), value)


def _document(names: Names, size: float) -> Sheet:
    rng = names.rng
    left = 60 + 900 * size  # characters still to write
    flow: list[Paragraph] = []
    while left > 0:
        roll = rng.random()
        if roll < 0.12 and flow:
            flow.append(Paragraph("h2", (_heading(names),)))
        elif roll < 0.27:
            items = tuple(_shortened(names.sentence()) for _ in range(rng.randint(2, 4)))
            flow.append(Paragraph(rng.choice(("ul", "numbered")), items))
        else:
            texts = [names.sentence()]
            while rng.random() < 0.6 and sum(map(len, texts)) < left:
                texts.append(names.sentence())
            flow.append(Paragraph("p", (" ".join(texts),)))
        left -= sum(map(len, flow[-1].texts))
    lines = (
        (f"{names.person()}, {names.day().strftime(names.date_format())}",)
        if rng.random() < 0.4
        else ()
    )
    title = _heading(names) if rng.random() < 0.85 else ""
    return Sheet(
        kind="document", language=names.language, title=title, lines=lines, flow=tuple(flow)
    )


def _shortened(text: str) -> str:
    """The first words of a text, without the last full stop."""
    return textwrap.shorten(text, MAX_ITEM, placeholder="").rstrip(" ,.")


def _heading(names: Names) -> str:
    words = [names.word(3, 9) for _ in range(names.rng.randint(1, 4))]
    text = " ".join(words)
    return names.rng.choice(
        (text.capitalize(), text.capitalize(), " ".join(word.capitalize() for word in words))
    )


def _receipt(names: Names, size: float) -> Sheet:
    rng, money = names.rng, Money(names.rng, names.language)
    grid, subtotal = _items(names, money, _count(rng, size, 1, 9), narrow=True)
    facts = [_fact(names, "date", names.day().strftime(names.date_format()))]
    if rng.random() < 0.7:
        facts.append(_fact(names, "time", f"{rng.randrange(7, 23):02}:{rng.randrange(60):02}"))
    if rng.random() < 0.7:
        facts.append(_fact(names, "receipt_number", names.code()))
    if rng.random() < 0.5:
        facts.append(_fact(names, "cashier", names.first()))
    totals, total = _sum_up(names, money, subtotal)
    if rng.random() < 0.4:
        cash = -(-total // 1000) * 1000
        totals += [_fact(names, "cash", money(cash)), _fact(names, "change", money(cash - total))]
    elif rng.random() < 0.6:
        totals.append(_fact(names, "payment", rng.choice(PAYMENTS[names.language])))
    lines = (names.street(), f"{names.postcode()} {names.city()}", names.phone())[
        : rng.randint(0, 3)
    ]
    return Sheet(
        kind="receipt",
        language=names.language,
        title=names.company(),
        lines=lines,
        facts=tuple(facts),
        grid=grid,
        totals=tuple(totals),
        closing=rng.choice(THANKS[names.language]) if rng.random() < 0.6 else "",
    )


def _invoice(names: Names, size: float) -> Sheet:
    rng, money = names.rng, Money(names.rng, names.language)
    grid, subtotal = _items(names, money, _count(rng, size, 1, 8), narrow=False)
    style, day = names.date_format(), names.day()
    facts = [
        _fact(names, "seller", names.company()),
        _fact(names, "customer", names.company() if rng.random() < 0.4 else names.person()),
        _fact(names, "invoice_number", names.code()),
        _fact(names, "date", day.strftime(style)),
    ]
    if rng.random() < 0.5:
        due = day.fromordinal(day.toordinal() + rng.choice((14, 30, 60)))
        facts.append(_fact(names, "due_date", due.strftime(style)))
    for key in ("customer_number", "order_number"):
        if rng.random() < 0.35:
            facts.append(_fact(names, key, names.code()))
    totals, _ = _sum_up(names, money, subtotal)
    return Sheet(
        kind="invoice",
        language=names.language,
        title=rng.choice(TITLES["invoice"][names.language]),
        lines=(names.street(), f"{names.postcode()} {names.city()}") if rng.random() < 0.5 else (),
        facts=tuple(facts),
        grid=grid,
        totals=tuple(totals),
        closing=names.sentence() if rng.random() < 0.25 else "",
    )


def _items(names: Names, money: Money, count: int, *, narrow: bool) -> tuple[Grid, int]:
    """A table of `count` different items, and the sum of its amounts in cents."""
    rng = names.rng
    products: list[str] = []
    while len(products) < count:
        product = names.product()
        if product not in products:
            products.append(product)
    keys = ["item", "quantity", "unit_price", "amount"]
    if narrow and rng.random() < 0.7:
        keys.remove("unit_price")
        if rng.random() < 0.5:
            keys.remove("quantity")
    rows, subtotal = [], 0
    for product in products:
        quantity = 1 if "quantity" not in keys else rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 10, 12))
        each = rng.choice((rng.randrange(50, 2000), rng.randrange(500, 30000, 50)))
        subtotal += quantity * each
        cells = {
            "item": product,
            "quantity": str(quantity),
            "unit_price": money(each),
            "amount": money(quantity * each),
        }
        rows.append(tuple(cells[key] for key in keys))
    headers = tuple(rng.choice(LABELS[key][names.language]) for key in keys)
    return Grid(headers, tuple(rows), tuple(key != "item" for key in keys)), subtotal


def _sum_up(names: Names, money: Money, subtotal: int) -> tuple[list[Fact], int]:
    """Lines below the items, and the total in cents: subtotal plus tax."""
    rng = names.rng
    if rng.random() < 0.3:
        return [_fact(names, "total", money(subtotal))], subtotal
    rate = rng.choice((5, 6, 7, 8, 10, 19, 20, 21, 22))
    tax = (subtotal * rate + 50) // 100
    label = rng.choice(LABELS["tax"][names.language])
    label = f"{label} {rate}%" if rng.random() < 0.6 else label
    facts = [
        _fact(names, "subtotal", money(subtotal)),
        Fact("tax", label, money(tax)),
        _fact(names, "total", money(subtotal + tax)),
    ]
    return facts, subtotal + tax


def _form(names: Names, size: float) -> Sheet:
    rng = names.rng
    first, last, style = names.first(), names.last(), names.date_format()
    draw: Mapping[str, Callable[[], str]] = {
        "first_name": lambda: first,
        "last_name": lambda: last,
        "birth_date": lambda: names.day(1940, 2012).strftime(style),
        "street": names.street,
        "city": names.city,
        "postcode": names.postcode,
        "phone": names.phone,
        "email": lambda: names.email(f"{first} {last}"),
        "member_number": names.code,
        "occupation": names.occupation,
        "company": names.company,
        "start_date": lambda: names.day().strftime(style),
    }
    count = _count(rng, size, 3, len(FORM_KEYS))
    chosen = set(rng.sample(FORM_KEYS, count))
    facts = tuple(_fact(names, key, draw[key]()) for key in FORM_KEYS if key in chosen)
    return Sheet(
        kind="form",
        language=names.language,
        title=rng.choice(TITLES["form"][names.language]),
        lines=(names.company(),) if rng.random() < 0.3 else (),
        facts=facts,
        closing=names.sentence() if rng.random() < 0.25 else "",
    )


def _table(names: Names, size: float) -> Sheet:
    rng = names.rng
    num_rows, num_columns = _count(rng, size, 2, 10), rng.randint(2, 5)
    first = rng.choice(("name", "city", "product", "word"))
    others = rng.sample(
        [key for key in COLUMNS if key not in {"name", "city", "product", "word"}], num_columns - 1
    )
    if rng.random() < 0.25:
        others[0] = "city" if first != "city" else "word"
    keys = [first, *others]
    columns = [_column(names, key, num_rows) for key in keys]
    if rng.random() < 0.25:  # some cells other than names are empty
        columns[1:] = [
            [value if rng.random() > 0.12 else "" for value in column] for column in columns[1:]
        ]
    grid = Grid(
        headers=tuple(rng.choice(COLUMNS[key]) for key in keys),
        rows=tuple(zip(*columns, strict=True)),
        numeric=tuple(key in {"count", "price", "percent", "decimal"} for key in keys),
    )
    title = _heading(names) if rng.random() < 0.6 else ""
    closing = names.sentence() if rng.random() < 0.15 else ""
    return Sheet(kind="table", language=names.language, title=title, grid=grid, closing=closing)


def _column(names: Names, key: str, count: int) -> list[str]:
    """Values of one column; those of a column of names are all different."""
    rng, money, style = names.rng, Money(names.rng, names.language), names.date_format()
    digits = rng.randint(2, 5)
    form = rng.choice(("{}", "{:,}"))
    draw: Mapping[str, Callable[[], str]] = {
        "name": names.person if rng.random() < 0.6 else names.last,
        "city": names.city,
        "product": names.product,
        "word": lambda: names.word(4, 11).capitalize(),
        "count": lambda: form.format(rng.randrange(10**digits)),
        "price": lambda: money(rng.randrange(100, 10 ** (digits + 2))),
        "percent": lambda: f"{rng.randrange(1000) / 10}%",
        "date": lambda: names.day().strftime(style),
        "code": names.code,
        "yes": lambda: rng.choice(("yes", "no")),
        "decimal": lambda: f"{rng.randrange(10**digits) / 100:.2f}",
        "year": lambda: str(rng.randint(1900, 2029)),
    }
    values: list[str] = []
    for number in range(20 * count):
        # A split has few places of some countries.
        value = draw[key]() if number < 10 * count else draw["word"]()
        if key not in {"name", "product", "word", "city"} or value not in values:
            values.append(value)
        if len(values) == count:
            break
    return values


_WRITERS: Mapping[Kind, Callable[[Names, float], Sheet]] = {
    "document": _document,
    "receipt": _receipt,
    "invoice": _invoice,
    "form": _form,
    "table": _table,
}

# SPDX-License-Identifier: Apache-2.0
"""Drawn invoices, receipts and forms with known values and places, and an oracle that copies their values."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from finesight.apps.document.read import PageImage, ReadOptions, read_page
from finesight.geometry import Box
from finesight.present.fonts import font_for
from tests.support.app_responders import SURE, UNSURE, Oracle, answered, asked
from tests.support.documents import PageOracle

WIDTH, HEIGHT, SIZE = 800, 1000, 18
LAYOUTS = ("lines", "columns", "above", "receipt", "pairs")
LABELS = {
    "en": ("Invoice number", "Invoice date", "Due date", "Seller", "Net amount", "Tax", "Grand total"),
    "de": ("Rechnungsnummer", "Rechnungsdatum", "Fällig am", "Verkäufer", "Nettobetrag", "MwSt", "Gesamtbetrag"),
    "fr": ("Numéro de facture", "Date de facture", "Échéance", "Vendeur", "Montant HT", "TVA", "Montant TTC"),
    "zh": ("发票号码", "开票日期", "到期日", "销售方", "不含税金额", "税额", "价税合计"),
}  # fmt: skip
KEYS = ("invoice_number", "invoice_date", "due_date", "seller", "net", "tax", "total")
NAMES = (
    "Bolts M8",
    "Copper wire",
    "Hinge 40 mm",
    "Paint white",
    "Sanding paper",
    "Valve",
    "Wood glue",
)
SELLERS = ("Harbour Tools", "Meyer & Sohn", "Atelier Blanc", "Nordwind Supply", "Kite Works")


def schema() -> dict:
    """The schema of all forms, with the labels of four languages."""
    kinds = {
        "invoice_date": {"type": "string", "format": "date"},
        "due_date": {"type": ["string", "null"], "format": "date"},
        **{key: {"type": "number"} for key in ("net", "tax", "total")},
    }
    item = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "quantity": {"type": "integer"},
            "price": {"type": "number"},
        },
        "required": ["name", "quantity", "price"],
    }
    fields = {
        key: {**kinds.get(key, {"type": "string"}), "x-labels": [LABELS[one][at] for one in LABELS]}
        for at, key in enumerate(KEYS)
    }
    return {
        "type": "object",
        "properties": {**fields, "items": {"type": "array", "items": item}},
        "required": [*KEYS, "items"],
        "x-check": "total == net + tax",
    }


@dataclass
class Form:
    """A drawn page.

    Attributes:
        pixels: the page.
        lines: text, box and tag of everything that is drawn.
        raw: the answer of an oracle: the texts of all values, in the structure of the schema.
        data: the values with their types.
        boxes: places of the values by path.
    """

    pixels: np.ndarray
    lines: list = field(default_factory=list)
    raw: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    boxes: dict = field(default_factory=dict)

    def image(self, number=1) -> PageImage:
        return PageImage("form.png", number - 1, number, self.pixels)

    def read(self, number=1):
        """The page as an oracle reads it, line by line."""
        oracle = Oracle(PageOracle([(self.pixels, self.lines)]))
        options = ReadOptions(route="spotting", min_pixels=HEIGHT * WIDTH, max_pixels=1_000_000)
        return read_page(self.image(number), oracle, options)


class _Pen:
    """Draws texts and keeps their boxes."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.image = Image.fromarray(form.pixels)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, x: int, y: int, *parts: tuple[str, str] | str) -> int:
        """One line of parts with spaces between them; a part with a path is a value. Returns its right edge."""
        texts = [one if isinstance(one, str) else one[0] for one in parts]
        whole = " ".join(texts)
        font = font_for(whole, SIZE)
        self.draw.text((x, y), whole, fill=(0, 0, 0), font=font)
        self.form.lines.append((whole, Box(*self.draw.textbbox((x, y), whole, font=font)), "p"))
        at = 0
        for one, text in zip(parts, texts, strict=True):
            left = x + self.draw.textlength(whole[:at], font=font)
            box = Box(*self.draw.textbbox((left, y), text, font=font))
            if not isinstance(one, str):
                self.form.boxes[one[1]] = box
            at += len(text) + 1
        return round(self.form.lines[-1][1].x2)

    def done(self) -> Form:
        self.form.pixels = np.asarray(self.image)
        return self.form


def draw_form(seed: int, layout: str, language: str) -> Form:
    """A page with a number, dates, a seller, amounts and two to four items."""
    rng = random.Random(seed)
    form = Form(np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    items = [
        {"name": name, "quantity": rng.randint(1, 9), "price": rng.randint(100, 99999) / 100}
        for name in rng.sample(NAMES, rng.randint(2, 4))
    ]
    net = round(sum(one["quantity"] * one["price"] for one in items), 2)
    tax = round(net * 0.19, 2)
    form.data = {
        "invoice_number": f"{rng.choice('ABK')}-{rng.randint(1000, 99999)}",
        "invoice_date": f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "due_date": f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}" if rng.random() < 0.7 else None,
        "seller": rng.choice(SELLERS),
        "net": net,
        "tax": tax,
        "total": round(net + tax, 2),
        "items": items,
    }  # fmt: skip
    form.raw = {
        key: "" if value is None else _written(value, key, language)
        for key, value in form.data.items()
        if key != "items"
    }
    form.raw["items"] = [
        {
            "name": one["name"],
            "quantity": str(one["quantity"]),
            "price": amount(one["price"], language),
        }
        for one in items
    ]
    pen = _Pen(form)
    _draw(pen, layout, language)
    return pen.done()


def amount(number: float, language: str) -> str:
    text = f"{number:,.2f}"
    marks = {"de": {",": ".", ".": ","}, "fr": {",": " ", ".": ","}}.get(language, {})
    return "".join(marks.get(char, char) for char in text)


def _written(value, key: str, language: str) -> str:
    if isinstance(value, float):
        return amount(value, language)
    if not key.endswith("date"):
        return value
    year, month, day = map(int, value.split("-"))
    english = (
        "January February March April May June July August September October November December"
    )
    french = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    return {
        "en": f"{english.split()[month - 1]} {day}, {year}",
        "de": f"{day:02}.{month:02}.{year}",
        "fr": f"{day} {french.split()[month - 1]} {year}",
        "zh": f"{year}年{month}月{day}日",
    }[language]


def _draw(pen: _Pen, layout: str, language: str) -> None:
    raw = pen.form.raw
    pairs = [
        (label, (raw[key], key))
        for label, key in zip(LABELS[language], KEYS, strict=True)
        if raw[key]
    ]
    y = 60
    for index, (label, value) in enumerate(pairs):
        if layout in ("lines", "receipt"):
            pen.line(60, y, f"{label}:", value)
        elif layout == "columns":
            pen.line(60, y, label)
            pen.line(420, y, value)
        elif layout == "above":
            pen.line(60, y, label)
            pen.line(60, y + 24, value)
            y += 24
        elif layout == "pairs":
            pen.line(60 if index % 2 == 0 else 440, y, f"{label}:", value)
            y -= 36 if index % 2 == 0 else 0
        y += 36
    y += 60
    for index, item in enumerate(raw["items"]):
        cells = [(item[key], f"items[{index}].{key}") for key in ("name", "quantity", "price")]
        if layout == "receipt":
            pen.line(60, y, cells[0], cells[1], "x", cells[2])
        else:
            for x, cell in zip((60, 380, 520), cells, strict=True):
                pen.line(x, y, cell)
        y += 36


@dataclass
class Copyist:
    """Answers the question for values with the texts of a form; a value in `wrong` is another one, less surely.

    Attributes:
        answers: the raw texts, one answer after the other; the last one stays.
        wrong: changed texts by path, such as "total" or "items[0].price".
        unsure: whether wrong values have small probabilities.
    """

    answers: list
    wrong: dict = field(default_factory=dict)
    unsure: bool = True
    asked: list = field(default_factory=list)
    samplings: list = field(default_factory=list)

    def respond(self, conversations, sampling):
        return [self._one(one, sampling) for one in conversations]

    def _one(self, conversation, sampling):
        question = asked(conversation)
        self.asked.append(question)
        self.samplings.append(sampling)
        raw = copy.deepcopy(self.answers[0] if len(self.answers) == 1 else self.answers.pop(0))
        for path, text in self.wrong.items():
            _set(raw, path, text)
        reply = answered(question, json.dumps(raw, ensure_ascii=False))
        if not self.unsure:
            return reply
        spans = [
            (at, at + len(text))
            for text in self.wrong.values()
            if (at := reply.text.find(f'"{text}"')) >= 0
        ]
        changed = tuple(
            replace(
                one,
                logprob=UNSURE
                if any(a < one.span[1] and one.span[0] < b for a, b in spans)
                else SURE,
            )
            for one in reply.logprobs
        )
        return replace(reply, logprobs=changed)


def _set(raw, path: str, value) -> None:
    *steps, last = path.replace("[", ".").replace("]", "").split(".")
    for step in steps:
        raw = raw[int(step)] if step.isdigit() else raw[step]
    raw[last] = value

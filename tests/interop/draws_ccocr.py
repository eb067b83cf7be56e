# SPDX-License-Identifier: Apache-2.0
"""Answers to CC-OCR: words of scenes and of languages, written-out pages, tables, formulas, molecules, fields."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from tests.interop.pairs import Draw, Pair, edited

_WORDS = {
    name: words.split()
    for name, words in {
        "IC15": "OPEN all day 24h Coffee & Tea No. 7 it's 5.00 EXIT left-hand Müller",
        "zh_scene": "出口 北京 欢迎 光临 A座 24小时 电话 010-12345 停车场",
        "French": "l'été café ouvert à Paris 3,50 € où Noël garçon très MENU",
        "Korean": "출구 서울 커피 2층 영업 안내 전화 02-123",
        "Arabic": "مرحبا بكم في المدينة شارع ٢٤ Cafe",
        "Russian": "Выход Москва ул. Ленина д. 5 кофе",
    }.items()
}


def _reading(chance: random.Random, track: str, subset: str) -> Pair:
    there = [chance.choice(_WORDS[subset]) for _ in range(chance.randint(1, 12))]
    gold = " ".join(there)
    said = list(there)
    chance.shuffle(said)
    way, text = chance.choice(
        (
            ("same", gold),
            ("case", gold.upper()),
            ("order", " ".join(said)),
            ("lines", "\n".join(there)),
            ("tabs", "\t".join(there)),
            ("run together", "".join(there)),
            ("some", " ".join(there[: len(there) // 2])),
            ("twice", f"{gold} {gold}"),
            ("edits", edited(gold, chance, 3)),
            ("bold", f"**{gold}**"),
            ("marked", f"### {gold} ***"),
            ("sentence", f'The text says: "{gold}".'),
            ("commas", ", ".join(there)),
            ("emoji", f"\U0001f600 {gold} \u200b"),
            ("huge", f"{gold} " * 60),
            ("marks", "?! ..."),
            ("nothing", ""),
        )
    )
    truth = {"track": track, "kind": "x", "subset": subset, "answer": gold}
    return Pair(way, text, truth)


def scene(chance: random.Random) -> Pair:
    """Words of scenes, in two scripts."""
    return _reading(chance, "multi_scene_ocr", chance.choice(("IC15", "zh_scene")))


def languages(chance: random.Random) -> Pair:
    """Words of languages that are counted in words, and of those counted in characters."""
    subset = chance.choice(("French", "Korean", "Arabic", "Russian"))
    return _reading(chance, "multi_lan_ocr", subset)


def _page_truth(kind: str, gold: str) -> dict[str, Any]:
    return {"track": "doc_parsing", "kind": kind, "subset": kind, "answer": gold}


def document(chance: random.Random) -> Pair:
    """A page in LaTeX."""
    body = " ".join(chance.choice(_WORDS["IC15"]) for _ in range(chance.randint(3, 15)))
    gold = f"\\section{{{body[:8]}}}\n{body} $x^{chance.randint(2, 9)}$"
    head = "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\\usepackage{a}\n"
    whole = (
        f"{head}\\geometry{{a4paper}}\n\\begin{{document}}\n\\noindent {gold}\n\\end{{document}}"
    )
    way, text = chance.choice(
        (
            ("same", gold),
            ("case", gold.upper()),
            ("edits", edited(gold, chance, 6)),
            ("whole document", whole),
            ("fence", f"```latex\n{gold}\n```"),
            ("bare fence", f"```\n{gold}\n```"),
            ("fence in words", f"Here it is:\n```latex\n{whole}\n```\nAnything else?"),
            ("open fence", f"```latex\n{gold}"),
            ("half", gold[: len(gold) // 2]),
            ("blanks", gold.replace(" ", "  \n")),
            ("another page", "\\section{Other} Nothing alike"),
            ("long", gold * 3),
            ("nothing", ""),
        )
    )
    return Pair(way, text, _page_truth("doc", gold))


def _grid(chance: random.Random) -> list[list[str]]:
    words = (*_WORDS["IC15"][:6], "7", "出口", "")
    width = chance.randint(1, 3)
    return [[chance.choice(words) for _ in range(width)] for _ in range(chance.randint(1, 4))]


def _html(grid: list[list[str]], tag: str = "td", attribute: str = "") -> str:
    rows = (
        "".join(
            f"<{tag}{attribute if not at else ''}>{cell}</{tag}>" for at, cell in enumerate(row)
        )
        for row in grid
    )
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def table(chance: random.Random) -> Pair:
    """A table in HTML, some with spans."""
    grid = _grid(chance)
    span = chance.choice(("", "", ' colspan="2"'))
    gold = _html(grid, attribute=span)
    other = [[edited(cell, chance, 1) for cell in row] for row in grid]
    way, text = chance.choice(
        (
            ("same", gold),
            ("fence", f"```html\n{gold}\n```"),
            ("fence in words", f"Here it is:\n```html\n{gold}\n```\nDone."),
            ("in words", f"Here it is: {gold} Done."),
            ("cells edited", _html(other, attribute=span)),
            ("another span", _html(grid, attribute=' rowspan="2"')),
            ("no span", _html(grid)),
            ("row missing", _html(grid[1:], attribute=span)),
            ("row more", _html([*grid, grid[0]], attribute=span)),
            ("headings", _html(grid, tag="th", attribute=span)),
            ("border", gold.replace("<table>", '<table border="1">')),
            ("lines", gold.replace("><", ">\n  <")),
            (
                "body",
                gold.replace("<table>", "<table><tbody>").replace("</table>", "</tbody></table>"),
            ),
            ("whole page", f"<html><body>{gold}</body></html>"),
            ("cut off", gold[: len(gold) // 2]),
            ("two tables", f"{gold}{_html(other)}"),
            ("Markdown", "\n".join(f"| {' | '.join(row)} |" for row in grid)),
            ("nothing", ""),
        )
    )
    return Pair(way, text, _page_truth("table", gold))


def formula(chance: random.Random) -> Pair:
    """A formula in LaTeX, or a molecule in SMILES."""
    kind = chance.choice(("formula", "molecular"))
    parts = {
        "formula": ("\\frac { a } { b }", "x ^ { 2 }", "+", "= 7", "\\sqrt { y }"),
        "molecular": ("C", "N", "(=O)", "c1ccccc1", "[Na+]", "O", "Cl"),
    }[kind]
    gold = (" " if kind == "formula" else "").join(
        chance.choice(parts) for _ in range(chance.randint(1, 8))
    )
    way, text = chance.choice(
        (
            ("same", gold),
            ("case", gold.lower()),
            ("edits", edited(gold, chance, 3)),
            ("tight", gold.replace(" ", "")),
            ("fence", f"```latex\n{gold}\n```"),
            ("bare fence", f"```\n{gold}\n```"),
            ("dollars", f"$${gold}$$"),
            ("tag", f"<smiles>{gold}</smiles>"),
            ("tabs", f"\t{gold}\n"),
            ("sentence", f"It is {gold}."),
            ("half", gold[: len(gold) // 2]),
            ("huge", gold * 9),
            ("another", "???"),
            ("nothing", ""),
        )
    )
    return Pair(way, text, _page_truth(kind, gold))


def _object(chance: random.Random) -> dict[str, Any]:
    texts = (
        "ACME SDN BHD",
        "中 文 店",
        "5.00",
        "１２：３０",
        "a , b",
        "5kg",
        "",
        "No.7",
        "Zoë",
        "合計、税",
    )
    found: dict[str, Any] = {"company": chance.choice(texts), "total": chance.choice(texts)}
    if chance.random() < 0.5:
        found["menu"] = [
            {"name": chance.choice(texts), "count": chance.choice(("1", "2 x", "3"))}
            for _ in range(chance.randint(0, 3))
        ]
    if chance.random() < 0.3:
        found["notes"] = [chance.choice(texts) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        found["shop"] = {"tel": chance.choice(texts), "at": {"city": chance.choice(texts)}}
    return found


def _changed(value: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """An object with one field edited, dropped, renamed, of another kind, or new."""
    found = dict(value)
    key = chance.choice(sorted(found))
    way = chance.choice(("edit", "drop", "rename", "list", "number", "none", "true", "new"))
    old = found.pop(key)
    values = {
        "edit": edited(str(old), chance, 1),
        "list": [old],
        "number": 5,
        "none": None,
        "true": [True, "a"],
    }
    if way in values:
        found[key] = values[way]
    elif way in ("rename", "new"):
        found[key.upper() if way == "rename" else key] = old
        found |= {"extra": "x"} if way == "new" else {}
    return found


def fields(chance: random.Random) -> Pair:
    """An object of fields, some nested."""
    there = _object(chance)
    gold = json.dumps(there, ensure_ascii=False)
    other = json.dumps(_changed(there, chance), ensure_ascii=False)
    way, text = chance.choice(
        (
            ("same", gold),
            ("other order", json.dumps(dict(reversed(there.items())), ensure_ascii=False)),
            ("indented", json.dumps(there, indent=2)),
            ("fence", f"```json\n{gold}\n```"),
            ("fence in words", f"Here:\n```json\n{other}\n```\nDone."),
            ("open fence", f"```json\n{gold}"),
            ("bare fence", f"```\n{gold}\n```"),
            ("changed", other),
            ("changed more", other),
            ("case", gold.upper()),
            ("blanks", gold.replace('": "', '":   " ')),
            ("in words", f"The fields are {gold}."),
            ("Python", str(there)),
            ("cut off", gold[:-2]),
            ("list of objects", f"[{gold}]"),
            ("list twice", f"[{gold}, {gold}]"),
            ("text", '"ACME SDN BHD"'),
            ("number", "5.00"),
            ("empty object", "{}"),
            ("nothing", ""),
        )
    )
    return Pair(way, text, {"track": "kie", "kind": "open", "subset": "CORD", "answer": there})


TRACKS: dict[str, Draw] = {
    "scenes": scene,
    "languages": languages,
    "documents": document,
    "tables": table,
    "formulas and molecules": formula,
    "fields": fields,
}

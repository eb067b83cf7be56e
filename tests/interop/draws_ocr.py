# SPDX-License-Identifier: Apache-2.0
"""Answers to the thirty types of questions of OCRBench v2, and tables for TEDS."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from tests.interop.draws_text import CHANGES, GOLDS, WORDS
from tests.interop.pairs import Pair, edited

QUESTIONS = (
    *("APP agent en", "ASCII art classification en", "math QA en", "reasoning VQA en"),
    *("science QA en", "text recognition en", "document classification en", "cognition VQA en"),
    *("diagram QA en", "cognition VQA cn", "reasoning VQA cn"),
)
PAGES = ("full-page OCR en", "full-page OCR cn", "fine-grained text recognition en")
LONG = (
    "the quick brown fox jumps over the lazy dog near the river",
    "total amount due: 1,250.00 dollars, payable in thirty days",
    "Chapter 1\nIt was a bright cold day in April\nand the clocks were striking",
)
CHINESE = ("甲乙丙丁", "合同编号, 甲方, 乙方, 签订日期", "北京市海淀区", "一二三")
FIELDS = ("name", "date", "total", "地址", "invoice no")


def _changed(gold: str, chance: random.Random) -> tuple[str, str]:
    kind, change = chance.choice(list(CHANGES.items()))
    return kind, change(gold, chance)


def question(chance: random.Random) -> Pair:
    """Words, letters of options, texts that are compared with case."""
    kind = chance.choice(QUESTIONS)
    way = chance.choice(("None", "None", "multiple choice", "case sensitive"))
    if way == "multiple choice":
        gold = chance.choice("ABCD")
        how = chance.choice(("{}", "{}.", "({})", "{}) cat", "Answer: {}", "{} or B", "", "**{}**"))
        said = how.format(gold if chance.random() < 0.7 else chance.choice("ABCD"))
        return Pair(f"options {how}", said, _truth(kind, [gold], eval=way))
    golds = [chance.choice((*GOLDS, *LONG, *CHINESE)) for _ in range(chance.choice((1, 1, 2)))]
    change, said = _changed(golds[0], chance)
    return Pair(change, said, _truth(kind, golds, eval=way))


def counting(chance: random.Random) -> Pair:
    """A number of things, exactly or roughly."""
    gold = chance.randint(1, 40)
    near = max(0, gold + chance.randint(-8, 30))
    how = chance.choice(
        ("{}", "about {}", "{}.5", "There are {} of 100", "-{}", "none", "", "{}{}")
    )
    said = how.format(near, near)
    way = chance.choice(("exact match", "regression"))
    return Pair(f"{way} {how}", said, _truth("text counting en", [str(gold)], eval=way))


def _box(chance: random.Random, most: int = 1000) -> list[int]:
    x, y = chance.randint(0, most - 60), chance.randint(0, most - 60)
    return [x, y, x + chance.randint(5, 60), y + chance.randint(5, 60)]


def _moved(box: Sequence[int], chance: random.Random) -> list[int]:
    return [max(0, value + chance.randint(-12, 12)) for value in box]


def grounding(chance: random.Random) -> Pair:
    """One box in thousandths."""
    gold = _box(chance)
    near = _moved(gold, chance)
    way, said = chance.choice(
        (
            ("list", str(near)),
            ("tuple", str(tuple(near))),
            ("sentence", f"The text is at {near}."),
            ("two boxes", f"{gold} and then {near}"),
            ("said again", f"{near}, {gold}, {near}"),
            ("decimals", str([value + 0.5 for value in near])),
            ("swapped", str([*near[2:], *near[:2]])),
            ("flat", str([near[0], near[1], near[0], near[3]])),
            ("far outside", str([value + 950 for value in near])),
            ("three numbers", str(near[:3])),
            ("named", json.dumps({"bbox": near})),
            ("nothing", ""),
        )
    )
    return Pair(way, said, _truth("text grounding en", gold))


def question_with_place(chance: random.Random) -> Pair:
    """Words and a box."""
    gold, box = chance.choice(GOLDS), _box(chance)
    change, words = _changed(gold, chance)
    near = _moved(box, chance)
    way, said = chance.choice(
        (
            ("JSON", json.dumps({"answer": words, "bbox": near})),
            ("Python", str({"answer": words, "bbox": near})),
            ("fenced", f"```json\n{json.dumps({'answer': words, 'bbox': near})}\n```"),
            ("box as text", json.dumps({"answer": words, "bbox": str(near)})),
            ("decimals", json.dumps({"answer": words, "bbox": [value + 0.7 for value in near]})),
            ("no box", json.dumps({"answer": words})),
            ("no words", json.dumps({"bbox": near})),
            ("swapped", json.dumps({"answer": words, "bbox": [*near[2:], *near[:2]]})),
            ("three numbers", json.dumps({"answer": words, "bbox": near[:3]})),
            ("prose", f"answer: {words}"),
            ("list", json.dumps([words, near])),
        )
    )
    return Pair(f"{way}, {change}", said, _truth("VQA with position en", [gold], bbox=box))


def spotting(chance: random.Random) -> Pair:
    """Words with their boxes."""
    there = [(_box(chance), chance.choice((*WORDS, "###", "end.", "(a)"))) for _ in range(4)]
    found: list[list[Any]] = [
        [*_moved(box, chance), chance.choice((text, text, text.upper(), "wrong"))]
        for box, text in there[: chance.randint(0, 4)]
    ]
    found += [[*_box(chance), chance.choice(WORDS)] for _ in range(chance.choice((0, 0, 1)))]
    chance.shuffle(found)
    lines = "\n".join(f"({', '.join(map(str, each))})" for each in found)
    way, said = chance.choice(
        (("JSON", json.dumps(found)), ("lines", lines), ("prose", f"I read {lines}"), ("none", ""))
    )
    boxes = [[b[0], b[1], b[2], b[1], b[2], b[3], b[0], b[3]] for b, _ in there]
    truth = _truth("text spotting en", [], bbox_list=boxes, content=[text for _, text in there])
    return Pair(way, said, {**truth, "bbox": boxes})


def page(chance: random.Random) -> Pair:
    """Running text."""
    gold = chance.choice((*LONG, *LONG, *CHINESE))
    way = chance.choice(("same", "edits", "half", "words shuffled", "upper case", "word", "empty"))
    words = gold.split()
    chance.shuffle(words)
    said = {
        "same": gold,
        "edits": edited(gold, chance, 5),
        "half": gold[: len(gold) // 2],
        "words shuffled": " ".join(words),
        "upper case": gold.upper(),
        "word": words[0],
        "empty": "",
    }[way]
    return Pair(way, said, _truth(chance.choice(PAGES), [gold]))


def fields(chance: random.Random) -> Pair:
    """Values by name."""
    gold = {name: chance.choice(GOLDS) for name in chance.sample(FIELDS, chance.randint(1, 4))}
    said: dict[str, Any] = {
        name: chance.choice((value, value, value.upper(), f" {value} ", "wrong", "", None, 7))
        for name, value in gold.items()
        if chance.random() < 0.9
    }
    if chance.random() < 0.2:
        said["more"] = "x"
    way, text = chance.choice(
        (
            ("JSON", json.dumps(said, ensure_ascii=False)),
            ("Python", str(said)),
            ("fenced", f"```json\n{json.dumps(said)}\n```"),
            ("said first", f"Here it is: {json.dumps(said)}"),
            ("lines", "\n".join(f"{name}: {value}" for name, value in said.items())),
            ("cut off", json.dumps(said)[:-6]),
            ("nothing", "I cannot read it"),
        )
    )
    kind = chance.choice(("key information extraction en", "key information mapping en"))
    return Pair(way, text, _truth(kind, [json.dumps(gold)]))


def formula(chance: random.Random) -> Pair:
    """A formula, blanks aside."""
    gold = chance.choice(("x ^ { 2 }", "\\frac{1}{2}", "\\text{面积} = 3", "a+b\nc", "E = m c ^ 2"))
    change, said = _changed(gold, chance)
    kind = chance.choice(("formula recognition en", "formula recognition cn"))
    return Pair(change, said, _truth(kind, [gold]))


def handwritten(chance: random.Random) -> Pair:
    """Letters of several right options, joined in any way."""
    gold = "".join(sorted(chance.sample("ABCD", chance.randint(1, 4))))
    joint = chance.choice(("", ", ", "、", "; ", " ", "和", "-"))
    said = chance.choice((joint.join(gold), f"答案是{joint.join(gold)}", gold.lower(), "", "D"))
    truth = _truth("handwritten answer extraction cn", [gold], question="填空")
    return Pair(f"joined by {joint!r}", said, truth)


def document(chance: random.Random) -> Pair:
    """Headings and lines."""
    lines = [chance.choice(("# A", "## B", "text here", "more text", "# ", "")) for _ in range(6)]
    near = [line for line in lines if chance.random() < 0.8] + chance.choice(([], ["new", "# C"]))
    truth = _truth("document parsing en", ["\n".join(lines)])
    return Pair("lines", "\n".join(near), truth)


def _rows(chance: random.Random) -> list[list[str]]:
    width = chance.randint(1, 3)
    return [[chance.choice(GOLDS[:24]) for _ in range(width)] for _ in range(chance.randint(1, 4))]


def _spoilt(rows: list[list[str]], chance: random.Random) -> list[list[str]]:
    """A cell changed, a row lost, a cell lost, or nothing."""
    kept = [list(row) for row in rows]
    way = chance.choice(("same", "cell", "row", "lost", "more"))
    place = chance.randrange(len(kept))
    if way == "cell":
        kept[place][0] = edited(kept[place][0], chance, 2)
    elif way == "row" and len(kept) > 1:
        kept.pop(place)
    elif way == "lost":
        kept[place].pop()
    elif way == "more":
        kept.append(["new"])
    return kept


def html(rows: list[list[str]], tag: str = "td") -> str:
    """A bare table."""
    cells = ("".join(f"<{tag}>{cell}</{tag}>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def table(chance: random.Random) -> Pair:
    """A table as HTML or Markdown."""
    rows = _rows(chance)
    said = _spoilt(rows, chance)
    whole = html(said)
    if chance.random() < 0.3:
        truth = _truth("table parsing en", [_markdown(rows)], question="Write it as Markdown.")
        return Pair("Markdown", _markdown(said), truth)
    way, text = chance.choice(
        (
            ("bare", whole),
            ("in a page", f"<html><body>{whole}</body></html>"),
            ("said first", f"Here is the table:\n{whole}"),
            ("not closed", whole.removesuffix("</table>")),
            ("fenced", f"```html\n{whole}\n```"),
            ("heads", html(said[:1], "th").removesuffix("</table>") + html(said[1:])[7:]),
            ("bold", whole.replace("<td>", "<td><b>").replace("</td>", "</b></td>")),
            ("spans", whole.replace("<td>", '<td colspan="2">', 1)),
            ("lines", whole.replace("<tr>", "\n<tr>")),
            ("no table", "There is no table."),
        )
    )
    return Pair(way, text, _truth("table parsing en", [html(rows)], question="Write it as HTML."))


def chart(chance: random.Random) -> Pair:
    """Keys and values."""
    gold = {name: str(chance.randint(1, 99)) for name in chance.sample(FIELDS, 3)}
    said = {name: chance.choice((value, "5", value)) for name, value in gold.items()}
    if chance.random() < 0.3:
        said.popitem()
    way, text = chance.choice(
        (
            ("Python", str(said)),
            ("JSON", json.dumps(said, ensure_ascii=False)),
            ("fenced", f"```python\n{said}\n```"),
            ("nothing", "no chart"),
        )
    )
    return Pair(way, text, _truth("chart parsing en", [gold]))


def _truth(kind: str, answers: Any, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "answers": answers, "question": "", **more}

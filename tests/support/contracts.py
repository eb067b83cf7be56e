# SPDX-License-Identifier: Apache-2.0
"""Drawn contracts with planted violations of fifteen rules, and an oracle that quotes their clauses."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from finesight.apps.document.pages import PageAddress, find_pages, load
from finesight.apps.document.read import ReadOptions, read_page
from finesight.apps.document.records import ReadPage
from finesight.apps.review.rules import Playbook, Rule
from tests.support.app_responders import Oracle
from tests.support.documents import Line, write_pdf

# id, kind, limit or expected, good clause, bad clause, value in each
CASES = (
    (
        "payment",
        "limit",
        "<= 30 days",
        "Invoices are paid within 30 days.",
        "Invoices are paid within 60 days.",
        "30 days",
        "60 days",
    ),
    (
        "notice",
        "limit",
        ">= 3 months",
        "Either party may end this with 3 months notice.",
        "Either party may end this with 2 weeks notice.",
        "3 months",
        "2 weeks",
    ),
    (
        "interest",
        "limit",
        "<= 8 %",
        "Late sums bear interest of 7 % a year.",
        "Late sums bear interest of 19 % a year.",
        "7 %",
        "19 %",
    ),
    (
        "warranty",
        "limit",
        "12..24 months",
        "Goods are warranted for 24 months.",
        "Goods are warranted for 6 months.",
        "24 months",
        "6 months",
    ),
    (
        "law",
        "compare",
        ("laws of Norway",),
        "The laws of Norway govern this contract.",
        "The laws of Utopia govern this contract.",
        "laws of Norway",
        "laws of Utopia",
    ),
    (
        "court",
        "compare",
        ("Oslo", "Bergen"),
        "The courts of Bergen decide all disputes.",
        "The courts of Atlantis decide all disputes.",
        "Bergen",
        "Atlantis",
    ),
    (
        "currency",
        "compare",
        ("euro",),
        "All prices are stated in euro.",
        "All prices are stated in silver.",
        "euro",
        "silver",
    ),
    ("secrecy", "required", "", "Each party keeps the other's secrets.", None, "", ""),
    ("liability", "required", "", "Liability is limited to the price paid.", None, "", ""),
    ("force", "required", "", "No party answers for storms or floods.", None, "", ""),
    ("written", "required", "", "Changes of this contract are made in writing.", None, "", ""),
    ("audit", "required", "", "The buyer may inspect the books once a year.", None, "", ""),
    ("renewal", "forbidden", "", None, "This contract renews itself every year.", "", ""),
    ("exclusive", "forbidden", "", None, "The buyer purchases from nobody else.", "", ""),
    ("penalty", "forbidden", "", None, "A delay costs the seller his whole fee.", "", ""),
)
FILLER = (
    "The parties wish to trade goods with each other.",
    "Headings are for convenience only.",
    "Deliveries are made to the north gate.",
    "Pallets remain the property of the seller.",
    "Counterparts have the force of originals.",
    "The annexes are a part of this contract.",
)


def playbook() -> Playbook:
    rules = []
    for name, kind, extra, *_ in CASES:
        more = {"limit": {"limit": extra}, "compare": {"expected": extra}}.get(kind, {})
        rules.append(Rule(id=name, clause=name, kind=kind, question=f"What about {name}?", **more))
    return Playbook("Trade", tuple(rules))


@dataclass
class Contract:
    """A drawn contract.

    Attributes:
        path: the PDF.
        addresses: of its pages.
        pages: as they were read, from the text layer.
        verdicts: that are right, by rule.
        clauses: of each rule that has one: page, sentence, value.
    """

    path: Path
    addresses: list[PageAddress]
    pages: list[ReadPage]
    verdicts: dict = field(default_factory=dict)
    clauses: dict = field(default_factory=dict)

    def images(self):
        return [
            (page, load(address)) for page, address in zip(self.pages, self.addresses, strict=True)
        ]

    def responder(self) -> Oracle:
        """Quotes the clauses of the page that it is shown."""
        drawn = [load(address).pixels for address in self.addresses]

        def answer(question) -> str:
            (at,) = [
                i for i, pixels in enumerate(drawn) if np.array_equal(pixels, question.pictures[0])
            ]
            found = {
                name: [{"quote": self.clauses[name][1], "value": self.clauses[name][2]}]
                if name in self.clauses and self.clauses[name][0] == at
                else []
                for name, *_ in CASES
            }
            return json.dumps(found)

        return Oracle(answer)


def draw_contract(folder: Path, seed: int, *, num_pages=3) -> Contract:
    """A contract whose clauses are in random order; each rule is kept, broken or not spoken of."""
    rng = random.Random(seed)
    sentences, verdicts, values = {}, {}, {}
    for name, kind, _, good, bad, right, wrong in CASES:
        choice = rng.choice(("good", "bad", "none"))
        text = {"good": good, "bad": bad, "none": None}[choice]
        if text is None:
            verdicts[name] = "pass" if kind == "forbidden" else "missing"
            continue
        verdicts[name] = "pass" if choice == "good" else "fail"
        sentences[name], values[name] = text, right if choice == "good" else wrong
    order = [*sentences, *range(len(FILLER))]
    rng.shuffle(order)
    pages: list[list[Line]] = [[] for _ in range(num_pages)]
    clauses = {}
    for number, name in enumerate(order, 1):
        at = number % num_pages
        text = FILLER[name] if isinstance(name, int) else sentences[name]
        if not isinstance(name, int):
            clauses[name] = (at, text, values[name])
        pages[at].append(Line(f"{number}. {text}", y=60 + 40 * len(pages[at]), size=10))
    path = write_pdf(folder / f"contract{seed}.pdf", pages)
    addresses = find_pages([path])
    silent = Oracle(lambda question: "")
    read = [read_page(load(one), silent, ReadOptions(max_tries=1)) for one in addresses]
    return Contract(path, addresses, read, verdicts, clauses)

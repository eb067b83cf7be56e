# SPDX-License-Identifier: Apache-2.0
"""Differences of two versions of a document."""

from __future__ import annotations

import random

import pytest

from finesight.apps.document.records import ReadBlock, ReadPage
from finesight.apps.review.versions import clauses_of, compare_versions
from finesight.geometry import Box, Size
from finesight.parse.document import Block, Run

CLAUSES = [
    "The seller delivers four hundred crates of apples each month.",
    "Payment is due thirty days after the invoice was received.",
    "Each party keeps the trade secrets of the other party.",
    "Disputes are decided by the courts of Bergen alone.",
    "The buyer may inspect the warehouse on any working day.",
    "Storms, floods and strikes free the parties from their duties.",
]


def pages_of(clauses: list[str], *, per_page=3) -> list[ReadPage]:
    """Numbered clauses on pages."""
    pages = []
    for start in range(0, len(clauses), per_page):
        blocks = [
            ReadBlock(
                block=Block(
                    tag="p",
                    runs=(Run(f"{start + at + 1}. {text}"),),
                    box=Box(10, 50 * at, 300, 50 * at + 20),
                )
            )
            for at, text in enumerate(clauses[start : start + per_page])
        ]
        number = start // per_page + 1
        pages.append(
            ReadPage(
                source="a.pdf", index=number - 1, number=number, size=Size(400, 400), status="read",
                blocks=tuple(blocks),
            )
        )  # fmt: skip
    return pages


def changes(old: list[str], new: list[str]):
    return compare_versions(pages_of(old), pages_of(new))


def test_equal_versions_have_no_differences():
    assert changes(CLAUSES, CLAUSES) == ()
    assert changes([], []) == ()


def test_a_removed_clause_renumbers_the_others_without_a_difference():
    (change,) = changes(CLAUSES, CLAUSES[:1] + CLAUSES[2:])
    assert (change.kind, change.old_number, change.old_text) == ("removed", "2", CLAUSES[1])
    assert change.old_evidence[0].box == Box(10, 50, 300, 70)
    assert change.new_evidence == ()


def test_a_changed_clause_shows_the_words():
    new = [*CLAUSES]
    new[1] = "Payment is due ninety days after the invoice was received."
    (change,) = changes(CLAUSES, new)
    assert change.kind == "changed"
    assert ("removed", "thirty") in change.words
    assert ("added", "ninety") in change.words


def test_a_moved_clause_is_one_difference():
    new = [*CLAUSES[:1], *CLAUSES[2:], CLAUSES[1]]
    (change,) = changes(CLAUSES, new)
    assert (change.kind, change.old_number, change.new_number) == ("moved", "2", "6")
    assert change.new_evidence[0].page == 1
    new[-1] = new[-1].replace("thirty", "ninety")
    assert [one.kind for one in changes(CLAUSES, new)] == ["moved and changed"]


def test_an_added_clause():
    (change,) = changes(CLAUSES, [*CLAUSES, "Boxes are painted blue before they are shipped."])
    assert (change.kind, change.new_number) == ("added", "7")


@pytest.mark.parametrize("seed", range(10))
def test_planted_differences_are_all_found(seed):
    rng = random.Random(seed)
    old = [
        f"{text} Annex {number} holds for unit {number}." for number, text in enumerate(CLAUSES * 3)
    ]
    new = [*old]
    removed = new.pop(rng.randrange(len(new)))
    moved = new.pop(rng.randrange(len(new)))
    new.insert(rng.randrange(len(new)), moved)
    changed = rng.choice([one for one in new if one != moved])
    new[new.index(changed)] = changed.replace("holds", "never holds")
    found = changes(old, new)
    by_kind = {one.kind: one for one in found}
    assert by_kind["removed"].old_text == removed
    assert by_kind["changed"].old_text == changed
    is_at_home = old.index(moved) - (old.index(removed) < old.index(moved)) == new.index(moved)
    assert len(found) == (2 if is_at_home else 3)


def test_headings_begin_clauses_and_texts_belong_to_them():
    page = pages_of(["first", "second"])[0]
    heading = ReadBlock(block=Block(tag="h2", runs=(Run("Liability"),), box=Box(0, 0, 9, 9)))
    text = ReadBlock(block=Block(tag="p", runs=(Run("None at all."),), box=Box(0, 9, 9, 18)))
    foot = ReadBlock(block=Block(tag="p", runs=(Run("page 1"),)), role="page_footer")
    own = ReadPage(
        source="a.pdf", index=0, number=1, size=Size(9, 99), status="read",
        blocks=(*page.blocks, heading, text, foot),
    )  # fmt: skip
    found = clauses_of([own])
    assert [(one.number, one.text) for one in found] == [
        ("1", "first"), ("2", "second"), ("", "Liability None at all."),
    ]  # fmt: skip
    assert len(found[2].evidence) == 2

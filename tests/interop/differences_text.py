# SPDX-License-Identifier: Apache-2.0
"""Differences in short answers and in OCRBench v2."""

from __future__ import annotations

import re

from tests.interop.compare import Case, Difference

_STOP_AFTER_DIGIT = re.compile(r"\d\.(?!\d)")


def _golds(case: Case) -> list[str]:
    return [str(gold) for gold in case.pair.truth.get("golds") or case.pair.truth["answers"]]


def _is_blank(case: Case) -> bool:
    return not case.pair.answer.strip()


def _has_blank_ends(case: Case) -> bool:
    return case.pair.answer != case.pair.answer.strip()


def _has_loose_blanks(case: Case) -> bool:
    return case.pair.answer != " ".join(case.pair.answer.split())


SHORT_ANSWERS = (
    Difference(
        name="blanks as letters",
        rules=("lmms_anls", "kit_anls"),
        names=("ANLS",),
        holds=lambda case: _has_loose_blanks(case) and case.theirs > case.ours,
        example=("  abcx     ", {"golds": ["abcd"]}, 0.75, 1 - 1 / 11),
        right="ours",
        why="The definition divides edits by the longer of the two texts that are compared. They compare texts with"
        " their blanks squeezed and divide by the lengths before that, so blanks around an answer raise its score."
        " Our `anls_raw_lengths` is theirs.",
    ),
    Difference(
        name="answers not stripped",
        rules=("lmms_relaxed",),
        holds=lambda case: _has_blank_ends(case) and case.ours == 1.0,
        example=("Blue \n", {"golds": ["Blue"]}, 1.0, 0.0),
        right="ours",
        why="A line break behind a word is no other word; VLMEvalKit strips answers as well.",
    ),
    Difference(
        name="silence is an article",
        rules=("lmms_vqa", "kit_vqa"),
        holds=lambda case: _is_blank(case) and case.ours == 0.0,
        example=("", {"golds": ["a", "an", "the", *["cup"] * 7]}, 0.0, 0.9),
        right="ours",
        why="The normalisation takes articles out, so an annotator who wrote only an article agrees with silence. An"
        " answer that says nothing is worth nothing.",
    ),
    Difference(
        name="full stop after a digit",
        rules=("kit_vqa",),
        holds=lambda case: any(map(_STOP_AFTER_DIGIT.search, [case.pair.answer, *_golds(case)])),
        example=("12.", {"golds": ["12"] * 10}, 1.0, 0.0),
        right="ours",
        why="EvalAI's normalisation takes out any full stop that no digit follows. VLMEvalKit keeps one that stands"
        " after a digit, so a number at the end of a sentence is another answer.",
    ),
    Difference(
        name="full-width letters",
        rules=("lmms_ocrbench",),
        holds=lambda case: any("\uff01" <= letter <= "\uff5e" for letter in case.pair.answer),
        example=("ＣＥＮＴＲＥ", {"golds": ["CENTRE"], "kind": "Doc-oriented VQA"}, 0.0, 1.0),
        right="both",
        why="The authors' code compares letters as they are, and so does VLMEvalKit; lmms-eval reads full-width"
        " letters as plain ones, which is kinder and not comparable with published scores.",
    ),
)

READING = (
    Difference(
        name="one word of digits",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, spotting",),
        holds=lambda case: case.theirs == 0.0 and case.pair.answer.count("(") == 1,
        example=(
            "(10, 10, 60, 60, 1999)",
            {
                "kind": "text spotting en",
                "answers": [],
                "bbox": [[10, 10, 60, 10, 60, 60, 10, 60]],
                "bbox_list": [[10, 10, 60, 10, 60, 60, 10, 60]],
                "content": ["1999"],
                "question": "",
            },
            1.0,
            0.0,
        ),
        right="ours",
        why="Five numbers in brackets are a tuple for Python, and their reader then looks for lists in it. The same"
        " line with a word in the place of 1999 is read by both.",
    ),
    Difference(
        name="an object with words around it",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, key information",),
        holds=lambda case: case.pair.kind in ("said first", "cut off") and case.ours > case.theirs,
        example=(
            'Here it is: {"total": "7"}',
            {
                "kind": "key information extraction en",
                "answers": ['{"total": "7"}'],
                "question": "",
            },
            1.0,
            0.5,
        ),
        right="ours",
        why="Their reader takes an object that is the whole answer or stands in a fence, else pairs by a pattern in"
        " which the sentence before the bracket becomes the key. The fields are there and are right.",
    ),
    Difference(
        name="null is the word None",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, key information",),
        holds=lambda case: re.search(r"\b(?:null|None)\b", case.pair.answer) is not None,
        example=(
            '{"total": null}',
            {
                "kind": "key information extraction en",
                "answers": ['{"total": "none"}'],
                "question": "",
            },
            0.0,
            1.0,
        ),
        right="ours",
        why="They turn every value into text first, so a field that was left open is right where the gold text is"
        ' "none".',
    ),
)

READING += (
    Difference(
        name="a mark inside a line",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, key information",),
        holds=lambda case: (
            case.pair.kind == "lines"
            and re.search(r"[,']|: *\n", case.pair.answer) is not None
            and case.ours > case.theirs
        ),
        example=(
            "date: 1,000\ntotal: 7",
            {
                "kind": "key information extraction en",
                "answers": ['{"date": "8", "total": "7"}'],
                "question": "",
            },
            0.5,
            0.0,
        ),
        right="ours",
        why="For a value without quotes their pattern ends at a comma or an apostrophe, and what follows it, with the"
        " line break and the next name, is one name: the next field is lost. So it is after a field left empty.",
    ),
    Difference(
        name="silence has an outline",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, documents",),
        holds=lambda case: not case.pair.answer,
        example=(
            "",
            {"kind": "document parsing en", "answers": ["# A\nb"], "question": ""},
            0.0,
            0.5,
        ),
        right="ours",
        why="An empty text still has their two nodes of every tree, the root and the title, so saying nothing scores"
        " up to a half on a short document.",
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Every class of answers that two sides score differently: how it is known, an example, who is right and why.

A test fails on a case that is in no class, and on a class that none of the drawn answers falls into. The
peers are lmms-eval 0.7.3 and ms-vlmeval 0.0.20, as `scripts/harness-venv.sh` installs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.interop.compare import Case, Difference
from tests.interop.peers import GUESS, JUDGE

_HAN = re.compile(r"[\u4e00-\u9fa5]")
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
        name="Chinese words",
        rules=("lmms_ocrbench_v2",),
        names=("OCRBench v2, pages",),
        holds=lambda case: bool(_HAN.search(case.pair.answer) or _HAN.search(_golds(case)[0])),
        example=(
            "北京市",
            {"kind": "full-page OCR cn", "answers": ["北京市海淀区"], "question": ""},
            0.4208089668615984,
            0.3574561403508772,
        ),
        right="theirs",
        why="The authors cut Chinese into words with a dictionary (jieba), we into characters, which needs none. The"
        " task names these types as approximate; English pages agree to the last digit.",
    ),
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

ROBUST_RULES = (
    *("kit_can_infer", "lmms_mmstar", "lmms_realworldqa", "lmms_ai2d", "lmms_muirbench"),
    *("lmms_blink", "lmms_seedbench_2_plus", "lmms_videomme", "kit_videomme", "lmms_lvbench"),
    *("lmms_mlvu", "lmms_videommmu", "lmms_longvideobench", "kit_longvideobench"),
    *("lmms_mvbench", "kit_mvbench", "lmms_egoschema"),
)
"""Rules of theirs that stand against our `robust-letter`."""

FRUIT = {"choices": ["apple", "banana", "cherry", "date"], "answer": "B"}
_NO_OPTION = "the answer names no option, and where it does not decide, nothing is read"


def _is_ours_meant(*kinds: str) -> Callable[[Case], bool]:
    """Ours reads what the answer means, theirs does not, and the answer was drawn in one of these ways."""
    return lambda case: (
        case.ours == case.pair.meant != case.theirs and (not kinds or case.pair.kind in kinds)
    )


LETTERS = (
    Difference(
        name="a random option",
        rules=("lmms_mmmu", "lmms_mmmu_pro", "lmms_egoschema", "lmms_longvideobench"),
        holds=lambda case: case.theirs == GUESS and case.ours in (None, case.pair.meant),
        example=("I cannot tell", {"choices": ["apple", "banana"], "answer": "B"}, None, GUESS),
        right="ours",
        why="Where their rule reads nothing it draws an option, as the official code of MMMU does. That adds chance to"
        " a score and makes it another one each time; here nothing read is wrong, its share is reported, and the guess"
        " is a rule of its own (`mmmu-official-random`).",
    ),
    Difference(
        name="what follows Answer:",
        rules=("lmms_mmmu_pro",),
        holds=_is_ours_meant("another in brackets"),
        example=("(C) is near, but it does not fit.\n\nAnswer: B", FRUIT, "B", "C"),
        right="ours",
        why='The official code of MMMU-Pro looks behind the last "Answer:" first, where its prompt wants the letter.'
        " lmms-eval leaves that step out, which moved 1,730 stored answers of one model from 50 to 30 %.",
    ),
    Difference(
        name="small letters",
        rules=ROBUST_RULES,
        holds=_is_ours_meant("small letter", "small in brackets", "answer: in small letters"),
        example=("(b)", FRUIT, "B", None),
        right="ours",
        why='A letter alone, in brackets or behind "answer:" is an option in either case; their rules take capitals'
        " only, or the first capital or letter that stands anywhere.",
    ),
    Difference(
        name="the text of an option",
        rules=ROBUST_RULES,
        holds=_is_ours_meant("text", "small text", "text in a sentence"),
        example=("I think that the thing shown here is banana", FRUIT, "B", None),
        right="ours",
        why="An answer that says one option in its own words names it. Rules that look for letters find none, or a"
        " letter of the text.",
    ),
    Difference(
        name="a letter in a frame",
        rules=ROBUST_RULES,
        holds=_is_ours_meant(
            *("brackets", "bold", "quoted", "blanks", "boxed", "boxed in LaTeX", "JSON", "colon"),
            *("right bracket", "Answer: in bold", "Chinese", "Chinese brackets"),
            *("bracketed letter and text", "letter, colon and text", "the correct option is"),
        ),
        example=("**B**", FRUIT, "B", None),
        right="ours",
        why="Marks around a letter, a box, bold print or a colon say how it is printed, not another answer.",
    ),
    Difference(
        name="a letter in a sentence",
        rules=ROBUST_RULES,
        holds=_is_ours_meant(
            *("the answer is", "the correct answer is", "the best answer is", "Answer:", "Option"),
            *("the best option is", "the answer would be", "Answer: with text", "Best answer:"),
            *("I choose", "reason behind", "reason first", "because", "steps", "last line", "long"),
        ),
        example=("Because it is dark, D", FRUIT, "D", "B"),
        right="ours",
        why="The sentence says which option it means. Rules that read only the start, or take the first capital,"
        " miss it or read a letter of another word.",
    ),
    Difference(
        name="another option is turned down",
        rules=ROBUST_RULES,
        holds=_is_ours_meant(
            *("not another", "another does not fit", "another first", "another after"),
            *("another in brackets", "options first"),
        ),
        example=("C is wrong, so the answer is B.", FRUIT, "B", "C"),
        right="ours",
        why="Two letters stand in the answer and a statement says which is meant; the first, the last or one in"
        " brackets need not be that.",
    ),
    Difference(
        name="A is a word",
        rules=ROBUST_RULES,
        holds=_is_ours_meant("a sentence with A", "only A in a sentence"),
        example=("A man is there.", FRUIT, None, "A"),
        right="ours",
        why="A capital A that opens a sentence is an article.",
    ),
    Difference(
        name="several options are one",
        rules=ROBUST_RULES,
        holds=_is_ours_meant("one or another", "one and another", "all letters", "two texts"),
        example=("A or B", FRUIT, None, "A"),
        right="ours",
        why=f"They take one of those that are named, by its place; {_NO_OPTION}.",
    ),
    Difference(
        name="a letter out of other words",
        rules=("lmms_blink", "kit_can_infer", "lmms_egoschema"),
        holds=lambda case: case.ours is None and case.pair.meant is None,
        example=("Because it is dark", FRUIT, None, "B"),
        right="ours",
        why=f"A letter of a word, or a word of an option inside another word, is taken for an option; {_NO_OPTION}.",
    ),
    Difference(
        name="silence is an option",
        rules=("kit_mvbench",),
        holds=lambda case: not case.pair.answer.strip() and case.ours is None,
        example=("", FRUIT, None, "ABCD"),
        right="ours",
        why="They ask whether what was said is part of the right option, and nothing is part of everything: an empty"
        " answer is always right.",
    ),
)
VIDEO = (
    Difference(
        name="a judge is asked",
        rules=("lmms_tempcompass", "kit_tempcompass"),
        holds=lambda case: case.theirs == JUDGE,
        example=("The answer is yes.", {"options": [], "answer": "yes"}, 1.0, JUDGE),
        right="both",
        why="Where their rule fits no pattern a language model is asked. Ours goes on by rule, so that a score needs no"
        " other model, and what no rule decides is wrong.",
    ),
    Difference(
        name="the options said again",
        rules=("lmms_tempcompass", "kit_tempcompass"),
        holds=lambda case: case.pair.kind == "options first" and case.ours == 1.0,
        example=(
            "A. apple\nB. banana\nThe answer is B",
            {**FRUIT, "options": [["A", "apple"], ["B", "banana"], ["C", "cherry"]]},
            1.0,
            0.0,
        ),
        right="ours",
        why="An answer that repeats the options before it chooses begins with A.; that is no choice.",
    ),
    Difference(
        name="words that begin with no",
        rules=("lmms_tempcompass", "kit_tempcompass"),
        holds=lambda case: case.pair.answer == "nope",
        example=("nothing can be seen", {"options": [], "answer": "no"}, 0.0, 1.0),
        right="both",
        why='They take any answer that begins with the two letters for no; ours wants the word, so "nope" is lost and'
        ' "nothing can be seen" is not taken for an answer.',
    ),
)
COUNTS = (
    Difference(
        name="a number in a sentence",
        rules=("lmms_countbench", "lmms_countbenchqa"),
        holds=lambda case: case.ours == 1.0 and case.theirs == 0.0,
        example=("There are 3 cups.", {"number": 3}, 1.0, 0.0),
        right="ours",
        why='They compare the whole answer with the number, one of them without knowing number words, so "3." is'
        " wrong. Ours takes the last number said.",
    ),
)

DIFFERENCES = (*SHORT_ANSWERS, *READING, *LETTERS, *VIDEO, *COUNTS)

# SPDX-License-Identifier: Apache-2.0
"""Differences in letters of options, in yes and no, and in counts."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase

from tests.interop.compare import Case, Difference
from tests.interop.peers import GUESS, JUDGE

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


def _is_alone_behind_answer(case: Case) -> bool:
    """Whether what ours reads is the only letter of an option behind the last "Answer:"."""
    _, found, tail = case.pair.answer.rpartition("Answer:")
    letters = ascii_uppercase[: len(case.pair.truth["choices"])]
    return bool(found) and [letter for letter in letters if letter in tail] == [case.ours]


LETTERS = (
    Difference(
        name="what follows Answer:",
        rules=("lmms_mmmu_pro",),
        holds=_is_alone_behind_answer,
        example=("(C) is near, but it does not fit.\n\nAnswer: B", FRUIT, "B", "C"),
        right="ours",
        why='The official code of MMMU-Pro looks behind the last "Answer:" first, where its prompt wants the letter.'
        " lmms-eval leaves that step out, which moved 1,730 stored answers of one model from 50 to 30 %.",
    ),
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

# SPDX-License-Identifier: Apache-2.0
"""Differences in mathematics, in stretches of time, in boxes and in points."""

from __future__ import annotations

import re

from tests.interop.compare import Case, Difference
from tests.interop.peers import JUDGE

_ROOT = re.compile(r"sqrt|pi")
_LOOSE_FRACTION = re.compile(r"frac\d|\d\\[dt]?frac|\\tfrac")


def _texts(case: Case) -> str:
    """Everything that is compared: the answer, the gold answer, and options where that may be one's letter."""
    return " ".join(
        (case.pair.answer, case.pair.truth["answer"], *case.pair.truth.get("choices", ()))
    )


MATHS = (
    Difference(
        name="roots and pi",
        rules=("lmms_mathvision", "lmms_is_equal"),
        holds=lambda case: case.ours == 1.0 and _ROOT.search(_texts(case)) is not None,
        example=("3.14", {"answer": "\\pi", "choices": []}, 1.0, 0.0),
        right="ours",
        why="Values are equal to two decimals, says the rule. Their code evaluates what sympy prints, such as sqrt(12),"
        " in a place where no name has a value, and takes the error for inequality.",
    ),
    Difference(
        name="fractions without brackets",
        rules=("lmms_mathvision", "lmms_is_equal", "kit_is_equal"),
        holds=lambda case: case.ours == 1.0 and _LOOSE_FRACTION.search(_texts(case)) is not None,
        example=("\\frac12", {"answer": "0.5", "choices": []}, 1.0, 0.0),
        right="ours",
        why="LaTeX prints \\frac12 as a half, and a whole number before a fraction is a mixed number; their grammar"
        " reads neither.",
    ),
)
MATHS += (
    Difference(
        name="tuples",
        rules=("kit_is_equal",),
        holds=lambda case: case.ours == 1.0 and case.pair.truth["answer"][0] in "([",
        example=("(1, 2)", {"answer": "(1,2)"}, 1.0, 0.0),
        right="ours",
        why="The official code compares tuples member by member; VLMEvalKit subtracts them, which fails, and a blank"
        " makes another text.",
    ),
    Difference(
        name="a judge reads MathVista",
        rules=("lmms_mathvista",),
        holds=lambda case: case.theirs == JUDGE,
        example=(
            "It is 14, I think",
            {
                "choices": [],
                "question_type": "free_form",
                "answer_type": "integer",
                "precision": None,
                "answer": "14",
            },
            1.0,
            JUDGE,
        ),
        right="both",
        why="The official way asks a language model for whatever is no bare number or option; ours goes on by rule, and"
        " the task says what that costs.",
    ),
    Difference(
        name="silence is the nearest option",
        rules=("lmms_mathvista",),
        holds=lambda case: not case.pair.answer and case.ours == 0.0,
        example=(
            "",
            {
                "choices": ["12", "14"],
                "question_type": "multi_choice",
                "answer_type": "text",
                "precision": None,
                "answer": "12",
            },
            0.0,
            1.0,
        ),
        right="ours",
        why="Their rule takes the option with the fewest edits, and for an empty answer that is the first of the"
        " shortest. The rule `mathvista-rule` keeps it for published numbers.",
    ),
)
MATHS += (
    Difference(
        name="percent signs of LaTeX",
        rules=("lmms_is_equal", "kit_is_equal"),
        holds=lambda case: "\\%" in _texts(case) and case.theirs == 1.0,
        example=("50\\%", {"answer": "0.5"}, 0.0, 1.0),
        right="theirs",
        why="Their grammar gives 50\\% a value. Here it has none: it would make 45% equal to an option written 45 \\%,"
        " which the authors' stored verdicts count as wrong, and those are met answer by answer.",
    ),
)
_BOX_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


def _is_reversed(case: Case) -> bool:
    """Whether the first box said has its corners in another order."""
    text = case.pair.answer.replace("bbox_2d", "")
    numbers = [float(number) for number in _BOX_NUMBERS.findall(text)[:4]]
    return len(numbers) == 4 and (numbers[0] > numbers[2] or numbers[1] > numbers[3])


PLACES = (
    Difference(
        name="both ends in one sentence",
        rules=("lmms_charades",),
        holds=lambda case: case.theirs == 0.0 and case.ours > 0.0,
        example=("The event starts at 4 and ends at 8.", {"span": [4, 8]}, 1.0, 0.0),
        right="ours",
        why='In one line they take two times only with a dash or "to" between them, so the two ends of a sentence, of a'
        " list or of a JSON object are lost; on two lines they are read.",
    ),
    Difference(
        name="corners in another order",
        rules=("lmms_refcoco",),
        holds=lambda case: _is_reversed(case) and case.theirs == 0.0,
        example=(
            "[60, 60, 10, 10]",
            {"box": [10, 10, 60, 60], "xywh": [10, 10, 50, 50], "size": [640, 480]},
            1.0,
            0.0,
        ),
        right="both",
        why="Two opposite corners say a box in any order, as everywhere in `finesight.parse`; they take a box with"
        " negative sides for an empty one.",
    ),
    Difference(
        name="the truth chooses the box",
        rules=("lmms_refcoco",),
        holds=lambda case: case.pair.kind == "two boxes" and case.theirs > case.ours,
        example=(
            '[{"bbox_2d": [500, 400, 560, 460]}, {"bbox_2d": [10, 10, 60, 60]}]',
            {"box": [10, 10, 60, 60], "xywh": [10, 10, 50, 50], "size": [640, 480]},
            0.0,
            1.0,
        ),
        right="ours",
        why="Of all boxes said they keep the one that overlaps the truth most. The question is about one place, and the"
        " first box is the answer.",
    ),
    Difference(
        name="the truth chooses the scale",
        rules=("lmms_refcoco",),
        holds=lambda case: case.theirs > case.ours,
        example=(
            "[16, 21, 94, 125]",
            {"box": [10, 10, 60, 60], "xywh": [10, 10, 50, 50], "size": [640, 480]},
            0.1928956834532374,
            0.9904433324061622,
        ),
        right="ours",
        why="Every box is read as pixels and as thousandths, and the reading with the larger overlap counts. What"
        " numbers mean is declared before the run here, and never taken from the truth.",
    ),
)
PLACES += (
    Difference(
        name="shares of the picture",
        rules=("lmms_screenspot_v2", "lmms_screenspot_pro"),
        holds=lambda case: case.pair.kind == "shares" and case.theirs == 1.0,
        example=("(0.05, 0.1)", {"box": [10, 10, 60, 60], "size": [640, 480]}, 0.0, 1.0),
        right="ours",
        why="Numbers up to 1 are shares for them and others pixels, so what numbers mean follows from the answer, and a"
        " click at pixel (1, 1) cannot be said. Here it is declared before the run.",
    ),
    Difference(
        name="the 2 of bbox_2d",
        rules=("lmms_screenspot_v2", "lmms_screenspot_pro"),
        holds=lambda case: "bbox_2d" in case.pair.answer,
        example=(
            '[{"bbox_2d": [10, 10, 60, 60]}]',
            {"box": [30, 30, 60, 60], "size": [640, 480]},
            1.0,
            0.0,
        ),
        right="ours",
        why='They take the first four numbers of an answer that says "box", and in Qwen\'s own form the first is'
        " the 2 of the key.",
    ),
)

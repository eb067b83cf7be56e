# SPDX-License-Identifier: Apache-2.0
"""Every rule of reading sees the part of a reply that answers, and none sees what was thought."""

from __future__ import annotations

import pytest

from finesight.evals.core import registry
from finesight.evals.core.task import Answered, CoordinateFrame
from finesight.evals.extract.boxed import BOXED, MATHVISION_OFFICIAL
from finesight.evals.extract.intervals import EVENT_INTERVAL, LMMS_INTERVAL
from finesight.evals.extract.mathvista import MATHVISTA_RULE, MATHVISTA_RULE_INT
from finesight.evals.extract.mcq import CAN_INFER, MMMU_OFFICIAL, MMMU_OFFICIAL_RANDOM
from finesight.evals.extract.mmmu_open import MMMU_OPEN
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.extract.places import ALL_BOXES, ALL_POINTS, FIRST_BOX, FIRST_POINT
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.extract.text import LAST_LINE, VERBATIM, WHOLE_TEXT
from finesight.geometry import Size

SIGHTS = (CoordinateFrame("original", Size(100, 100), Size(100, 100)),)
TRUTH = {"choices": ["krill", "whale", "plankton", "leopard"]}
INTEGER = {"question_type": "free_form", "answer_type": "integer", "choices": None}
BOX = '{{"bbox_2d": [{0}, {0}, 20, 30], "label": "{1}"}}'


def read(rule, text, truth=TRUTH):
    return rule.read(Answered(text, truth, SIGHTS))


@pytest.mark.parametrize(
    ("rule", "thought", "answer", "found"),
    [
        (ROBUST_LETTER, "The answer is A.", "C", "C"),
        (MMMU_OFFICIAL, "(A) fits.", "C", "C"),
        (CAN_INFER, "A or B", "C", "C"),
        (MMMU_OPEN, "so 7", "4", [4.0]),
        (LAST_NUMBER, "3 and 7", "4", 4),
        (BOXED, r"\boxed{A}", r"\boxed{C}", "C"),
        (MATHVISION_OFFICIAL, r"\boxed{A}", r"\boxed{C}", "c"),
        (FIRST_BOX, BOX.format(1, "no"), BOX.format(5, "yes"), [5, 5, 20, 30]),
        (ALL_BOXES, BOX.format(1, "no"), BOX.format(5, "yes"), [["yes", [5, 5, 20, 30]]]),
        (FIRST_POINT, "(1, 2)", "(3, 4)", [3, 4]),
        (ALL_POINTS, "(1, 2)", "(3, 4)", [[3, 4]]),
        (EVENT_INTERVAL, "from 1 to 2 seconds", "from 5 to 6 seconds", [5, 6]),
        (LMMS_INTERVAL, "1 - 2", "5 - 6", [5, 6]),
        (WHOLE_TEXT, "no", "a page", "a page"),
        (VERBATIM, "no", "a page", "a page"),
        (LAST_LINE, "no", "a page", "a page"),
    ],
)
def test_what_was_thought_is_not_read(rule, thought, answer, found):
    assert read(rule, f"<think>{thought}</think><answer>{answer}</answer>") == found
    assert read(rule, f"<think>{thought}</think>{answer}") == found
    assert read(rule, f"{thought}.</think><answer>{answer}</answer>") == found
    assert read(rule, f"<answer>{answer}</answer>") == found
    assert read(rule, answer) == found
    assert read(rule, f"<think>{thought} So {answer}, but") is None


def test_integers_of_mathvista_are_read_behind_the_thought():
    for rule in (MATHVISTA_RULE, MATHVISTA_RULE_INT):
        assert read(rule, "<think>7?</think><answer>14</answer>", INTEGER) == "14"


def test_a_guess_is_no_way_out_of_a_thought_that_was_cut_off():
    assert read(MMMU_OFFICIAL_RANDOM, "no idea") in "ABCD"
    assert read(MMMU_OFFICIAL_RANDOM, "<think>no idea") is None


@pytest.mark.parametrize(
    "page",
    [
        "<html><body><p>Put it in <answer>C</answer>.</p></body></html>",
        "Put the letter in <answer>C</answer> and stop.",
        "Close the thought with the </think> tag, please.",
    ],
)
@pytest.mark.parametrize(
    "task", ["ocr_scans", "page_scan", "omnidocbench_en", "cc_ocr", "ocrbench", "ocrbench_v2_en"]
)
def test_a_page_that_shows_the_tags_loses_no_text(task, page):
    rule = registry.task(task).extractors[0]
    assert read(rule, page, {"text": page}) == page


def test_the_answer_decides_in_the_midst_of_a_sentence_where_one_thing_is_looked_for():
    assert read(ROBUST_LETTER, "I say <answer>C</answer> because A and B are large") == "C"
    box = BOX.format(5, "yes")
    assert read(FIRST_BOX, f"not (1, 2, 3, 4) but <answer>{box}</answer> there") == [5, 5, 20, 30]

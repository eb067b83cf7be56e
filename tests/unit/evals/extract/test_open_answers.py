# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from finesight.evals.core.task import Answered
from finesight.evals.extract.boxed import BOXED, MATHVISION_OFFICIAL, last_boxed
from finesight.evals.extract.mathvista import MATHVISTA_RULE, MATHVISTA_RULE_OF_WORDS, normalise
from finesight.evals.extract.mmmu_open import MMMU_OPEN, is_open_correct
from finesight.evals.extract.numbers import LAST_NUMBER, last_number_text
from finesight.evals.extract.text import LAST_LINE, VERBATIM, WHOLE_TEXT
from finesight.evals.metrics.maths import is_equal

REAL = os.environ.get("FINESIGHT_REAL_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
FRACTIONS = {
    "question_type": "multi_choice",
    "answer_type": "text",
    "choices": ["3/11", "8/11", "6/11", "3/5"],
    "precision": None,
}
SUBJECTS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
}


def read(extractor, text, truth=None):
    return extractor.read(Answered(text, truth or {}))


def number(kind, precision=None):
    return {
        "question_type": "free_form",
        "answer_type": kind,
        "precision": precision,
        "choices": None,
    }


@pytest.mark.parametrize(
    ("gold", "text", "is_right"),
    [
        ("2.83", "The answer is 2.83", True),
        ("2.83", "2.8", False),
        ("8", "so x = 8.", True),
        ("France", "It is in france.", True),
        ("a", "The answer is a banana", True),
        (["Tampa", "Florida"], "florida", True),
        ("1,234", "so it is 1234", True),
        ("10", "", False),
        ("3", "First 5 apples.\nThus 3", True),
        ("12", "1.2e1", True),
        ("12345678901234567", "so it is 12345678901234567", True),
        ("12345678901234567", "so it is 12345678901234568", False),
        ("12345678901234567", "so it is 12,345,678,901,234,567", True),
        (float("nan"), "nan", False),
        (3.5, "so 3.5", True),
    ],
)
def test_open_questions_of_mmmu(gold, text, is_right):
    assert is_open_correct(read(MMMU_OPEN, text), gold) is is_right


def test_open_answers_are_plain_values():
    assert read(MMMU_OPEN, "so x = 8.") == [8.0]
    assert read(MMMU_OPEN, "It is in france.") == ["in france"]
    assert read(MMMU_OPEN, "c") == [" c", "c "]
    assert not is_open_correct(None, "x")
    json.dumps(read(MMMU_OPEN, "nan inf 1e999"), allow_nan=False)


@pytest.mark.real_data
@needs_real
def test_published_answers_of_mmmu():
    folder = Path(REAL) / "mmmu"
    golds = json.loads((folder / "answer_dict_val.json").read_text())
    said = json.loads((folder / "llava1.5_13b_total_val_output.json").read_text())
    right, asked, num_open = Counter(), Counter(), 0
    for name, row in golds.items():
        subject = name.removeprefix("validation_").rsplit("_", 1)[0]
        is_open = row["question_type"] != "multiple-choice"
        hit = (
            is_open_correct(read(MMMU_OPEN, said[name]), row["ground_truth"])
            if is_open
            else said[name] == row["ground_truth"]
        )
        num_open += is_open
        right[subject] += hit
        asked[subject] += 1
    assert (asked.total(), num_open) == (900, 53)
    assert round(right.total() / 900, 3) == 0.367
    shares = {
        domain: round(sum(right[s] for s in names) / sum(asked[s] for s in names), 3)
        for domain, names in SUBJECTS.items()
    }
    assert shares == {"Art and Design": 0.525, "Business": 0.227, "Science": 0.293}


@pytest.mark.parametrize(
    ("extraction", "truth", "normal"),
    [
        ("(B) 8/11", FRACTIONS, "8/11"),
        ("B", FRACTIONS, "8/11"),
        ("(c)", FRACTIONS, "6/11"),
        ("8 / 11", FRACTIONS, "8/11"),
        ("", FRACTIONS, "3/5"),
        (None, FRACTIONS, "3/11"),
        ("0.64", number("float", 1), "0.6"),
        ("0.64", number("float", 1.0), "0.6"),
        ("14.0", number("integer"), "14"),
        ("fourteen", number("integer"), None),
        ("inf", number("integer"), None),
        ("nan", number("integer"), None),
        ("12345678901234567", number("integer"), "12345678901234567"),
        ("0.64", number("float", float("nan")), "1.0"),
        ("0.64", number("float", None), "1.0"),
        ("1" * 5000, number("integer"), None),
        ("[1, 2]", number("list"), "[1, 2]"),
        ("(b)", {**FRACTIONS, "choices": ["(c)", "(d)", "(a)", "(b)"]}, "(d)"),
    ],
)
def test_normal_forms_of_mathvista(extraction, truth, normal):
    assert normalise(extraction, truth) == normal


@pytest.mark.parametrize(
    ("text", "truth", "normal"),
    [
        ("8/11", FRACTIONS, "8/11"),
        ("Answer: B", FRACTIONS, "8/11"),
        ('The answer is "6/11".', FRACTIONS, "6/11"),
        ("so it is 3/5.", FRACTIONS, "3/5"),
        ("14", number("integer"), "14"),
        ("There are 3 rows of 4, so the answer is 12.", number("integer"), "12"),
        (r"thus \boxed{1,200} metres", number("integer"), "1200"),
        ("0.638", number("float", 2), "0.64"),
        ("The area is 12.56 cm", number("float", 1), "12.6"),
        ("The answer is -5", number("integer"), "-5"),
        ("", number("integer"), None),
        ("no idea", number("integer"), None),
    ],
)
def test_answers_of_mathvista(text, truth, normal):
    assert normalise(read(MATHVISTA_RULE, text, truth), truth) == normal


@pytest.mark.parametrize(
    ("text", "kind", "ours", "published"),
    [
        ("The answer is −3", number("integer"), "-3", "3"),
        ("It falls to −3.25 degrees", number("float", 2), "-3.25", "3.25"),
        ("The ratio is 1/2.", number("float", 1), "0.5", "2.0"),
        ("It takes 2 1/2 hours", number("float", 1), "2.5", "2.0"),
        (r"so \boxed{-\frac{3}{4}}", number("float", 2), "-0.75", "4.0"),
        (r"$\dfrac{8}{4}$ apples", number("integer"), "2", "4"),
        ("Answer: 1.5e3", number("integer"), "1500", None),
        ("about 1.5 × 10^3 m", number("integer"), "1500", "3"),
        (r"$2.5 \times 10^{-1}$", number("float", 2), "0.25", "-1.0"),
        ("on 1/2/2020", number("integer"), "2020", "2020"),
        ("from 2-3", number("integer"), "3", "3"),
        ("It is 1,200.5 m", number("float", 1), "1200.5", "1200.5"),
        ("5/0", number("integer"), None, "0"),
        ("7, as 3/0 is none", number("integer"), "7", "0"),
        ("", number("integer"), None, None),
        (" ", number("integer"), None, None),
    ],
)
def test_numbers_that_only_our_rule_of_mathvista_reads(text, kind, ours, published):
    said = read(MATHVISTA_RULE_OF_WORDS, text, kind)
    assert (said if said is None else normalise(said, kind)) == ours
    said = read(MATHVISTA_RULE, text, kind)
    assert (said if said is None else normalise(said, kind)) == published


def test_quoted_answers_are_those_of_the_published_pattern_of_mathvista():
    """The longest of the last line that has one; their pattern takes quadratic time."""
    published = re.compile(r'The answer is "([^\n]*)"\.')
    quoted = 0
    for pieces in product(('The answer is "', "5", '".', '"', "\n"), repeat=6):
        found = published.findall("".join(pieces))
        if found and found[-1]:
            assert read(MATHVISTA_RULE, "".join(pieces), number("text")) == found[-1], pieces
            quoted += 1
    assert quoted > 500
    apart = 'The answer is "5".\nThe answer is "7". "6".\nThe answer is "8"'
    assert read(MATHVISTA_RULE, apart, number("integer")) == '7". "6'


@pytest.mark.real_data
@needs_real
def test_published_extractions_of_mathvista():
    rows = json.loads((Path(REAL) / "mathvista/output_bard.json").read_text()).values()
    verdicts = [normalise(row["extraction"], row) == row["answer"] for row in rows]
    assert verdicts == [row["true_false"] for row in rows]
    assert (sum(verdicts), len(verdicts)) == (348, 1000)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("60", "60"),
        ("It must be B.", "b"),
        ("It must be (C).", "c"),
        ("D\nbecause", "d"),
        ("The result is 12.", "12"),
        ("So the answer is 7 apples. Good", "7apples"),
        (r"so \boxed{3} and \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{x = 5}", "5"),
        ("0.5", r"\frac{1}{2}"),
        ("3/4", r"\frac{3}{4}"),
        (r"\text{(B)}", "b"),
        (r"2\sqrt3", r"2\sqrt{3}"),
        (r"45^\circ", "45"),
        ("", None),
    ],
)
def test_the_official_rule_of_mathvision(text, answer):
    assert read(MATHVISION_OFFICIAL, text) == answer


@pytest.mark.real_data
@needs_real
@pytest.mark.parametrize(
    ("system", "total"),
    [
        ("Qwen-VL-Max", 474),
        ("Qwen-VL-Plus", 326),
        ("InternLM-XComposer2-VL", 442),
        ("InternLM-XComposer2-VL-CoT", 437),
    ],
)
def test_published_answers_of_mathvision(system, total):
    folder = Path(REAL) / "mathvision"
    lines = (folder / "test.jsonl").read_text().splitlines()
    questions = {row["id"]: row for row in map(json.loads, lines)}
    outputs = map(json.loads, (folder / f"outputs/{system}.jsonl").read_text().splitlines())
    verdicts = []
    for row in outputs:
        question = questions[row["id"]]
        answer = read(MATHVISION_OFFICIAL, row["response"]) or ""
        golds = [question["answer"]]
        if question["options"]:
            golds.append(question["options"][ord(question["answer"]) - ord("A")])
        verdicts.append(any(is_equal(gold, answer) for gold in golds))
        assert verdicts[-1] == row["correct"], row
    assert (sum(verdicts), len(verdicts)) == (total, 3040)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{cut \frac{1}{2", r"cut \frac{1}{2"),
        (r"\boxed{ }", None),
        (r"\fbox{5}", None),
        ("5", None),
    ],
)
def test_boxes_of_solutions(text, content):
    assert read(BOXED, text) == content


def test_brackets_of_a_box_are_balanced():
    assert last_boxed(r"\boxed{a{b}c}d}") == "a{b}c"
    assert last_boxed("nothing") is None


@pytest.mark.parametrize(
    ("text", "count"), [("There are three", 3), ("2 and then 5", 5), ("none", 0), ("many", None)]
)
def test_counts(text, count):
    assert read(LAST_NUMBER, text) == count


@pytest.mark.parametrize(
    ("text", "last"),
    [
        *(("from 1,200 to 3.5", "3.5"), ("x2 is -7.", "-7"), ("v1.2.3", None), ("", None)),
        ("it is 0.12345678901234567890123", "0.12345678901234567890123"),
        ("12345678901234567890123 m", "12345678901234567890123"),
    ],
)
def test_the_last_number_in_digits(text, last):
    assert last_number_text(text) == last


def test_texts():
    assert read(WHOLE_TEXT, "  a\nb ") == "a\nb"
    assert read(WHOLE_TEXT, "") == ""
    assert read(VERBATIM, "  a\nb ") == "  a\nb "
    assert read(LAST_LINE, "a\n b \n\n") == "b"
    assert read(LAST_LINE, " \n ") is None

# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.errors import EvalError
from finesight.evals.metrics.chinese_words import chinese_words
from finesight.evals.metrics.ngrams import bleu, meteor_exact, set_f1
from finesight.evals.metrics.ocrbench_v2 import (
    APPROXIMATE_KINDS,
    CATEGORIES,
    official_total,
    score_v2,
)
from finesight.evals.metrics.spotting import outline_similarity, spotting_hmean

LONG = "the cat sat on the mats"
PLACE = {"answers": ["Hello Buddies"], "bbox": [60, 60, 140, 140]}
SPOTTED = {"bbox": [[10, 10, 50, 10, 50, 20, 10, 20]], "content": ["Hello!"]}
KINDS = [
    f"{kind} {language}"
    for language, categories in CATEGORIES.items()
    for kinds in categories.values()
    for kind in kinds
]
RIGHT = {
    "text counting en": ("10", {"answers": ["10"], "eval": "regression"}),
    "text grounding en": ("[1, 2, 3, 4]", {"answers": [1, 2, 3, 4]}),
    "VQA with position en": (
        '{"answer": "Hello Buddies", "bbox": [60, 60, 140, 140]}',
        PLACE,
    ),
    "text spotting en": ('[[10, 10, 50, 20, "Hello!"]]', SPOTTED),
    "chart parsing en": ('{"a": {"x": 1}, "b": 2}', {"answers": [{"a": {"x": 1}, "b": 2}]}),
    "table parsing en": (
        "<table><tr><td>a</td></tr></table>",
        {"answers": ["<table><tr><td>a</td></tr></table>"], "question": "give HTML"},
    ),
    "table parsing cn": (
        "<table><tr><td>a</td></tr></table>",
        {"answers": ["<table><tr><td>a</td></tr></table>"], "question": "html"},
    ),
    "document parsing en": ("# T\nhello", {"answers": ["# T\nhello"]}),
    "document parsing cn": ("# T\nhello", {"answers": ["# T\nhello"]}),
    "key information extraction en": ('{"a": "1"}', {"answers": [{"a": ["1", "2"]}]}),
    "key information mapping en": ('{"a": "2"}', {"answers": ["{'a': ['1', '2']}"]}),
    "key information extraction cn": ('{"a": "1"}', {"answers": ["{'a': '1'}"]}),
    "handwritten answer extraction cn": ("A、B", {"answers": ["AB"], "question": "选择题"}),
    "formula recognition en": ("so x ^ 2 = 4", {"answers": ["x^2=4"]}),
    "formula recognition cn": (r"\text{面积}=4", {"answers": ["面积 = 4"]}),
}
PAGE = ("one two three four five", {"answers": ["one two three four five"]})


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_answer_of_every_type(kind):
    text, truth = RIGHT.get(kind, PAGE)
    assert score_v2(kind, text, truth) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "\ud800", "nan", "{" * 2000, "1" * 100_000, "[" * 500])
def test_hostile_answers_of_every_type(kind, text):
    _, truth = RIGHT.get(kind, PAGE)
    most = 0.75 if kind.startswith("document") else 0.5  # outlines do not look at content
    assert 0 <= score_v2(kind, text, truth) <= most


def test_there_are_thirty_types():
    assert len(KINDS) == len(set(KINDS)) == 30
    assert set(KINDS) > APPROXIMATE_KINDS


@pytest.mark.parametrize(
    ("text", "gold", "score"),
    [
        ("The total is 42 dollars", "42", 1.0),
        ("The total is 42 dollars", "43", 0.0),
        (LONG[:-1], LONG, 0.9565),
        ("nothing of the kind at all", LONG, 0.0),
    ],
)
def test_questions(text, gold, score):
    assert score_v2("diagram QA en", text, {"answers": [gold]}) == pytest.approx(score, abs=5e-5)


def test_ways_to_compare_questions():
    choice = {"answers": ["B"], "eval": "multiple choice"}
    assert score_v2("science QA en", "(B)", choice) == 1.0
    assert score_v2("science QA en", "B is it", choice) == 0.0
    case = {"answers": ["Ab"], "eval": "case sensitive"}
    assert [score_v2("APP agent en", text, case) for text in ("x Ab", "x ab")] == [1.0, 0.0]
    assert score_v2("cognition VQA cn", "共 4 2 元", {"answers": ["42元"]}) == 1.0


@pytest.mark.parametrize(
    ("text", "score"), [("9", 0.9), ("about 12", 0.8), ("5", 0.0), ("15", 0.0), ("20", 0.0)]
)
def test_counting(text, score):
    truth = {"answers": ["10"], "eval": "regression"}
    assert score_v2("text counting en", text, truth) == pytest.approx(score)


def test_places():
    said = "first [1, 1, 2, 2], then [50, 50, 150, 150]"
    assert score_v2("text grounding en", said, {"answers": [60, 60, 140, 140]}) == 0.64
    both = '{"answer": "Hello Buddies", "bbox": [50, 50, 150, 150]}'
    assert score_v2("VQA with position en", both, PLACE) == pytest.approx(0.82)
    as_text = '{"answer": "Hello Buddies", "bbox": "[50, 50, 150, 150]"}'
    assert score_v2("VQA with position en", as_text, PLACE) == pytest.approx(0.82)


def test_key_information():
    truth = {"answers": [{"a": ["1"], "b": ["$ 5.00"]}]}
    kind = "key information extraction en"
    assert score_v2(kind, '{"a": 1, "b": "$5.00"}', truth) == 1.0
    assert score_v2(kind, '{"a": 1, "b": 3}', truth) == 0.5
    assert score_v2(kind, '{"a": 1, "c": 3}', truth) == pytest.approx(1 / 3)
    assert score_v2(kind, "a: 1\nb: $5.00", truth) == 1.0


def test_markdown_tables():
    truth = {"answers": ["|a|b|\n|-|-|\n|c|d|"], "question": "in Markdown"}
    said = "```markdown\n|a|b|\n|-|-|\n|c|x|\n```"
    assert score_v2("table parsing en", said, truth) == pytest.approx(0.8333, abs=5e-5)


def test_outlines_look_at_structure_only():
    assert outline_similarity("# X\nfoo\nbar", "# T\nhello\nworld") == 1.0
    assert outline_similarity("# T\nhello", "# T\nhello\nworld") == pytest.approx(0.8)
    assert outline_similarity("x\n" * 5000, "# T") == 0.0


def test_words_and_boxes():
    box = (0, 0, 10, 10)
    assert spotting_hmean([(box, "hello")], [(box, "Hello!")]) == 1.0
    assert spotting_hmean([(box, "hello!")], [(box, "Hello")]) == 0.0
    assert spotting_hmean([(box, "a"), ((50, 50, 60, 60), "b")], [(box, "a")]) == pytest.approx(
        2 / 3
    )
    ignored = [(box, "a"), ((50, 50, 60, 60), "###")]
    assert spotting_hmean([(box, "a"), ((50, 50, 60, 60), "b")], ignored) == 1.0
    assert score_v2("text spotting en", "(10, 10, 50, 20, HELLO) [9, 9]", SPOTTED) == 1.0


def test_word_overlap():
    words = ["the", "cat", "sat", "on", "the", "mat"]
    assert bleu(words, words) == pytest.approx(1.0)
    assert bleu(words[:3], words[:3]) == 0.0
    assert meteor_exact(words, words) == pytest.approx(1 - 0.5 / 6**3)
    assert meteor_exact(["x"], words) == 0.0
    assert meteor_exact([word.upper() for word in words], words) == pytest.approx(1 - 0.5 / 6**3)
    assert set_f1(["a", "b"], ["b", "c"]) == 0.5


def test_totals_by_category_and_by_sample():
    totals = official_total(
        {"text spotting en": [1, 0, 0], "math QA en": [1], "cognition VQA cn": [0.5]}
    )
    assert totals["en"] == pytest.approx((1 / 3 + 1) / 2)
    assert totals["en_by_sample"] == 0.5
    assert totals["en/text_spotting"] == pytest.approx(1 / 3)
    assert totals["cn"] == totals["cn_by_sample"] == 0.5
    assert official_total({}) == {}


def test_unknown_types_and_rows_that_lack_something():
    with pytest.raises(EvalError, match="no type 'poetry en'"):
        score_v2("poetry en", "x", {})
    with pytest.raises(EvalError, match="lacks 'eval', it has"):
        score_v2("text counting en", "x", {"answers": ["1"]})
    with pytest.raises(EvalError, match="poetry"):
        official_total({"poetry en": [1.0]})


@pytest.mark.parametrize("way", ["None", None])
def test_chinese_questions_without_a_way_of_their_own(way):
    """The data set writes the word None where a question is compared as usual."""
    truth = {"answers": ["p. 12-14"], "eval": way}
    assert score_v2("reasoning VQA cn", "p.   12-14", truth) == 1.0
    assert score_v2("reasoning VQA en", "p.   12-14", truth) == 0.0


def test_fields_by_lines_have_names_of_any_script():
    truth = {"answers": ['{"地址": "北京", "total": "7"}']}
    assert score_v2("key information extraction en", "地址: 北京\ntotal: 7", truth) == 1.0


def test_the_words_of_a_field_may_be_long():
    words = "so " * 400 + "Paris"
    truth = {"answers": ["Paris"], "bbox": [1, 2, 3, 4]}
    assert score_v2("VQA with position en", f"answer: {words}", truth) == 0.5


def test_chinese_is_cut_into_words():
    """The score is what the authors' code gives: two words, of which one was said."""
    truth = {"answers": ["北京市海淀区"]}
    assert score_v2("full-page OCR cn", "北京市", truth) == pytest.approx(0.3574561403508772)
    assert chinese_words("北京市海淀区 has 2") == ["北京市", "海淀区", " ", "has", " ", "2"]

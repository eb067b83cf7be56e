# SPDX-License-Identifier: Apache-2.0
"""OCRBench v2: scores of thirty types of questions, each 0..1.

| types | score |
| --- | --- |
| questions | the answer contains a short gold answer; for long ones edit similarity from .5 on |
| multiple choice, case sensitive | letters only, equal; the same with case, where `eval` says so |
| text counting | the answer contains it, or one minus the relative error if that exceeds .5 |
| grounding, questions with a box | IoU in thousandths; half words, half IoU |
| text spotting | `spotting_hmean` |
| pages, fine-grained text, translation | mean of BLEU, METEOR, F1 and edit similarity |
| tables, charts | `teds`; a chart is a table of its keys and values |
| key information | `kie_score` |
| documents | `outline_similarity`, which ignores content |
| formulas | the answer contains the gold formula, without blanks |

One difference from published numbers: METEOR of "pages" does not match stems and synonyms of English words.

Source: "OCRBench v2" (2024), the evaluation code of the authors; the order of rules and the weaknesses are theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.errors import EvalError
from finesight.evals.metrics.boxes import iou
from finesight.evals.metrics.chinese_words import chinese_words
from finesight.evals.metrics.kie import kie_score
from finesight.evals.metrics.literal import load_object, read_literal, read_object
from finesight.evals.metrics.ngrams import bleu, meteor_exact, set_f1
from finesight.evals.metrics.ocrbench_v2_tables import chart_score, table_score
from finesight.evals.metrics.spotting import Word, outline_similarity, spotting_hmean

CATEGORIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "text_recognition": ("text recognition", "fine-grained text recognition", "full-page OCR"),
        "text_detection": ("text grounding", "VQA with position"),
        "text_spotting": ("text spotting",),
        "relationship_extraction": ("key information extraction", "key information mapping"),
        "element_parsing": (
            *("document parsing", "chart parsing", "table parsing", "formula recognition"),
        ),
        "mathematical_calculation": ("math QA", "text counting"),
        "visual_text_understanding": ("document classification", "cognition VQA", "diagram QA"),
        "knowledge_reasoning": (
            *("reasoning VQA", "science QA", "APP agent", "ASCII art classification"),
        ),
    },
    "cn": {
        "text_recognition": ("full-page OCR",),
        "relationship_extraction": (
            *("key information extraction", "handwritten answer extraction"),
        ),
        "element_parsing": ("document parsing", "table parsing", "formula recognition"),
        "visual_text_understanding": ("cognition VQA",),
        "knowledge_reasoning": ("reasoning VQA", "text translation"),
    },
}
"""Language -> category -> types; in the data, the language follows the name of the type."""

APPROXIMATE_KINDS = frozenset(
    (
        *("full-page OCR en", "full-page OCR cn", "fine-grained text recognition en"),
        *("text translation cn", "handwritten answer extraction cn"),
    )
)
"""Types whose scores may differ slightly from published ones for English words."""

_QUESTIONS = frozenset(
    (
        *("APP agent en", "ASCII art classification en", "math QA en", "reasoning VQA en"),
        *("science QA en", "text recognition en", "document classification en"),
        *("cognition VQA en", "diagram QA en", "cognition VQA cn", "reasoning VQA cn"),
    )
)
_BOX = re.compile(
    r"[(\[]\s{0,4}(\d{1,9})\s{0,4},\s{0,4}(\d{1,9})\s{0,4},\s{0,4}(\d{1,9})\s{0,4},\s{0,4}(\d{1,9})\s{0,4}[)\]]"
)
_WORD_IN_BRACKETS = re.compile(
    r"[\[(]\s{0,4}(\d{1,4})\s{0,4},\s{0,4}(\d{1,4})\s{0,4},\s{0,4}(\d{1,4})\s{0,4},\s{0,4}(\d{1,4})\s{0,4},"
    r"([^\[\]()]{0,400})[\])]"
)
_HAN = re.compile(r"[\u4e00-\u9fa5]")
_TEXT_TAG = re.compile(r"\\text\{([^{}]*)\}")
_JOINTS = ("", ".", ". ", ",", ", ", "、", ";", "; ", " ", "和")


def score_v2(kind: str, text: str, truth: Mapping[str, Any]) -> float:
    """Score of one answer, 0..1.

    Args:
        kind: the `type` of the row, such as "text spotting en".
        text: the answer.
        truth: of the row: `answers`, and depending on the type `eval`, `question`, `bbox` and `content`.

    Raises:
        EvalError: the type is unknown, or the truth lacks a key.
    """
    if kind in _QUESTIONS:
        return _question(text, truth, is_chinese=kind.endswith("cn"))
    scorer = _SCORERS.get(kind)
    if scorer is None:
        raise EvalError(
            f"OCRBench v2 has no type {kind!r}",
            hint=f"known: {', '.join(sorted((*_QUESTIONS, *_SCORERS)))}",
        )
    try:
        return scorer(text, truth)
    except KeyError as error:
        raise EvalError(f"a row of type {kind!r} lacks {error}, it has {sorted(truth)}") from error


def official_total(scores_by_kind: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Means by language and by category.

    Args:
        scores_by_kind: scores of the items of each type.

    Returns:
        "en" and "cn", the official unweighted mean of the categories that have items;
        "en_by_sample" and "cn_by_sample", the mean over items, as in lmms-eval; and each category, such as
        "en/text_spotting". A language without items is left out.

    Raises:
        EvalError: a type is unknown.
    """
    totals: dict[str, float] = {}
    known: set[str] = set()
    for language, categories in CATEGORIES.items():
        gathered: dict[str, list[float]] = {}
        for category, types in categories.items():
            kinds = [f"{each} {language}" for each in types]
            known.update(kinds)
            gathered[category] = [each for kind in kinds for each in scores_by_kind.get(kind, ())]
        means = {name: sum(scores) / len(scores) for name, scores in gathered.items() if scores}
        if means:
            everything = [each for scores in gathered.values() for each in scores]
            totals[language] = sum(means.values()) / len(means)
            totals[f"{language}_by_sample"] = sum(everything) / len(everything)
            totals.update({f"{language}/{name}": mean for name, mean in means.items()})
    if unknown := sorted(set(scores_by_kind) - known):
        raise EvalError(f"OCRBench v2 has no types {unknown}", hint=f"known: {sorted(known)}")
    return totals


def _answers(truth: Mapping[str, Any]) -> list[Any]:
    answers = truth["answers"]
    return list(answers) if isinstance(answers, (list, tuple)) else [answers]


def _first(truth: Mapping[str, Any]) -> str:
    return str(_answers(truth)[0])


def _question(text: str, truth: Mapping[str, Any], *, is_chinese: bool) -> float:
    golds = [str(answer) for answer in _answers(truth)]
    way = truth.get("eval")
    if way == "multiple choice":
        return float("".join(filter(str.isalpha, text)) in golds[:1])
    minds_case = way == "case sensitive"
    return _words(text, golds, lower=not minds_case, is_chinese=is_chinese and not minds_case)


def _words(
    text: str, golds: Sequence[str], *, lower: bool = True, is_chinese: bool = False
) -> float:
    """Maximum over the golds: 1 if the text contains a short one, edit similarity for a long one."""

    def tidy(value: str) -> str:
        value = value.strip().replace("\n", " ")
        value = value.replace(" ", "") if is_chinese else value
        return value.lower() if lower else value

    pred, best = tidy(text), 0.0
    for gold in map(tidy, golds):
        is_short = len(gold.split(",")) < 4 if is_chinese else len(gold.split()) < 5
        if is_short:
            best = max(best, float(gold in pred))
            continue
        near = 1 - Levenshtein.distance(pred, gold) / max(len(pred), len(gold))
        best = max(best, near if near >= 0.5 else 0.0)
    return best


def _counting(text: str, truth: Mapping[str, Any]) -> float:
    pred = re.search(r"\d{1,9}", text)
    best = 0.0
    for gold in map(str, _answers(truth)):
        if truth["eval"] == "exact match":
            best = max(best, float(gold.lower().strip().replace("\n", " ") in text))
        elif pred and 0 < int(pred.group()) < 2 * int(float(gold)):
            near = 1 - abs(int(pred.group()) - int(float(gold))) / int(float(gold))
            best = max(best, near if near > 0.5 else 0.0)
    return best


def _grounding(text: str, truth: Mapping[str, Any]) -> float:
    """IoU of the last box with values up to 1000."""
    boxes = [[int(value) for value in match.groups()] for match in _BOX.finditer(text)]
    inside = [box for box in boxes if all(value <= 1000 for value in box)]
    return iou(inside[-1], [int(value) for value in truth["answers"]]) if inside else 0.0


def _question_with_place(text: str, truth: Mapping[str, Any]) -> float:
    pred = read_object(text)
    words = (
        _words(str(pred["answer"]), [str(a) for a in _answers(truth)]) if "answer" in pred else 0
    )
    box = pred.get("bbox")
    box = read_literal(box) if isinstance(box, str) else box
    is_box = isinstance(box, list) and all(isinstance(value, (int, float)) for value in box)
    place = iou([int(v) for v in box], [int(v) for v in truth["bbox"]]) if is_box and box else 0.0
    return 0.5 * words + 0.5 * place


def _spotting(text: str, truth: Mapping[str, Any]) -> float:
    polygons = truth.get("bbox_list") or truth["bbox"]
    gold: list[Word] = [
        ((min(p[0::2]), min(p[1::2]), max(p[0::2]), max(p[1::2])), str(content))
        for p, content in zip(polygons, truth["content"], strict=False)
    ]
    pred = [word for word in dict.fromkeys(_spotted(text)) if word[0][2] > word[0][0]]
    return spotting_hmean([word for word in pred if word[0][3] > word[0][1]], gold)


def _spotted(text: str) -> list[tuple[tuple[float, ...], str]]:
    """`[x1, y1, x2, y2, text]` in thousandths, from a list or from any brackets."""
    listed = read_literal(text)
    groups = [
        (*each[:4], str(each[4]))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, list) and len(each) >= 5
    ] or _WORD_IN_BRACKETS.findall(text)
    words = []
    for group in groups:
        if all(str(value).strip().isdigit() and len(str(value)) < 5 for value in group[:4]):
            box = tuple(float(value) for value in group[:4])
            if max(box) <= 1000:
                words.append((box, group[4].replace("\n", "").strip().strip('"').strip("'")))
    return words


def _page(text: str, truth: Mapping[str, Any]) -> float:
    gold = _first(truth)
    if not text or not gold:
        return 0.0
    cut = chinese_words if _HAN.search(text) or _HAN.search(gold) else str.split
    pred, there = cut(text), cut(gold)
    edits = Levenshtein.distance(text, gold) / max(len(text), len(gold))
    return (bleu(pred, there) + meteor_exact(pred, there) + set_f1(pred, there) + 1 - edits) / 4


def _handwritten(text: str, truth: Mapping[str, Any]) -> float:
    if "简答" in truth["question"]:
        return _page(text, truth)
    return float(any(joint.join(_first(truth)) in text for joint in _JOINTS))


def _fields(text: str, truth: Mapping[str, Any]) -> float:
    return kie_score(read_object(text), load_object(_answers(truth)[0]))


def _formula(text: str, truth: Mapping[str, Any]) -> float:
    pred = _bare_formula(text)
    return float(any(_bare_formula(str(gold)) in pred for gold in _answers(truth)))


def _formula_chinese(text: str, truth: Mapping[str, Any]) -> float:
    golds = [_TEXT_TAG.sub(r"\1", str(gold)) for gold in _answers(truth)]
    return _formula(_TEXT_TAG.sub(r"\1", text), {"answers": golds})


def _bare_formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _table(text: str, truth: Mapping[str, Any]) -> float:
    return table_score(text, _first(truth), str(truth.get("question", "")))


_SCORERS: Mapping[str, Callable[[str, Mapping[str, Any]], float]] = {
    "text counting en": _counting,
    "text grounding en": _grounding,
    "VQA with position en": _question_with_place,
    "text spotting en": _spotting,
    **dict.fromkeys(APPROXIMATE_KINDS, _page),
    "handwritten answer extraction cn": _handwritten,
    **dict.fromkeys(("table parsing en", "table parsing cn"), _table),
    "chart parsing en": lambda text, truth: chart_score(text, load_object(_answers(truth)[0])),
    **dict.fromkeys(
        ("document parsing en", "document parsing cn"),
        lambda text, truth: outline_similarity(text, _first(truth)),
    ),
    **dict.fromkeys(("key information extraction en", "key information mapping en"), _fields),
    "key information extraction cn": _fields,
    "formula recognition en": _formula,
    "formula recognition cn": _formula_chinese,
}

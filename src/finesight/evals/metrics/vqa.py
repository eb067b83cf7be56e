# SPDX-License-Identifier: Apache-2.0
"""VQA accuracy, the score of TextVQA: agreement with human annotators.

Each annotator in turn is left out; `min(1, agreeing / 3)` among the others is averaged. So with ten annotators, one,
two, three or four who agree give .3, .6, .9 and 1.

Source: "VQA: Visual Question Answering" (2015) with the answer normalisation of EvalAI.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from finesight.errors import EvalError
from finesight.evals.metrics.texts import as_text

_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NUMBERS = {"none": "0", "ten": "10", **{w: str(n) for n, w in enumerate(_NUMBER_WORDS)}}
_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_CONTRACTIONS = (
    *("ain't", "aren't", "can't", "could've", "couldn't", "couldn't've", "didn't", "doesn't"),
    *("don't", "hadn't", "hadn't've", "hasn't", "haven't", "he'd", "he'd've", "he's", "how'd"),
    *("how'll", "how's", "i'd've", "i'm", "i've", "isn't", "it'd", "it'd've", "it'll"),
    *("let's", "ma'am", "mightn't", "mightn't've", "might've", "mustn't", "must've"),
    *("needn't", "not've", "o'clock", "oughtn't", "'ow's'at", "'twas", "shan't", "she'd've"),
    *("should've", "shouldn't", "shouldn't've", "somebody'll", "somebody's", "someone'd"),
    *("someone'd've", "someone'll", "someone's", "something'd", "something'd've"),
    *("something'll", "that'd", "that'd've", "that's", "there'd", "there'd've", "there're"),
    *("there's", "they'd", "they'd've", "they'll", "they're", "they've", "wasn't", "we'd've"),
    *("we've", "weren't", "what'll", "what're", "what's", "what've", "when's", "where'd"),
    *("where's", "where've", "who'd", "who'd've", "who'll", "who's", "who've", "why'll"),
    *("why're", "why's", "won't", "would've", "wouldn't", "wouldn't've", "y'all", "y'all'll"),
    *("y'all'd've", "you'd", "you'd've", "you'll", "you're", "you've"),
)


def vqa_accuracy(text: str, answers: Sequence[str]) -> float:
    """Agreement with the annotators, 0..1.

    Args:
        text: the answer.
        answers: one per annotator, usually ten.

    Raises:
        EvalError: there are no answers.
    """
    if not answers:
        raise EvalError("an answer is compared with 0 annotators, expected at least 1")
    pred = normalise_answer(text)
    agreeing = [normalise_answer(answer) == pred for answer in answers]
    total = sum(agreeing)
    return sum(min(1.0, (total - agrees) / 3) for agrees in agreeing) / len(answers)


def normalise_answer(text: str) -> str:
    """Lower case, digits for number words, restored apostrophes, without articles and punctuation."""
    plain = as_text(text).lower().replace(",", "").replace("?", "").replace("'s", " 's")
    plain = plain.replace("\n", " ").replace("\t", " ").strip()
    words = (_NUMBERS.get(word, word) for word in _without_punctuation(plain).split())
    return " ".join(_APOSTROPHES.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    """Removes marks next to a blank and periods; a mark between letters becomes a blank."""
    has_comma_number = _COMMA_IN_NUMBER.search(text) is not None
    out = text
    for mark in _PUNCTUATION:
        touches_blank = f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if touches_blank or has_comma_number else " ")
    return _PERIOD.sub("", out)


_APOSTROPHES = {
    word[:at] + word[at + 1 :]: word
    for word in _CONTRACTIONS
    for at, letter in enumerate(word)
    if letter == "'"
} | {word.replace("'", ""): word for word in _CONTRACTIONS}
"""Contractions by every spelling that lacks one or all of their apostrophes."""

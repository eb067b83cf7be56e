# SPDX-License-Identifier: Apache-2.0
r"""Final answers of solutions: the content of the last `\boxed{}`, and the rule of MATH-Vision.

`MATHVISION_OFFICIAL` tries in order: a letter at the end or on the first line; a number after the last "is "; the last
box; the text after "the answer is" and similar phrases. Then it removes LaTeX formatting. `BOXED` reads the box only.

Source: "Measuring Multimodal Mathematical Reasoning with MATH-Vision" (2024).
"""

from __future__ import annotations

import re

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.texts import as_float

LETTERS = "ABCDE"
BOX = "oxed{"
"""Without the backslash and the "b": models omit the first, and Python turns both into a backspace."""

_FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_DECORATION = (
    *((" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\")),
    *(("\n", ""), ("\\text", ""), ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", "")),
    *(("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("{m}^3", ""), ("m^3", "")),
    *(("{units}", ""), ("units", ""), ("{km}", ""), ("km", ""), ("\\!", ""), ("tfrac", "frac")),
    *(("dfrac", "frac"), ("\\$", ""), ("$", ""), ("\\%", ""), ("{.", "{0.")),
)
_BARE_ROOT = re.compile(r"\\sqrt([^{])")
_BARE_FRACTION = re.compile(r"\\frac([^{])(?:([^{])|(?=\{))")
_RATIO = re.compile(r"(-?\d{1,18})/(-?\d{1,18})")
_LETTER_BRACKETS = (re.compile(r"\(([a-e])\)"), re.compile(r"\{([a-e])\}"))


def last_boxed(text: str) -> str | None:
    """Content of the last box, which may contain balanced brackets; None if there is none.

    An unclosed box reaches to the end of the text.
    """
    start = text.rfind(BOX)
    if start < 0:
        return None
    start += len(BOX)
    depth = 1
    for bracket in re.finditer(r"[{}]", text[start:]):
        depth += 1 if bracket.group() == "{" else -1
        if depth == 0:
            return text[start : start + bracket.start()]
    return text[start:]


def _read_boxed(answered: Answered) -> str | None:
    content = last_boxed(answered.text)
    return content.strip() or None if content is not None else None


def _read_mathvision(answered: Answered) -> str | None:
    tidy = _clean_answer(_final_part(answered.text.strip()))
    for brackets in _LETTER_BRACKETS:  # in this order: "{(a)}" loses both
        tidy = brackets.sub(r"\1", tidy)
    return tidy.rstrip(".").lstrip(":").strip() or None


def _clean_answer(text: str) -> str:
    """The content of the box, or the whole text, in lower case and without formatting."""
    answer = text.lower().replace("{}", "")
    start = answer.find(BOX)
    if start >= 0 and (end := answer.rfind("}")) >= start + len(BOX):
        answer = answer[start + len(BOX) : end]
    close, opened = answer.find("}"), answer.find("{")
    if close >= 0 and (opened < 0 or close < opened):
        answer = answer[:close]
    answer = answer.rsplit("=", 1)[-1].rsplit("\\approx", 1)[-1]
    for decoration, plain in _DECORATION:
        answer = answer.replace(decoration, plain)
    if answer.startswith("."):
        answer = f"0{answer}"
    if "sqrt" in answer:
        answer = _BARE_ROOT.sub(r"\\sqrt{\1}", answer)
        answer = _BARE_FRACTION.sub(_braced_fraction, answer)
    if answer == "0.5":
        return "\\frac{1}{2}"
    if ratio := _RATIO.fullmatch(answer):
        return f"\\frac{{{ratio[1]}}}{{{ratio[2]}}}"
    return answer


def _final_part(text: str) -> str:
    """The part of a solution that holds its answer."""
    for letter in LETTERS:
        endings = (f" {letter}.", f" ({letter}).")
        starts = (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if text.endswith(endings) or text.startswith(starts):
            text = letter
    tail = text.rsplit("is ", 1)[-1].rstrip(".")
    if as_float(tail, 400) is not None:
        text = tail
    if BOX in text:
        return "\\b" + text[text.rindex(BOX) :] if text.count(BOX) > 1 else text
    for flag in _FLAGS:
        for spelling in (flag, flag.replace("the", "The")):
            if spelling in text:
                text = text.rsplit(spelling, 1)[-1].strip().split("\n")[0].split(". ")[0]
            else:
                text = text.strip()
    return text


def _braced_fraction(match: re.Match[str]) -> str:
    return f"\\frac{{{match[1]}}}" + (f"{{{match[2]}}}" if match[2] else "")


BOXED = Extractor("boxed", "3", _read_boxed)
"""Ours: the last box; None without one."""
MATHVISION_OFFICIAL = Extractor("mathvision-official", "3", _read_mathvision)
"""The official rule; the whole cleaned text if nothing else applies."""

# SPDX-License-Identifier: Apache-2.0
"""Multiple choice: options and letters, prompts, the score, and the task builder `choice`.

The truth of a question is `choices`, the texts of the options in order, and `answer`, a letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.judgement import JudgeRule
from finesight.evals.core.task import Extractor
from finesight.evals.extract.mcq import CAN_INFER
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.shared.aggregates import Total, average
from finesight.evals.tasks.shared.build import Reader, build
from finesight.evals.tasks.shared.questions import Ask, Media, Piece, Question, Way, Wording

LMMS = "lmms-eval"
QWEN = "Qwen's evaluation script for MMMU; VLMEvalKit's custom prompt of Qwen2-VL"
DIRECT = "Answer with the option's letter from the given choices directly."
SELECT = "Please select the correct answer from the options above."
SELECT_ZH = "请直接回答选项字母。"
LETTERS = (ROBUST_LETTER, CAN_INFER)
"""Extractors of benchmarks without an official rule."""

Letter = Callable[[Any, Sequence[str]], str]
"""Answer as written in a copy, options -> letter of the answer."""

_MARK = re.compile(r"<image (\d+)>")
_LABEL = re.compile(r"^\s*\(?([A-Z])[).:]\s+")


def lettered(choices: Sequence[str], form: str = "{letter}. {text}") -> str:
    """One option per line, each after its letter."""
    pairs = zip(ascii_uppercase, choices, strict=False)
    return "\n".join(form.format(letter=letter, text=text) for letter, text in pairs)


def unlettered(choices: Sequence[str]) -> tuple[str, ...]:
    """Options without their leading letters, if all have one and the letters are in order."""
    found = [_LABEL.match(text) for text in choices]
    if all(m and m[1] == letter for m, letter in zip(found, ascii_uppercase, strict=False)):
        return tuple(text[m.end() :] for text, m in zip(choices, found, strict=True) if m)
    return tuple(choices)


def letter_of(value: Any, choices: Sequence[str]) -> str:
    """The letter of an answer written as "B", as "(B)", or as the text of an option.

    Raises:
        EvalError: the answer is none of these.
    """
    text = str(value).strip()
    bare = text.strip("()., ")
    if len(bare) == 1 and bare in ascii_uppercase[: len(choices)]:
        return bare
    if text in choices:
        return ascii_uppercase[list(choices).index(text)]
    raise EvalError(f"answer {text!r} is none of the {len(choices)} options")


def letter_at(place: Any, choices: Sequence[str]) -> str:
    """The letter of an answer written as an index from 0.

    Raises:
        EvalError: there is no such option.
    """
    text = str(place).strip()
    if not text.isdigit() or int(text) >= len(choices):
        raise EvalError(
            f"answer {text!r} is not an index of {len(choices)} options, counted from 0"
        )
    return ascii_uppercase[int(text)]


def letter_or_place(value: Any, choices: Sequence[str]) -> str:
    """The letter of an answer that copies write as a letter or as an index from 0.

    Raises:
        EvalError: there is no such option.
    """
    text = str(value)
    return text if any(map(str.isalpha, text)) else letter_at(text, choices)


def letter_of_text(answer: Any, choices: Sequence[str]) -> str:
    """The letter of an answer written as the text of an option, also where the options themselves are letters.

    Raises:
        EvalError: no option has this text.
    """
    if str(answer) not in choices:
        raise EvalError(f"answer {str(answer)!r} is none of the {len(choices)} options")
    return ascii_uppercase[list(choices).index(str(answer))]


def is_letter(parsed: Any, of: Mapping[str, Any]) -> dict[str, float]:
    """Whether the extracted letter is correct; None is wrong."""
    return {"correct": float(parsed is not None and parsed == of["answer"])}


def ask_lmms(question: Question) -> list[Piece]:
    """Pictures, then question, options and the request for a letter, as in lmms-eval."""
    hint = f"{question.hint}\n" if question.hint else ""
    return [
        *question.media,
        f"{hint}{question.text}\n{lettered(question.choices)}\n{DIRECT}",
    ]


def ask_qwen(question: Question) -> list[Piece]:
    """Pictures, then hint, question and options under headings, as in Qwen's script."""
    return [*question.media, _qwen_words(question)]


def ask_qwen_at_marks(question: Question) -> list[Piece]:
    """As `ask_qwen`, with each picture at its `<image N>` mark."""
    return at_marks(_qwen_words(question), question.media)


def template_at_marks(form: str) -> Ask:
    """`form` with `{text}` and `{options}` of the question filled in, each picture at its mark."""
    return lambda asked: at_marks(
        form.format(text=asked.text, options=lettered(asked.choices)), asked.media
    )


def _qwen_words(question: Question) -> str:
    """Hint, question and options under headings, then the request for a letter."""
    hint = f"Hint: {question.hint}\n" if question.hint else ""
    if not question.choices:
        return f"{hint}Question: {question.text}\n".rstrip()
    is_chinese = any("\u4e00" <= letter <= "\u9fff" for letter in question.text)
    last = SELECT_ZH if is_chinese else SELECT
    return f"{hint}Question: {question.text}\nOptions:\n{lettered(question.choices)}\n{last}"


def at_marks(text: str, media: Sequence[Media]) -> list[Piece]:
    """Each picture at its first `<image N>` mark, N counted from 1; pictures without a mark come first."""
    pieces: list[Piece] = []
    shown: set[int] = set()
    at = 0
    for match in _MARK.finditer(text):
        number = int(match[1])
        if not 1 <= number <= len(media) or number in shown:
            continue
        pieces += [text[at : match.start()], media[number - 1]]
        shown.add(number)
        at = match.end()
    before = [one for number, one in enumerate(media, 1) if number not in shown]
    return [*before, *pieces, text[at:]]


def numbered(text: str, pictures: Mapping[int, ImagePart]) -> str:
    """The text with its `<image N>` marks renumbered by position among the pictures of the copy.

    Options of MMMU-Pro were shuffled, so mark 2 may come before mark 1; and a copy may leave out numbers.
    """
    places = {number: place for place, number in enumerate(sorted(pictures), 1)}

    def renumber(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"<image {places.get(number, number)}>"

    return _MARK.sub(renumber, text)


WORDINGS = (Wording("vlmevalkit", QWEN, ask_qwen), Wording("lmms-eval", LMMS, ask_lmms))
"""Qwen's prompt, the default, and that of lmms-eval."""


def choice(
    read: Reader,
    *,
    ways: Sequence[Way] = WORDINGS,
    extractors: tuple[Extractor, ...] = LETTERS,
    total: Total = average,
    judge: JudgeRule | None = CHOICE,
) -> Build:
    """A benchmark where every question has options and the answer is a letter; see `build`."""
    return build(read, *ways, extractors=extractors, score=is_letter, total=total, judge=judge)


def question(
    identity: Any,
    text: Any,
    choices: Sequence[str],
    answer: str,
    media: Sequence[Media],
    *,
    tags: Mapping[str, str] | None = None,
    cluster: str | None = None,
) -> Question:
    """A question with options, whose answer is a letter."""
    bare = unlettered(choices)
    letter = letter_of(answer, bare)
    return Question(
        id=str(identity),
        text=str(text),
        truth={"choices": list(bare), "answer": letter},
        oracle=letter,
        media=tuple(media),
        choices=bare,
        cluster=cluster,
        tags=tags or {},
    )

# SPDX-License-Identifier: Apache-2.0
"""Multiple choice: how options are written, how a question with options is asked, when an answer is right.

The truth of such a question is `choices`, texts by position, and `answer`, a letter by position.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.task import Prompt
from finesight.evals.extract.mcq import CAN_INFER, ROBUST_LETTER
from finesight.evals.tasks.shared.questions import Media, Piece, Question, Read, prompt

LMMS = "lmms-eval"
QWEN = "Qwen's evaluation script for MMMU; VLMEvalKit's custom prompt of Qwen2-VL"
DIRECT = "Answer with the option's letter from the given choices directly."
SELECT = "Please select the correct answer from the options above."
SELECT_ZH = "请直接回答选项字母。"
LETTERS = (ROBUST_LETTER, CAN_INFER)
"""How the letter is read where the benchmark has no rule of its own that is proven."""

_MARK = re.compile(r"<image (\d+)>")
_LABEL = re.compile(r"^\s*\(?([A-Z])[).:]\s+")


def lettered(choices: Sequence[str], form: str = "{letter}. {text}") -> str:
    """Options one to a line, each under its letter."""
    pairs = zip(ascii_uppercase, choices, strict=False)
    return "\n".join(form.format(letter=letter, text=text) for letter, text in pairs)


def unlettered(choices: Sequence[str]) -> tuple[str, ...]:
    """Options without the letters they were written with, where each has the letter of its place."""
    found = [_LABEL.match(text) for text in choices]
    if all(m and m[1] == letter for m, letter in zip(found, ascii_uppercase, strict=False)):
        return tuple(text[m.end() :] for text, m in zip(choices, found, strict=True) if m)
    return tuple(choices)


def letter_of(value: Any, choices: Sequence[str]) -> str:
    """The letter of an answer given as a letter, as "(B)", or as the text of an option.

    Raises:
        EvalError: it is none of these.
    """
    text = str(value).strip()
    bare = text.strip("()., ")
    if len(bare) == 1 and bare in ascii_uppercase[: len(choices)]:
        return bare
    if text in choices:
        return ascii_uppercase[list(choices).index(text)]
    raise EvalError(f"answer {text!r} is none of the {len(choices)} options")


def letter_at(place: Any, choices: Sequence[str]) -> str:
    """The letter of an answer given as a place counted from 0.

    Raises:
        EvalError: there is no such option.
    """
    text = str(place).strip()
    if not text.isdigit() or int(text) >= len(choices):
        raise EvalError(f"answer {text!r} is no place among {len(choices)} options, counted from 0")
    return ascii_uppercase[int(text)]


def letter_of_text(answer: Any, choices: Sequence[str]) -> str:
    """The letter of an answer given as the text of an option, even where options are letters in another order.

    Raises:
        EvalError: no option says that.
    """
    if str(answer) not in choices:
        raise EvalError(f"answer {str(answer)!r} is none of the {len(choices)} options")
    return ascii_uppercase[list(choices).index(str(answer))]


def truth(choices: Sequence[str], answer: Any) -> dict[str, Any]:
    """The truth of a question with options."""
    return {"choices": list(choices), "answer": letter_of(answer, choices)}


def is_letter(parsed: Any, of: Mapping[str, Any]) -> dict[str, float]:
    """Whether the letter read is the right one; no letter is wrong."""
    return {"correct": float(parsed is not None and parsed == of["answer"])}


def ask_lmms(question: Question) -> list[Piece]:
    """Pictures, then the question, its options and a request for a letter, as lmms-eval asks."""
    hint = f"{question.hint}\n" if question.hint else ""
    return [
        *question.media,
        f"{hint}{question.text}\n{lettered(question.choices)}\n{DIRECT}",
    ]


def ask_qwen(question: Question) -> list[Piece]:
    """Pictures, then hint, question and options under their headings, as Qwen asks."""
    return [*question.media, qwen_words(question)]


def ask_qwen_at_marks(question: Question) -> list[Piece]:
    """The same words, with each picture where it is mentioned."""
    return at_marks(qwen_words(question), question.media)


def qwen_words(question: Question, ending: str | None = None) -> str:
    """Hint, question and options under their headings."""
    hint = f"Hint: {question.hint}\n" if question.hint else ""
    if not question.choices:
        return f"{hint}Question: {question.text}\n{ending or ''}".rstrip()
    is_chinese = any("\u4e00" <= letter <= "\u9fff" for letter in question.text)
    last = ending or (SELECT_ZH if is_chinese else SELECT)
    return f"{hint}Question: {question.text}\nOptions:\n{lettered(question.choices)}\n{last}"


def at_marks(text: str, media: Sequence[Media]) -> list[Piece]:
    """Pictures where `<image N>` first mentions them, N counted from 1; pictures nobody mentions come first."""
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
    """The text with its `<image N>` marks counted by position among the pictures that are there.

    Options of MMMU-Pro were shuffled, so picture 2 may be mentioned before picture 1; and a copy may leave out
    numbers.
    """
    places = {number: place for place, number in enumerate(sorted(pictures), 1)}

    def renumber(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"<image {places.get(number, number)}>"

    return _MARK.sub(renumber, text)


def prompts(read: Read) -> tuple[Prompt, ...]:
    """Qwen's way of asking first, that of lmms-eval beside it."""
    return (
        prompt("vlmevalkit", QWEN, read, ask_qwen),
        prompt("lmms-eval", LMMS, read, ask_lmms),
    )


def question(
    identity: Any,
    text: Any,
    choices: Sequence[str],
    answer: str,
    media: Sequence[Media],
    *,
    tags: Mapping[str, str] | None = None,
) -> Question:
    """A question with options and a letter for an answer."""
    bare = unlettered(choices)
    return Question(
        id=str(identity),
        text=str(text),
        truth=truth(bare, answer),
        oracle=letter_of(answer, bare),
        media=tuple(media),
        choices=bare,
        tags=tags or {},
    )

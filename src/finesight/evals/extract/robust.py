# SPDX-License-Identifier: Apache-2.0
"""Our extractor of multiple-choice answers; None for an ambiguous answer.

The first rule that applies decides:

1. the answer is one letter with any punctuation: "b", "(B)", "**B**";
2. the last `boxed{}` holds a letter or the text of an option;
3. the last sentence that states an answer: "Answer: b", "the answer is option (B)", "答案是B";
4. the answer starts with a letter, or its last line is one: "B. banana";
5. the answer is the text of an option;
6. the answer names exactly one option, by letter or else by text.

A capital A or I in a sentence is a word unless something such as "option" marks it as a letter. A negated letter, as in
"answer B is incorrect" or "not (B)", is ignored. An answer that repeats the options does not start with a letter:
"(A) red (B) blue. I pick the second".
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.extract.boxed import last_boxed

_EDGES = " \t\r\n.,:;!?\"'`*_()[]{}<>$#。，：；！？（）【】“”\\"
_DRESSED = re.compile(r"\\(?:text|textbf|mathbf|mathrm|rm|bf)\b")
_AS_WORD = r"(?<![AI])|(?=\s*(?:$|\n|because\b|since\b|as\b|is\b|or\b|and\b|[^\w\s]))"
_FILLER = (
    r"(?:(?:the|option|choice|letter|correct|best|most|likely|probably|clearly)\b[\s:*_]{0,4}+)"
)
DENIED = (
    r"[*_)\]}）】\"'’”]{0,3}\s{1,2}(?:(?:is|was|seems|looks|must be|would be|can be)\s{1,2}"
    r"(?:(?:also|clearly|definitely|obviously|therefore|thus|simply|probably)\s{1,2})?"
    r"(?:wrong|incorrect|false|not|out|excluded|eliminated|impossible|unlikely|ruled out)\b"
    r"|(?:is|was|does|do|did|would|can|could)n['’]t\b|(?:does|do|did|would|can|could) not\b|cannot\b)"
)
"""Pattern of the text after a negated label."""
NOT_BEFORE = "".join(
    rf"(?<!{no}{link})"
    for no in ("not ", "Not ", "n't ", "n’t ")
    for link in ("", "be ", "option ", "be option ", "Option ", "be Option ", r"\*\*")
)
"""Lookbehinds that exclude a negation before a label."""
_STATED = re.compile(
    r"(?:\b(?:answer|correct (?:option|choice|letter)|best (?:option|choice))\b|答案|选项|选择|应选|选)"
    r"[\s*_\"']{0,4}+(?:(?:is|was|would be|should be|must be|will be)\b|=|为|是|应为|应该是)?+"
    rf"[\s:：*_\-]{{0,6}}+{_FILLER}{{0,3}}+[\s:：*_]{{0,4}}+"
    r"(?:\\boxed\{|\\(?:text|textbf|mathrm|mathbf)\{|\\\(|\\\[|[\s(\[{$*_\"'“‘（【<]){0,6}+"
    rf"(?-i:([A-Z])(?![A-Za-z0-9]|['’]\w|{DENIED})(?:{_AS_WORD})|(?<=[(\[{{（【*])([a-z])(?=[)\]}}）】*])(?!{DENIED})"
    r"|([a-z])(?=[.)*\s]{0,4}(?:$|\n)))",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"[\s*_#>\"'`]{0,8}+(?:[(\[（【]([A-Za-z])[)\]）】]|([A-Z])(?:[.):：、,，]|\*\*|\s*\n|\s*$))"
    rf"(?!{DENIED})"
)
_NEXT = re.compile(rf"\W{{0,8}}([A-Za-z])(?![\w'’]|{DENIED})[)\]）】.:：、]{{1,2}}\s*")
_SECOND = re.compile(r"[^\w\n]{0,6}([A-Z])(?=[)\].,:]|\s*$)")
_MENTION = re.compile(
    rf"(?=[(\[（【A-Z]){NOT_BEFORE}(?:[(\[（【]([A-Z])[)\]）】]|(?<=ption )([A-Z])(?![\w'’-])"
    rf"|(?<![\w(\[（【-])(?<!\w['’])([A-Z])(?!\w|['’]\w|-\w)(?:{_AS_WORD}))"
    rf"(?!{DENIED})"
)
_NEAR_THE_END = 500  # characters that are searched for the text of an option


def lettered(answered: Answered) -> dict[str, str]:
    """Options by letter; at most 26."""
    choices = answered.truth.get("choices") or ()
    return dict(zip(string.ascii_uppercase, map(str, choices), strict=False))


def _read(answered: Answered) -> str | None:
    options = {letter: _plain(choice) for letter, choice in lettered(answered).items()}
    text = answered.text.strip()
    if not text or not options:
        return None
    boxed = last_boxed(text)
    found = (
        _alone(text, options)
        or (_of_box(boxed, options) if boxed is not None else None)
        or _stated(text, options)
        or _opening(text, options)
        or _alone(text.rsplit("\n", 1)[-1], options)
        or _same_text(text, options)
    )
    return found or _only_one(text, options)


def _plain(text: str) -> str:
    """Lower case, single blanks, without punctuation at the ends."""
    return " ".join(text.casefold().split()).strip(_EDGES)


def _alone(text: str, options: Mapping[str, str]) -> str | None:
    """A letter of either case with nothing but punctuation around it."""
    bare = text.strip(_EDGES) if len(text) < 64 else ""
    return bare.upper() if len(bare) == 1 and bare.upper() in options else None


def _of_box(content: str, options: Mapping[str, str]) -> str | None:
    bare = _DRESSED.sub("", content[:_NEAR_THE_END])
    return _alone(bare, options) or _opening(bare, options) or _same_text(bare, options)


def _stated(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of the last statement that names an existing option."""
    found = None
    for match in _STATED.finditer(text):
        letter = (match[1] or match[2] or match[3]).upper()
        found = letter if letter in options else found
    return found


def _opening(text: str, options: Mapping[str, str]) -> str | None:
    match = _OPENING.match(text)
    if match is None or ((second := _SECOND.match(text, match.end())) and second[1] in options):
        return None  # "(A), (B)" lists letters
    letter = (match[1] or match[2]).upper()
    return None if letter not in options or _lists(text, match.end(), letter, options) else letter


def _lists(text: str, start: int, letter: str, options: Mapping[str, str]) -> bool:
    """Whether the letter is followed by its option, and then by the next letter with its option."""
    end = _behind(text, start, options[letter])
    following = None if end is None else _NEXT.match(text, end)
    if following is None or ord(following[1].upper()) != ord(letter) + 1:
        return False
    option = options.get(following[1].upper())
    return option is not None and _behind(text, following.end(), option) is not None


def _behind(text: str, start: int, option: str) -> int | None:
    """End of the text of an option at this position; None if it is not there."""
    words = r"\s+".join(map(re.escape, option.split()))
    found = re.compile(rf"\W{{0,8}}{words}(?!\w)", re.IGNORECASE).match(text, start)
    return found.end() if found and words else None


def _same_text(text: str, options: Mapping[str, str]) -> str | None:
    plain = _plain(text[: 4 * _NEAR_THE_END])
    same = [letter for letter, option in options.items() if option and option == plain]
    return same[0] if len(same) == 1 else None


def _only_one(text: str, options: Mapping[str, str]) -> str | None:
    """The one option that is named, by letter anywhere or by text near the end."""
    letters = {match[1] or match[2] or match[3] for match in _MENTION.finditer(text)}
    if letters := letters & options.keys():
        return letters.pop() if len(letters) == 1 else None
    end = " ".join(text[-_NEAR_THE_END:].casefold().split())
    named = set()
    for letter, option in sorted(options.items(), key=lambda each: -len(each[1])):
        said = re.compile(rf"(?<!\w){re.escape(option)}(?!\w)") if option else None
        if said and said.search(end):
            named.add(letter)
            same = {other for other in options if options[other] == option}
            if same <= named:
                end = said.sub("\0", end)  # "dark red" does not name "red"
    return named.pop() if len(named) == 1 else None


ROBUST_LETTER = Extractor("robust-letter", "4", _read)
"""Ours, the default; None for an ambiguous answer."""

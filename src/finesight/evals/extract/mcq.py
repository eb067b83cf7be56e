# SPDX-License-Identifier: Apache-2.0
"""Letters of multiple-choice answers by the rules of published harnesses; our rule is in `robust`.

`truth["choices"]` lists the texts of the options; the first has letter A. Every rule returns a letter or None; the name
of a rule that guesses contains "random".

Sources: the evaluation code of MMMU and MMMU-Pro, `can_infer` of VLMEvalKit, the filters of lmms-eval.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping, Sequence

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.extract.robust import lettered

_REFUSALS = (
    "Failed to obtain answer via API",
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BETWEEN_BLANKS = (("({})", "({})"), (" {} ", " {} "))
_BEFORE_BLANKS = (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} "))
_CAN_INFER_BLANKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_AT_START = re.compile(r"\s*([A-Z])\.")
_VIDEOMME_PREFIXES = (
    *("The best answer is", "The correct answer is", "The answer is", "The answer"),
    # Two commas are missing in the published list, so these pairs are one prefix each.
    *("The best option isThe correct option is", "Best answer:Best option:", "Answer:", "Option:"),
)


def _mmmu(answered: Answered) -> str | None:
    return _mmmu_rule(answered.text, lettered(answered), _BETWEEN_BLANKS)


def _mmmu_rule(
    text: str, options: Mapping[str, str], forms: Sequence[tuple[str, str]]
) -> str | None:
    """The last letter in the first form that occurs, else, in more than five words, the last option text.

    `forms` are pairs of a form of a letter and the form whose last position is compared: the authors search for "A "
    but compare the positions of " A ".
    """
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    for form, place in forms:
        found = [letter for letter in options if form.format(letter) in text]
        if found:
            return max(found, key=lambda letter: text.rfind(place.format(letter)))
    if len(text.split()) <= 5:
        return None
    lower = text.lower()
    found = [letter for letter, option in options.items() if option.lower() in lower]
    return max(found, key=lambda letter: lower.rfind(options[letter].lower())) if found else None


def _mmmu_random(answered: Answered) -> str | None:
    """The published guess depends on all answers before it; here it depends on the answer alone."""
    options = lettered(answered)
    found = _mmmu(answered)
    if found is not None or not options:
        return found
    seed = f"42 {answered.text}".encode("utf-8", errors="replace")
    return random.Random(seed).choice(list(options))


def _mmmu_pro(answered: Answered) -> str | None:
    """Uses the number of options in the authors' code, which counts a nested list as one."""
    seen = answered.truth.get("num_official_options")
    options = dict(list(lettered(answered).items())[:seen])
    _, found, tail = answered.text.rpartition("Answer:")
    inside = [letter for letter in options if letter in tail] if found else []
    return inside[0] if len(inside) == 1 else _mmmu_rule(answered.text, options, _BEFORE_BLANKS)


def _can_infer(answered: Answered) -> str | None:
    """A single letter among the last five words, else the text of exactly one option."""
    text, options = answered.text, lettered(answered)
    if any(refusal in text for refusal in _REFUSALS):
        return None
    words = text.translate(_CAN_INFER_BLANKS).split()
    present = set(words)
    found = [letter for letter in options if letter in present]
    if len(found) == 1 and words.index(found[0]) > len(words) - 5:
        return found[0]
    if not found and "Z" in present:
        return None
    lower = text.lower()
    if len(lower) > 2 * sum(map(len, options.values())):
        return None
    named = [letter for letter, option in options.items() if option.lower() in lower]
    return named[0] if len(named) == 1 else None


def _muirbench(answered: Answered) -> str | None:
    """`X.` at the start, or the letter alone in either case; "B)" and "(B)" give None."""
    match = _AT_START.match(answered.text)
    letter = (match[1] if match else answered.text.strip()).upper()
    return letter if letter in lettered(answered) else None


def _ai2d(answered: Answered) -> str | None:
    """`X.` at the start, or the letter alone in either case with any punctuation but without blanks."""
    match = _AT_START.match(answered.text)
    if match:
        return match[1] if match[1] in lettered(answered) else None
    kept = [sign for sign in answered.text if sign not in string.punctuation]
    letter = kept[0].upper() if len(kept) == 1 else ""
    return letter if letter in lettered(answered) else None


def _blink(answered: Answered) -> str | None:
    """A letter that is the first line, the last after "answer", the last in brackets, or the first of the answer.

    Case matters only in brackets: "a cat" is A, and "because" is B.
    """
    letters = "".join(lettered(answered)) or string.ascii_uppercase
    text = answered.text.strip()
    first = text.split("\n", 1)[0].strip()
    if len(first) <= 4 and (alone := re.fullmatch(rf"(?i)\(?([{letters}])\)?[.\s:,)]*", first)):
        return alone[1].upper()
    behind = (
        rf"(?i)answers?(?:\s{{1,8}}+is)?\s{{0,8}}[:\-]?\s{{0,8}}\(?([{letters}])\)?(?![A-Za-z])"
    )
    said = re.findall(behind, text) or re.findall(rf"\(([{letters}])\)", text)
    if said:
        return str(said[-1]).upper()
    opening = re.match(rf"(?i)[(\s]*([{letters}])", text)
    return opening[1].upper() if opening else None


def _videomme(answered: Answered) -> str | None:
    """The first of A, B, C and D after known phrases are removed: "Best answer: C" is read as B."""
    text = answered.text.strip()
    for prefix in _VIDEOMME_PREFIXES:
        text = text.replace(prefix, "")
    match = re.search("[ABCD]", text)
    return match.group() if match else None


MMMU_OFFICIAL = Extractor("mmmu-official", "3", _mmmu)
"""The rule of MMMU's authors: `(X)`, else a letter between blanks; None instead of a guess."""
MMMU_OFFICIAL_RANDOM = Extractor("mmmu-official-random", "3", _mmmu_random)
"""The same with a guess instead of None, equal for equal answers."""
MMMU_LMMS = Extractor(
    "mmmu-lmms",
    "2",
    lambda answered: _mmmu_rule(answered.text, lettered(answered), _BEFORE_BLANKS),
)
"""The looser rule of lmms-eval for MMMU and MMMU-Pro: `(X)`, else `X ` or `X.`; "form of DNA will" is A."""
MMMU_PRO_OFFICIAL = Extractor("mmmu-pro-official", "3", _mmmu_pro)
"""The rule of MMMU-Pro's authors: the one letter after the last "Answer:", else the looser rule."""
CAN_INFER = Extractor("can-infer", "3", _can_infer)
"""The rule of VLMEvalKit before it asks a judge."""
LMMS_LETTER_MUIRBENCH = Extractor("lmms-letter-muirbench", "4", _muirbench)
LMMS_LETTER_AI2D = Extractor("lmms-letter-ai2d", "4", _ai2d)
LMMS_LETTER_BLINK = Extractor("lmms-letter-blink", "4", _blink)
VIDEOMME_LETTER = Extractor("videomme-letter", "4", _videomme)
"""As published, for comparison; it misreads sentences."""

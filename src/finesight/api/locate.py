# SPDX-License-Identifier: Apache-2.0
"""Prompts that ask for boxes or points of what a phrase describes."""

from __future__ import annotations

from itertools import dropwhile

from finesight.errors import ConfigError
from finesight.inputs import shown

LOCATE_PROMPTS = {
    "box": "Locate {phrase}, output its bbox coordinates using JSON format.",
    "point": (
        "point to {phrase}, output its coordinates in XML format <points x y>object</points>"
    ),
}
"""Prompts of `Model.locate`, worded as in the official cookbooks."""

LOCATE_ALL_PROMPTS = {
    "box": "Locate every {phrase} in the image and output the coordinates in JSON format.",
    "point": "Point to each {phrase}, output the point coordinates in JSON format.",
}
"""Prompts for every instance: boxes as the authors word detection (ODinW); points in JSON, since models stop after
one tag of the XML form."""

_DETERMINERS = frozenset(
    ("the", "a", "an", "all", "any", "each", "every", "both", "this", "that", "these", "those")
)


def locate_question(phrase: str, as_: str, *, all_: bool = False) -> str:
    """The prompt that asks for boxes or points of a phrase, or of every instance of it.

    Raises:
        ConfigError: `as_` is not "box" or "point", or the phrase is empty.
    """
    words = phrase.split() if isinstance(phrase, str) else []
    if not words:
        raise ConfigError(
            f"the phrase to locate is {shown(phrase)}", hint='give a text such as "the red square"'
        )
    if not isinstance(as_, str) or as_ not in LOCATE_PROMPTS:
        raise ConfigError(f"as_ is {shown(as_)}", hint='it is "box" or "point"')
    if all_:  # "every red square", also for "all the red square" and "the red square"
        kept = [*dropwhile(lambda word: word.lower() in _DETERMINERS, words)] or words
        return LOCATE_ALL_PROMPTS[as_].format(phrase=" ".join(kept))
    # "red square" becomes "the red square", the form in which models were trained.
    is_bare = words[0].isascii() and words[0].lower() not in _DETERMINERS
    return LOCATE_PROMPTS[as_].format(phrase=f"the {phrase}" if is_bare else phrase)

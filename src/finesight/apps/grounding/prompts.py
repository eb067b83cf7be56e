# SPDX-License-Identifier: Apache-2.0
"""Questions about things in a picture: where they are, how many, whether they are there, and how they look."""

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

LOCATE_AGAIN_PROMPTS = {
    "box": "Outline the position of each {phrase} and output all the coordinates in JSON format.",
    "point": "Point to every {phrase} in the image and output the coordinates in JSON format.",
}
"""The same question in other words, for a second look. Source: Qwen2.5-VL cookbook (spatial understanding)."""

ATTRIBUTE_PROMPT = (
    "Detect all {phrase} in the image and return their locations in the form of coordinates. The format of output "
    'should be like {{"bbox_2d": [x1, y1, x2, y2], "label": "{phrase}", "sub_label": "{attribute}" '
    '# or "not {attribute}"}}.'
)
"""Asks for things with an attribute, in the form of the announcement of Qwen2.5-VL."""

COUNT_PROMPT = "How many {phrase} are there in the image?"
PRESENT_PROMPT = "Is there a {phrase} in the image?"
"""About a whole picture, or about the crop of a thing. In this form the embedded model has learnt to answer it."""
MARKED_PROMPT = "Is the thing in the red box {phrase}?"
ATTRIBUTE_CHECK_PROMPT = "Is this {phrase} {attribute}?"
ANSWER_CHECK_PROMPT = 'Question: {ask}\nAnswer: "{answer}"\nIs this answer right?'
DIFFERENCE_PROMPT = (
    "Locate every {phrase} in Picture 2 that Picture 1 does not show, and output the coordinates in Picture 2 in JSON "
    "format."
)
DIFFERENCE_CHECK_PROMPT = "Is there a {phrase} in Picture 2 that Picture 1 does not show?"

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
    if all_:
        return LOCATE_ALL_PROMPTS[as_].format(phrase=bare(phrase))
    return LOCATE_PROMPTS[as_].format(phrase=definite(phrase))


def bare(phrase: str) -> str:
    """A phrase without "the" and the like: "every red square", also for "all the red square"."""
    words = phrase.split()
    return " ".join([*dropwhile(lambda word: word.lower() in _DETERMINERS, words)] or words)


def definite(phrase: str) -> str:
    """A phrase with an article: "red square" becomes "the red square", the form in which models were trained."""
    first = phrase.split()[0]
    is_bare = first.isascii() and first.lower() not in _DETERMINERS
    return f"the {phrase}" if is_bare else phrase

# SPDX-License-Identifier: Apache-2.0
"""MegaBench's comparisons of texts."""

from __future__ import annotations

import re
from typing import Any

_LETTER = re.compile(r"\(?([A-Za-z])\)?")
_DROPPED = str.maketrans(dict.fromkeys(" -\n\t.", None))


def exact(said: Any, gold: Any) -> float:
    """Equality of texts; for a gold letter, of the first letter of the answer: "(A) a cat" equals "A"."""
    text, wanted = str(said), str(gold)
    if len(wanted) == 1 and wanted.isalpha() and (match := _LETTER.match(text)):
        text = match[1]
    return float(text == wanted)


def simple(said: Any, gold: Any) -> float:
    """Equality in lower case without blanks, hyphens and full stops."""
    return exact(_bare(said), _bare(gold))


def _bare(value: Any) -> str:
    return str(value).translate(_DROPPED).lower()

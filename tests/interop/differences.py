# SPDX-License-Identifier: Apache-2.0
"""Every class of answers that two sides score differently: how it is known, an example, who is right and why.

A test fails on a case that is in no class, and on a class that none of the drawn answers falls into. The
peers are lmms-eval 0.7.3 and ms-vlmeval 0.0.20, as `scripts/harness-venv.sh` installs them.
"""

from __future__ import annotations

from tests.interop import differences_ccocr as ccocr
from tests.interop import differences_letters as letters
from tests.interop import differences_mega as mega
from tests.interop import differences_places as places
from tests.interop import differences_points as points
from tests.interop import differences_text as text

DIFFERENCES = (
    *text.SHORT_ANSWERS,
    *text.READING,
    *ccocr.CC_OCR,
    *letters.LETTERS,
    *letters.VIDEO,
    *letters.COUNTS,
    *places.MATHS,
    *places.PLACES,
    *points.POINTS,
    *mega.FIELDS,
    *mega.ANSWERS,
)

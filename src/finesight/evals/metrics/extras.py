# SPDX-License-Identifier: Apache-2.0
"""What to say when a library that one metric needs is not there."""

from __future__ import annotations

from finesight.errors import EvalError


def missing(library: str, use: str) -> EvalError:
    """The error to raise, with what to do about it."""
    return EvalError(
        f"{library} is not installed and {use} needs it", hint=f"pip install {library}"
    )

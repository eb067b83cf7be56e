# SPDX-License-Identifier: Apache-2.0
"""Files of the copies that scripts/fetch_real_data.py writes."""

from __future__ import annotations

from pathlib import Path

from finesight.errors import EvalError

FETCH = "fetch it with scripts/fetch_real_data.py"


def needed(folder: Path, name: str) -> Path:
    """A file that a copy must have.

    Raises:
        EvalError: it is not there.
    """
    path = folder / name
    if not path.is_file():
        raise EvalError(f"{folder} has no {name}", hint=FETCH)
    return path

# SPDX-License-Identifier: Apache-2.0
"""Files of copies written by scripts/fetch_real_data.py."""

from __future__ import annotations

from pathlib import Path

from finesight.errors import EvalError

FETCH = "fetch it with scripts/fetch_real_data.py"


def needed(folder: Path, name: str) -> Path:
    """Path of a required file.

    Raises:
        EvalError: the file is missing.
    """
    path = folder / name
    if not path.is_file():
        raise EvalError(f"{folder} has no {name}", hint=FETCH)
    return path

# SPDX-License-Identifier: Apache-2.0
"""Import optional libraries that one metric needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from finesight.errors import EvalError


@contextmanager
def required(library: str, use: str) -> Iterator[None]:
    """Turns an `ImportError` in its body into an error that names the library, its use and how to install it.

    Raises:
        EvalError: the import failed.
    """
    try:
        yield
    except ImportError as error:
        raise EvalError(
            f"{library} is not installed and {use} needs it", hint=f"pip install {library}"
        ) from error

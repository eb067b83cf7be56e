# SPDX-License-Identifier: Apache-2.0
"""Import optional libraries that one application needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from finesight.errors import AppError

__all__ = ["required"]


@contextmanager
def required(library: str, use: str) -> Iterator[None]:
    """Turns an `ImportError` in its body into an error that names the library, its use and how to install it.

    Args:
        library: name of its package.
        use: what needs it.

    Raises:
        AppError: the import failed.
    """
    try:
        yield
    except ImportError as error:
        raise AppError(
            f"{library} is not installed and {use} needs it",
            hint="pip install 'finesight[documents]'",
        ) from error

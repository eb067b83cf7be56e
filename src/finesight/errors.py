# SPDX-License-Identifier: Apache-2.0
"""The exception tree of finesight.

::

    FinesightError(message, *, hint="")
    ├─ ConfigError (ValueError)       a file, a dotted key, the given and the expected value
    ├─ MediaError
    │  ├─ DecodeError                 the bytes are not of the stated format, or end too early
    │  ├─ UnsupportedMedia            an unsupported format, shape or combination of options
    │  ├─ MediaTooLarge               more pixels, bytes or seconds than the stated limit
    │  └─ FetchRefused                a source that must not be opened: private address, redirect, directory
    ├─ LayoutError (ValueError)       placeholders against grids, cu_seqlens, window index
    ├─ WeightsError
    │  ├─ MissingWeights              a tensor, a shard or a whole folder is not there
    │  └─ ShapeMismatch               a tensor is there with another shape
    ├─ EngineError
    │  ├─ PromptTooLong               prompt and answer do not fit the context
    │  ├─ QueueFull
    │  ├─ OutOfBlocks
    │  └─ DeadlineExceeded
    ├─ ParseError                     the offending span and what was expected
    ├─ DataError
    │  ├─ RecordInvalid
    │  └─ ShardCorrupt
    ├─ EvalError                      task and sample id
    ├─ RemoteError                    an endpoint that does not answer, refuses, or answers invalidly
    └─ AppError
       ├─ ActionRefused
       └─ ScreenUnavailable

A message says what happened, with both values, and where; the hint says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FinesightError(Exception):
    """Base of all errors for users.

    Args:
        message: what happened, the two values that disagree, and where.
        hint: what the user can do about it; printed on a line of its own.

    Attributes:
        item: number of the picture or video of the conversation that it is about; None if it is about none.
    """

    item: int | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


@contextmanager
def about_item(number: int) -> Iterator[None]:
    """Note the number of a picture or video in each error that is raised inside.

    Args:
        number: its place among the pictures and videos of the conversation, from 0.
    """
    try:
        yield
    except FinesightError as error:
        error.item = number
        raise


class ConfigError(FinesightError, ValueError):
    """A configuration file, a recipe key or a call option is wrong."""


class MediaError(FinesightError):
    """A picture, video or PDF cannot be used."""


class DecodeError(MediaError):
    """The bytes are truncated, broken or not of the stated format."""


class UnsupportedMedia(MediaError):
    """The media is intact, but its kind, shape or combination of options is not supported."""


class MediaTooLarge(MediaError):
    """The media exceeds a stated limit in pixels, bytes or seconds."""


class FetchRefused(MediaError):
    """The source is one that must not be opened (private address, redirect, directory)."""


class LayoutError(FinesightError, ValueError):
    """Inconsistent lengths in a packed sample."""


class WeightsError(FinesightError):
    """A checkpoint cannot be used."""


class MissingWeights(WeightsError):
    """A tensor, a shard or a checkpoint folder is missing."""


class ShapeMismatch(WeightsError):
    """A tensor has another shape than in the model."""


class EngineError(FinesightError):
    """Generation failed."""


class PromptTooLong(EngineError):
    """The prompt, or prompt plus answer, exceeds the context length."""


class QueueFull(EngineError):
    """The request queue of the engine is full."""


class OutOfBlocks(EngineError):
    """The key-value cache has no free block left."""


class DeadlineExceeded(EngineError):
    """The answer was not finished in the time that its request allows."""


class ParseError(FinesightError):
    """Text does not have the expected structure."""


class DataError(FinesightError):
    """Training or evaluation data cannot be used."""


class RecordInvalid(DataError):
    """One record breaks the schema; names the record and the field."""


class ShardCorrupt(DataError):
    """A shard file is truncated or does not match its index."""


class EvalError(FinesightError):
    """An evaluation cannot give a valid score."""


class RemoteError(FinesightError):
    """An endpoint did not answer, refused, or answered with something that is not a reply."""


class AppError(FinesightError):
    """An application could not do its job."""


class ActionRefused(AppError):
    """An agent's action was not allowed or not possible."""


class ScreenUnavailable(AppError):
    """There is no screen to capture or control."""

# SPDX-License-Identifier: Apache-2.0
"""Convert values from users to plain Python, and check them.

Scalars of numpy or torch and open files are converted where a record is built: such a scalar cannot be written as JSON,
and an open file can be read only once.

A number that is NaN, infinite, out of range or of another type is an error with the name of its field. A bool is not a
number: `max_pixels=True` is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from finesight.errors import ConfigError, MediaError, UnsupportedMedia

_LONGEST_SHOWN = 80
_PLAIN = frozenset({int, float, bool, str, type(None)})  # the common types, checked first
_OPEN_BINARY = 'open it with mode "rb", and pass it before it is closed'


@runtime_checkable
class ArrayLike(Protocol):
    """An array of numpy, torch or another library that numpy can read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        ...

    def item(self) -> Any:
        """The value of an array with one element."""
        ...

    def __array__(self) -> Any:
        """The array as a numpy array."""
        ...


def rank(value: object) -> int | None:
    """Number of axes of an array, 0 for a scalar of numpy or torch; None for other values."""
    return len(value.shape) if isinstance(value, ArrayLike) else None


def plain(value: Any) -> Any:
    """The Python value of a scalar of numpy or torch or of a 0-d array; other values unchanged."""
    return value.item() if type(value) not in _PLAIN and rank(value) == 0 else value


def plain_list(values: Any) -> Any:
    """A list, tuple or 1-d array as a tuple of plain values; other values unchanged."""
    if isinstance(values, (list, tuple)) or rank(values) == 1:
        return tuple(plain(value) for value in values)
    return values


def shown(value: object) -> str:
    """`repr` of a value for a message, cut to 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        return f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def shown_bytes(count: int) -> str:
    """A number of bytes in the unit that shows it: "512 bytes", "1.5 kB", "4.4 GB"; powers of 1,000."""
    number, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.95:
            break
        number, unit = number / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{number:.1f} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Allowed values of a number.

    Attributes:
        least: smallest value.
        most: largest value.
        excludes_least: whether `least` itself is not allowed.
        is_whole: whether it must be a whole number.
        is_optional: whether None is allowed.
        unit: unit, for messages.
    """

    least: float
    most: float
    excludes_least: bool = False
    is_whole: bool = False
    is_optional: bool = False
    unit: str = ""

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        unit = f" {self.unit}" if self.unit else ""
        low, high = _digits(self.least), _digits(self.most)
        span = f"above {low} and at most" if self.excludes_least else f"from {low} to"
        return f"{kind} {span} {high}{unit}"

    def settled(self, value: Any) -> Any:
        """The value as a plain number; a float becomes an int if the number must be whole."""
        value = plain(value)
        if self.is_whole and isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def check(self, label: str, value: object) -> None:
        """Raise `ConfigError`, starting with `label`, unless a plain value is allowed."""
        if value is None and self.is_optional:
            return
        if not self._holds(value):
            raise ConfigError(f"{label}={shown(value)}; it must be {self}")

    def _holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if self.is_whole and not isinstance(value, int):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return self.least <= value <= self.most and not (
            self.excludes_least and value == self.least
        )


_LARGEST_INT = 2**31 - 1
_PIXELS = Limits(least=1, most=2**53, is_whole=True, is_optional=True, unit="pixels")
_SIDE = Limits(least=1, most=_LARGEST_INT, is_whole=True, is_optional=True, unit="pixels")
_FRAMES = Limits(least=1, most=_LARGEST_INT, is_whole=True, is_optional=True)
_CLIP_SECONDS = Limits(least=0, most=10**10, is_optional=True, unit="seconds")
_RATE = Limits(least=0.000001, most=1_000_000, is_optional=True, unit="frames per second")

TIMESTAMP_LIMITS = Limits(least=0, most=10**10, unit="seconds")
"""Allowed times of a frame; seconds since 1970 are within."""

IMAGE_LIMITS: Final[Mapping[str, Limits]] = {
    "page": Limits(least=0, most=_LARGEST_INT, is_whole=True, is_optional=True),
    # A larger lower bound would enlarge a small picture beyond the largest size that is read.
    "min_pixels": Limits(least=0, most=178_956_970, is_whole=True, is_optional=True, unit="pixels"),
    "max_pixels": _PIXELS,
    "resized_height": _SIDE,
    "resized_width": _SIDE,
}
"""Allowed numbers of an `ImagePart`."""

VIDEO_LIMITS: Final[Mapping[str, Limits]] = {
    "fps": _RATE,
    "nframes": _FRAMES,
    "min_frames": _FRAMES,
    "max_frames": _FRAMES,
    "start_seconds": _CLIP_SECONDS,
    "end_seconds": _CLIP_SECONDS,
    "sample_fps": _RATE,
    "min_pixels": IMAGE_LIMITS["min_pixels"],
    "max_pixels": _PIXELS,
    "total_pixels": _PIXELS,
    "resized_height": _SIDE,
    "resized_width": _SIDE,
}
"""Allowed numbers of a `VideoPart`; `fps` may also be "auto"."""

SAMPLING_LIMITS: Final[Mapping[str, Limits]] = {
    "max_new_tokens": Limits(least=1, most=_LARGEST_INT, is_whole=True),
    "temperature": Limits(least=0, most=100),
    "top_p": Limits(least=0, most=1, excludes_least=True),
    "top_k": Limits(least=0, most=_LARGEST_INT, is_whole=True),
    "min_p": Limits(least=0, most=1),
    "repetition_penalty": Limits(least=0.01, most=100),
    "presence_penalty": Limits(least=-2, most=2),
    "frequency_penalty": Limits(least=-2, most=2),
    "seed": Limits(least=-(2**63), most=2**64 - 1, is_whole=True, is_optional=True),
    "logprobs": Limits(least=0, most=20, is_whole=True, is_optional=True),
    "loop_retries": Limits(least=0, most=10, is_whole=True),
}
"""Allowed numbers of a `Sampling`."""


def _digits(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6f}".rstrip("0").rstrip(".")


def settle(record: object, names: Iterable[str]) -> None:
    """Convert fields of a frozen record to plain values; for `__post_init__`."""
    for name in names:
        object.__setattr__(record, name, plain(getattr(record, name)))


def settle_numbers(record: object, limits: Mapping[str, Limits]) -> None:
    """Convert the numbers of a frozen record to plain values; for `__post_init__`."""
    for name, limit in limits.items():
        object.__setattr__(record, name, limit.settled(getattr(record, name)))


def check_numbers(owner: str, record: object, limits: Mapping[str, Limits]) -> None:
    """Raise `ConfigError`, with the name of the field, for a number outside its limits."""
    for name, limit in limits.items():
        limit.check(f"{owner} has {name}", getattr(record, name))


def check_timestamps(timestamps: object, *, num_frames: int) -> None:
    """Raise `ConfigError` unless these are times in seconds, one for each frame."""
    if not isinstance(timestamps, tuple):
        raise ConfigError(f"video has timestamps={shown(timestamps)}; it must be a list of seconds")
    for index, seconds in enumerate(timestamps):
        TIMESTAMP_LIMITS.check(f"video has timestamps[{index}]", seconds)
    if len(timestamps) != num_frames:
        raise ConfigError(f"video has {num_frames} frames but {len(timestamps)} timestamps")


def check_resized_pair(height: int | None, width: int | None) -> None:
    """Raise `ConfigError` if only one of the two sides is given."""
    if (height is None) != (width is None):
        raise ConfigError(f"resized_height={height} and resized_width={width} go together")


def check_pixel_budget(min_pixels: int | None, max_pixels: int | None) -> None:
    """Raise `ConfigError` if the lower bound of a picture's area exceeds the upper one."""
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        raise ConfigError(f"min_pixels={min_pixels} exceeds max_pixels={max_pixels}")


def read_if_open(source: Any) -> Any:
    """The content of an open binary file, from its start; other values unchanged.

    Raises:
        UnsupportedMedia: the file is closed, or open as text.
        MediaError: it cannot be read.
    """
    try:
        read = source.read
    except AttributeError:
        return source
    kind = type(source).__name__
    with suppress(AttributeError, OSError, ValueError):  # a pipe cannot seek
        source.seek(0)  # the position of a buffer that was just written is its end
    try:
        data = read()
    except OSError as error:
        raise MediaError(f"the open file ({kind}) cannot be read: {error}") from error
    except ValueError as error:
        raise UnsupportedMedia(
            f"the file object ({kind}) cannot be read: {error}", hint=_OPEN_BINARY
        ) from error
    if not isinstance(data, bytes):
        raise UnsupportedMedia(
            f"the file object ({kind}) returns {type(data).__name__}, expected bytes",
            hint=_OPEN_BINARY,
        )
    return data

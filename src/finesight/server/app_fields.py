# SPDX-License-Identifier: Apache-2.0
"""The fields of a request to an application."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeVar

from finesight.errors import ConfigError
from finesight.inputs import IMAGE_LIMITS, SAMPLING_LIMITS, check_pixel_budget, shown
from finesight.remote.chat_request import LABELS, refuse_unknown

Choice = TypeVar("Choice", bound=str)

COMMON = ("model", "file_data", "file_url", "filename", "max_tokens", "min_pixels", "max_pixels")
"""Fields of all applications."""
_LONGEST_NAME = 100


class Fields:
    """The fields of a body, each with its default where it is left out.

    Args:
        body: as it was sent.
        known: fields of the application besides `COMMON`.

    Raises:
        ConfigError: it is no object, or a field is unknown.
    """

    def __init__(self, body: Any, known: Collection[str]) -> None:
        if not isinstance(body, Mapping):
            raise ConfigError(f"body is {shown(body)}", hint='it is an object with "file_data"')
        self.given = {name: value for name, value in body.items() if value is not None}
        refuse_unknown(self.given, (*COMMON, *known, *LABELS), {})

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A truth value."""
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {shown(value)}", hint="it is true or false")
        return value

    def choice(self, name: str, allowed: Sequence[Choice]) -> Choice:
        """One of some words; the first one is the default."""
        value = self.given.get(name, allowed[0])
        for each in allowed:
            if value == each:
                return each
        words = ", ".join(f'"{each}"' for each in allowed)
        raise ConfigError(f"{name} is {shown(value)}", hint=f"it is one of {words}")

    def pages(self) -> str | None:
        """Pages of a document, such as `1-3,7`."""
        value = self.given.get("pages")
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"pages is {shown(value)}", hint='it is a text such as "1-3,7"')
        return value

    def phrases(self) -> list[str]:
        """The phrases to locate: one text or a list."""
        value = self.given.get("phrase")
        listed = [value] if isinstance(value, str) else value
        if not (isinstance(listed, list) and listed and all(map(_is_text, listed))):
            raise ConfigError(
                f"phrase is {shown(value)}" if "phrase" in self.given else "phrase is missing",
                hint='give a text such as "red circle", or a list of texts',
            )
        return listed

    def schema(self) -> Mapping[str, Any]:
        """The schema of an extraction."""
        value = self.given.get("schema")
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"schema is {shown(value)}" if "schema" in self.given else "schema is missing",
                hint='give a JSON Schema: {"type": "object", "properties": {...}}',
            )
        return value

    def limits(self, max_tokens: int) -> dict[str, Any]:
        """The limits of the answers and the pictures, by their names in the options of the applications.

        Args:
            max_tokens: default.
        """
        tokens = self.given.get("max_tokens", max_tokens)
        SAMPLING_LIMITS["max_new_tokens"].check("max_tokens", tokens)
        pixels = {name: self.given.get(name) for name in ("min_pixels", "max_pixels")}
        for name, value in pixels.items():
            IMAGE_LIMITS[name].check(name, value)
        check_pixel_budget(**pixels)
        return {"max_new_tokens": tokens, **pixels}

    def filename(self, default: str) -> str:
        """The name of the file without its folders."""
        value = self.given.get("filename", default)
        if not isinstance(value, str):
            raise ConfigError(f"filename is {shown(value)}", hint="it is a text")
        name = PurePosixPath(value.replace("\\", "/").replace("\0", "")).name
        name = name.encode()[-_LONGEST_NAME:].decode(errors="ignore")  # the end has the suffix
        return default if name in ("", "..") else name


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())

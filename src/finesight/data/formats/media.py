# SPDX-License-Identifier: Apache-2.0
"""Loads the media of rows: finds them in their folders, decodes them once, keeps their bytes.

Paths must stay inside the folders of the media, symbolic links included, so that a downloaded data set cannot name
other files of this machine. Addresses are fetched only if that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.data.formats.rows import Reason, RowRefused
from finesight.errors import FinesightError, MediaError
from finesight.geometry import Size
from finesight.media.image import load_image
from finesight.media.source import LocalSource, localize, path_of, scheme_of
from finesight.media.video import open_video
from finesight.processor.resize import smart_resize

__all__ = ["MediaFolders"]

_LONGEST_NAME = 120


class MediaFolders:
    """The folders in which media are looked up.

    Args:
        folders: tried in order.
        fetches: whether addresses may be fetched.
    """

    def __init__(self, folders: Sequence[Path], *, fetches: bool = False) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._fetches = fetches

    def load(
        self, part: ImagePart | VideoPart, files: Mapping[str, bytes]
    ) -> tuple[ImagePart | VideoPart, Size]:
        """A picture or video with the bytes of its file, and its upright size.

        Args:
            part: its source is a path, an address or bytes.
            files: media of the row itself, by name.

        Raises:
            RowRefused: it is missing, broken, outside the folders, or in the network.
        """
        if isinstance(part, ImagePart):
            content, size = self._picture(part.source, files, part.page)
            return replace(part, source=content), size
        if isinstance(part.source, tuple):
            frames = [self._picture(source, files, None) for source in part.source]
            return replace(part, source=tuple(content for content, _ in frames)), frames[0][1]
        local = self._found(part.source, files, "video")
        try:
            size = open_video(replace(part, source=local.data), ProcessorConfig()).size
        except FinesightError as error:
            raise RowRefused("broken media", error.message, hint=error.hint) from error
        return replace(part, source=_content(local)), size

    def _picture(
        self, source: Any, files: Mapping[str, bytes], page: int | None
    ) -> tuple[bytes, Size]:
        local = self._found(source, files, "picture")
        try:
            image = load_image(local, page=page)
            smart_resize(image.height, image.width)  # refuses pictures that are too narrow
        except FinesightError as error:
            raise RowRefused("broken media", error.message, hint=error.hint) from error
        return _content(local), Size(image.width, image.height)

    def _found(self, source: Any, files: Mapping[str, bytes], kind: str) -> LocalSource:
        if isinstance(source, str) and source in files:
            return LocalSource(source, files[source])
        if isinstance(source, str) and scheme_of(source) in ("http", "https"):
            if not self._fetches:
                raise RowRefused(
                    "address",
                    f"the {kind} {source[:_LONGEST_NAME]} is in the network",
                    hint="download it, or pass --fetch",
                )
        elif isinstance(source, (str, Path)) and scheme_of(str(source)) != "data":
            source = self._inside(str(source))
        try:
            return localize(source, kind="video" if kind == "video" else "picture")
        except MediaError as error:
            is_there = isinstance(source, Path) and source.exists()
            is_broken = is_there or isinstance(source, bytes)
            reason: Reason = "broken media" if is_broken else "missing media"
            raise RowRefused(reason, error.message, hint=error.hint) from error

    def _inside(self, name: str) -> Path:
        """The first existing file of this name in the folders."""
        path = path_of(name) or Path(name)
        outside = False
        for folder in self._folders:
            try:
                found = (folder / path).resolve()
                exists = found.exists()
            except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a loop
                raise RowRefused("missing media", f"{name[:_LONGEST_NAME]}: {error}") from error
            if not exists:
                continue
            if found.is_relative_to(folder):
                return found
            outside = True
        listed = ", ".join(map(str, self._folders))
        if outside:
            raise RowRefused(
                "media outside",
                f"{name[:_LONGEST_NAME]} is not inside {listed}",
                hint="give its folder: --media DIR",
            )
        raise RowRefused(
            "missing media",
            f"there is no {name[:_LONGEST_NAME]} in {listed}",
            hint="give the folder of the media: --media DIR",
        )


def _content(local: LocalSource) -> bytes:
    if isinstance(local.data, bytes):
        return local.data
    try:
        return local.data.read_bytes()
    except OSError as error:
        raise RowRefused("broken media", f"{local.name} cannot be read: {error}") from error

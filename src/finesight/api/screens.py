# SPDX-License-Identifier: Apache-2.0
"""`finesight.describe_screen`: a screenshot as controls and texts with roles, names, places and states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finesight.api.shared import responder_and_name
from finesight.apps.accessibility.describe import DescribeOptions, describe
from finesight.apps.accessibility.records import ScreenDescription
from finesight.errors import ConfigError, UnsupportedMedia
from finesight.media.image import load_image, num_pages
from finesight.media.source import source_name
from finesight.responder import Responder

if TYPE_CHECKING:
    from PIL import Image


def describe_screen(
    screenshot: str | Path | Image.Image,
    *,
    page: int | None = None,
    model: str | Path | Responder = "tiny",
    options: DescribeOptions | None = None,
) -> ScreenDescription:
    """Describe a screenshot for somebody who does not see it.

    Args:
        screenshot: a file or a picture.
        page: which of several pictures in the file, counted from 0; a file with one picture needs none.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        options: settings.

    Returns:
        Elements in reading order, in pixels of the screenshot. A part that cannot be read is named in the coverage.

    Raises:
        ConfigError: an option is wrong.
        MediaError: the file cannot be opened, or it holds several pictures and `page` is None.
    """
    settings = options or DescribeOptions()
    if settings.order not in ("model", "place"):
        raise ConfigError(f"order is {settings.order!r}", hint='it is "model" or "place"')
    if page is None and (count := num_pages(screenshot)) > 1:
        raise UnsupportedMedia(
            f"{source_name(screenshot)} holds {count} pictures, and one is described at a time",
            hint=f"page=0 to page={count - 1} says which",
        )
    pixels = np.asarray(load_image(screenshot, page=page).convert("RGB"))
    responder, name = responder_and_name(model)
    source = Path(screenshot).name if isinstance(screenshot, (str, Path)) else "screenshot"
    return describe(pixels, responder, source=source, model=name, options=settings)

# SPDX-License-Identifier: Apache-2.0
"""Module-level functions that load a model on first use and cache it until another one is named."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from finesight.api.model import Model, load
from finesight.api.options import AskOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from finesight.api.sources import ImageSource, PdfSource, VideoSource
    from finesight.parse.answer import Answer
    from finesight.responder import Responder

ResponderT = TypeVar("ResponderT", bound="Responder")


def ask(
    question: str,
    *,
    model: str | Path = "tiny",
    images: ImageSource | Sequence[ImageSource] = (),
    videos: VideoSource | Sequence[VideoSource] = (),
    pdf: PdfSource | Sequence[PdfSource] = (),
    **options: Unpack[AskOptions],
) -> Answer:
    """Ask a model, which is loaded on first use and cached; see `Model.ask`."""
    return shared_model(str(model)).ask(question, images=images, videos=videos, pdf=pdf, **options)


def responder_and_name(model: str | Path | ResponderT) -> tuple[Model | ResponderT, str]:
    """The model of this name, see `shared_model`, or what answers instead of one; and a name for records."""
    if isinstance(model, (str, Path)):
        return shared_model(str(model)), str(model)
    return model, type(model).__name__


def paths_of(files: str | Path | Sequence[str | Path]) -> list[Path]:
    """One or several files as paths."""
    return [Path(files)] if isinstance(files, (str, Path)) else [Path(each) for each in files]


@lru_cache(maxsize=1)
def shared_model(name: str) -> Model:
    """The model of this name, loaded on first use and kept until another one is named."""
    return load(name)

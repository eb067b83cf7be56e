# SPDX-License-Identifier: Apache-2.0
"""All of Qwen2.5-VL in one readable code base.

    import finesight
    model = finesight.load("tiny")
    answer = model.ask("Read all the text in the image.", images=["page.png"])

The names below are the public ones. They are imported on first use, so that `import finesight` is
free: torch comes with the first model, not with the package. Before torch is loaded, its threads are set up (see
`finesight.threads`).
"""

from __future__ import annotations

TYPE_CHECKING = False  # what `typing` has under this name, without the 9 ms of importing it
if TYPE_CHECKING:
    from finesight.api.agent import agent as agent
    from finesight.api.classification import classify as classify
    from finesight.api.documents import read as read
    from finesight.api.extraction import extract as extract
    from finesight.api.grounding import inspect as inspect
    from finesight.api.grounding import locate as locate
    from finesight.api.model import Model as Model
    from finesight.api.model import load as load
    from finesight.api.options import AskOptions as AskOptions
    from finesight.api.reviewing import review as review
    from finesight.api.screens import describe_screen as describe_screen
    from finesight.api.shared import ask as ask
    from finesight.conversation import Conversation as Conversation
    from finesight.conversation import ImagePart as ImagePart
    from finesight.conversation import MediaRecord as MediaRecord
    from finesight.conversation import Message as Message
    from finesight.conversation import Reply as Reply
    from finesight.conversation import Sampling as Sampling
    from finesight.conversation import StreamEvent as StreamEvent
    from finesight.conversation import TextPart as TextPart
    from finesight.conversation import VideoPart as VideoPart
    from finesight.errors import ConfigError as ConfigError
    from finesight.errors import FinesightError as FinesightError
    from finesight.errors import MediaError as MediaError
    from finesight.errors import WeightsError as WeightsError
    from finesight.geometry import Box as Box
    from finesight.geometry import Clock as Clock
    from finesight.geometry import Point as Point
    from finesight.geometry import Resize as Resize
    from finesight.geometry import Size as Size
    from finesight.parse.answer import Answer as Answer
    from finesight.parse.answer import read_answer as read_answer
    from finesight.processor.processor import Processor as Processor
    from finesight.processor.resize import smart_resize as smart_resize
    from finesight.processor.vision_info import fetch_image as fetch_image
    from finesight.processor.vision_info import fetch_video as fetch_video
    from finesight.processor.vision_info import process_vision_info as process_vision_info
    from finesight.responder import Responder as Responder

_HOMES = {
    "finesight.api.agent": ("agent",),
    "finesight.api.classification": ("classify",),
    "finesight.api.documents": ("read",),
    "finesight.api.extraction": ("extract",),
    "finesight.api.grounding": ("inspect", "locate"),
    "finesight.api.model": ("Model", "load"),
    "finesight.api.options": ("AskOptions",),
    "finesight.api.reviewing": ("review",),
    "finesight.api.screens": ("describe_screen",),
    "finesight.api.shared": ("ask",),
    "finesight.conversation": (
        *("Conversation", "ImagePart", "MediaRecord", "Message", "Reply"),
        *("Sampling", "StreamEvent", "TextPart", "VideoPart"),
    ),
    "finesight.errors": ("ConfigError", "FinesightError", "MediaError", "WeightsError"),
    "finesight.geometry": ("Box", "Clock", "Point", "Resize", "Size"),
    "finesight.parse.answer": ("Answer", "read_answer"),
    "finesight.processor.processor": ("Processor",),
    "finesight.processor.resize": ("smart_resize",),
    "finesight.processor.vision_info": ("fetch_image", "fetch_video", "process_vision_info"),
    "finesight.responder": ("Responder",),
}
"""Where each public name lives."""

_WITH_TORCH = frozenset(
    {
        "finesight.api.agent",
        "finesight.api.classification",
        "finesight.api.documents",
        "finesight.api.extraction",
        "finesight.api.grounding",
        "finesight.api.model",
        "finesight.api.reviewing",
        "finesight.api.screens",
        "finesight.api.shared",
        "finesight.processor.processor",
        "finesight.processor.vision_info",
    }
)
"""Modules of these that import torch."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted((*_HOME_OF, "__version__"))


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("finesight")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'finesight' has no attribute {name!r}")
    if _HOME_OF[name] in _WITH_TORCH:
        from finesight.threads import prepare

        prepare()
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))

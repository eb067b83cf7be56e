# SPDX-License-Identifier: Apache-2.0
"""The Python interface: load a model, ask it, locate objects, compute logits and scores.

Names are imported lazily: options and checkpoint folders are checked without torch, so that a wrong
command line is refused at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finesight.api.options import AskOptions

if TYPE_CHECKING:
    from finesight.api.grounding import locate
    from finesight.api.model import Model, load
    from finesight.api.shared import ask

__all__ = ["AskOptions", "Model", "ask", "load", "locate"]


def __getattr__(name: str) -> object:
    if name in ("Model", "load"):
        from finesight.api import model

        return getattr(model, name)
    if name == "ask":
        from finesight.api import shared

        return shared.ask
    if name == "locate":
        from finesight.api import grounding

        return grounding.locate
    raise AttributeError(f"module 'finesight.api' has no attribute {name!r}")

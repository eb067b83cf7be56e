# SPDX-License-Identifier: Apache-2.0
"""Lets torchvision be imported where its compiled part is missing, as on a CPU-only install.

The reference processors import torchvision and use only what is written in Python. Its import fails because two
operators of the compiled part are unknown; here they are declared, not defined. Call before the first import.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch


@cache
def declare_torchvision_ops() -> torch.library.Library | None:
    """Declare the operators; the library object must stay alive, so it is cached."""
    if find_spec("torchvision") is None or hasattr(torch.ops.torchvision, "nms"):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library

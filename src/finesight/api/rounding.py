# SPDX-License-Identifier: Apache-2.0
"""Round the vision tower, and measure what that changes."""

from __future__ import annotations

import warnings

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from finesight.batch import pack_vision as batch_of
from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart
from finesight.model.packed import VisionWeights, pack_vision
from finesight.model.vl import VisionLanguageModel
from finesight.processor.prepare import prepare_image

_SIDE = 224
"""Pixels of the drawn picture."""


def round_tower(network: VisionLanguageModel, weights: VisionWeights) -> None:
    """Round the weights of the vision tower in place, and warn by how much the visual tokens of a picture change.

    Raises:
        ConfigError: the tower cannot be packed.
    """
    part = ImagePart(source=_drawn(), resized_height=_SIDE, resized_width=_SIDE)
    vision = batch_of([prepare_image(part, network.config.vision, ProcessorConfig())])
    with torch.inference_mode():
        exact = network.encode_vision(vision).float()
        pack_vision(network, weights)
        rounded = network.encode_vision(vision).float()
    warnings.warn(
        f"the vision tower is rounded to {weights}: the visual tokens of a drawn picture change by "
        f"{relative_error(rounded, exact):.2%} (mean cosine similarity {similarity(rounded, exact):.5f})",
        stacklevel=2,
    )


def relative_error(found: Tensor, exact: Tensor) -> float:
    """Norm of the difference over the norm of `exact`."""
    return float((found - exact).norm() / exact.norm())


def similarity(found: Tensor, exact: Tensor) -> float:
    """Mean cosine similarity of the rows."""
    return float(functional.cosine_similarity(found, exact, dim=-1).mean())


def _drawn() -> Image.Image:
    """A picture with a gradient, shapes and letters."""
    picture = Image.linear_gradient("L").resize((_SIDE, _SIDE)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 24, 96, 100), fill=(200, 40, 30), outline="black")
    draw.ellipse((120, 60, 200, 140), fill=(30, 80, 210))
    draw.line((10, 210, 214, 150), fill=(20, 120, 40), width=5)
    draw.text((24, 150), "Sight 2.5", fill="black")
    return picture

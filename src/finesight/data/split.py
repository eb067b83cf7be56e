# SPDX-License-Identifier: Apache-2.0
"""The train/held-out split of fonts, words and drawings, by a hash of their names."""

from __future__ import annotations

import hashlib
from typing import Literal

__all__ = ["SPLITS", "Split", "split_of", "unit_hash"]

Split = Literal["train", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "heldout")


def unit_hash(name: str) -> float:
    """A number in [0, 1): the first 32 bits of the SHA-256 of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def split_of(name: str, heldout_share: float) -> Split:
    """Split that a name belongs to; about `heldout_share` of all names are held out."""
    return "heldout" if unit_hash(name) < heldout_share else "train"

# SPDX-License-Identifier: Apache-2.0
"""Visual tokens of recent pictures and videos, so that a second question needs no vision tower.

The key is `VisionInput.digest`: equal pixels, grid and clock. The least recently used entries are dropped first.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finesight import files

_PROBED = 16
"""First values of each weight that `tower_digest` reads."""


class FeatureCache:
    """Visual tokens by digest, in memory of limited size and, optionally, in a folder.

    Args:
        max_bytes: most memory; larger entries are not kept in memory.
        folder: where every entry is stored, too; several models may share it. None stores nothing.
        tower: `tower_digest` of the model; needed with a folder.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None, *, tower: str = "") -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._folder = None if folder is None else folder / tower
        self._entries: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, digest: str, shape: tuple[int, int]) -> Tensor | None:
        """`[M, D]`, the visual tokens of a medium, or None.

        Args:
            digest: of the medium.
            shape: M and D; a stored entry of another shape, or with values that are not finite, is not used.
        """
        if digest in self._entries:
            self._entries.move_to_end(digest)
            return self._entries[digest]
        stored = self._read(digest)
        if stored is None or stored.shape != shape or not bool(torch.isfinite(stored).all()):
            return None
        self._keep(digest, stored)
        return stored

    def put(self, digest: str, features: Tensor) -> None:
        """Store the visual tokens `[M, D]` of a medium; a folder that cannot be written is given up with a warning."""
        self._keep(digest, features)
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with files.whole_file(self._path(digest), error=None) as draft:
                    save_file({"features": features.contiguous().cpu()}, draft)
            except (OSError, SafetensorError) as error:
                warnings.warn(
                    f"visual tokens cannot be stored in {self._folder}, from now on they are not: {error}",
                    stacklevel=2,
                )
                self._folder = None

    def _keep(self, digest: str, features: Tensor) -> None:
        size = features.numel() * features.element_size()
        if size > self.max_bytes or digest in self._entries:
            return
        self._entries[digest] = features
        self.num_bytes += size
        while self.num_bytes > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.num_bytes -= oldest.numel() * oldest.element_size()

    def _read(self, digest: str) -> Tensor | None:
        """The entry in the folder; an unreadable one is computed and written again."""
        if self._folder is None or not self._path(digest).is_file():
            return None
        try:
            return load_file(self._path(digest))["features"]
        except (OSError, SafetensorError, KeyError):
            return None

    def _path(self, digest: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{digest}.safetensors"


def tower_digest(tower: nn.Module) -> str:
    """Hash of a vision tower: names, shapes, dtypes, sums and first values of its weights, which takes no time."""
    content = hashlib.blake2b(digest_size=8)
    for name, weight in (*tower.named_parameters(), *tower.named_buffers()):
        values = weight.detach().flatten()
        if values.device.type == "mps":  # which has no float64
            values = values.cpu()
        probe = [float(values.double().sum()), *values[:_PROBED].double().tolist()]
        content.update(repr((name, tuple(weight.shape), weight.dtype, probe)).encode())
    return content.hexdigest()

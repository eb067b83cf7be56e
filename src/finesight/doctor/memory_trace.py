# SPDX-License-Identifier: Apache-2.0
"""Memory of the tensors of a computation: bytes in use, and the most at any time.

Every tensor that an operation of torch returns is counted once by its storage, until the storage is freed. So a
computation on fake tensors, which have shapes but no values, is counted as the real one. What operations use inside is
not counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["MemoryTrace"]


class MemoryTrace(TorchDispatchMode):
    """Counts tensors that are made within its block.

    Attributes:
        live: bytes in use.
        peak: most bytes in use since `restart`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}

    def restart(self) -> int:
        """Begin a new peak; returns the one before."""
        before, self.peak = self.peak, self.live
        return before

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count its results."""
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, (torch.Tensor, list, tuple)):  # most calls ask for a device
            return out
        known = {
            id(each.untyped_storage()) for each in tree_iter((args, kwargs)) if _is_tensor(each)
        }
        for each in tree_iter(out):
            if _is_tensor(each):
                storage = each.untyped_storage()
                if id(storage) not in known:
                    self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        number, size = id(storage), storage.nbytes()
        if number in self._sizes:
            return
        self._sizes[number] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, number)

    def _free(self, number: int) -> None:
        self.live -= self._sizes.pop(number)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)

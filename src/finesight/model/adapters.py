# SPDX-License-Identifier: Apache-2.0
"""Several LoRA adapters on one network; each row of a forward pass has its own.

A layer computes its output as always, and a hook adds `scale * B A x` to the rows that have an adapter. The weights of
the layer are not changed, so plain, packed and quantised layers work alike.

Legend: N rows of a pass, R rank, K inputs, O outputs.
Source: Chen et al. 2023 (arXiv 2310.18547), Sheng et al. 2023 (arXiv 2311.03285).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from finesight.errors import ConfigError, LayoutError
from finesight.inputs import shown
from finesight.model.vl import VisionLanguageModel

__all__ = ["MOST_MIXED_ROWS", "Adapter", "Adapters", "check_adapter"]

MOST_MIXED_ROWS = 1024
"""Most rows of a pass with several adapters: the feed-forward splits longer passes, and rows would be confused."""

_TOWER = "visual."


@dataclass(frozen=True, slots=True)
class Adapter:
    """The matrices of one adapter.

    Attributes:
        name: its name in requests.
        digest: hash of its matrices.
        matrices: `A` of shape [R, K], multiplied by the scale, and `B` of shape [O, R], by the name of their layer.
    """

    name: str
    digest: str
    matrices: Mapping[str, tuple[Tensor, Tensor]]

    @property
    def changes_tower(self) -> bool:
        """Whether it changes visual tokens."""
        return any(name.startswith(_TOWER) for name in self.matrices)

    def to(self, device: torch.device, dtype: torch.dtype) -> Adapter:
        """The same on another device in another dtype."""
        moved = {
            name: (first.to(device, dtype), second.to(device, dtype))
            for name, (first, second) in self.matrices.items()
        }
        return Adapter(self.name, self.digest, moved)


class _Running(threading.local):
    """The pass of one thread.

    Attributes:
        rows: adapters with the indices of their rows, int64; None stands for all rows.
        total: number of rows; None if it does not matter.
    """

    rows: Sequence[tuple[Adapter, Tensor | None]] = ()
    total: int | None = None


class Adapters:
    """The adapters of one network, and which rows of the running pass they change.

    Args:
        model: the network; hooks are added to the layers that have an adapter.
        adapters: fit the network.
    """

    def __init__(self, model: VisionLanguageModel, adapters: Sequence[Adapter] = ()) -> None:
        self._model = model
        self._running = _Running()
        self._known: dict[str, Adapter] = {}
        for each in adapters:
            weight = next(model.parameters())
            self._known[each.name] = each.to(weight.device, weight.dtype)
        if adapters:
            model.model.is_adapted = self._is_applied
        for layer in {layer for each in adapters for layer in each.matrices}:
            model.get_submodule(layer).register_forward_hook(partial(self._changed, layer))

    def find(self, name: str | None) -> Adapter | None:
        """The adapter of a request; None is the network alone.

        Raises:
            ConfigError: there is no such adapter.
        """
        check_adapter(name, self._known)
        return None if name is None else self._known[name]

    @contextmanager
    def applied(self, parts: Sequence[tuple[str | None, int]]) -> Iterator[None]:
        """Within the block, the network computes rows with these adapters.

        Args:
            parts: an adapter and a number of rows, in the order of the rows of the pass. If all are of one adapter,
                the pass may have any number of rows.

        Raises:
            ConfigError: there is no such adapter.
        """
        names = dict.fromkeys(name for name, _ in parts)
        chosen = [each for each in map(self.find, names) if each is not None]
        if not chosen:
            yield
            return
        rows = _rows_by_name(parts)
        self._running.total = sum(count for _, count in parts) if len(names) > 1 else None
        self._running.rows = [
            (each, rows[each.name].to(next(iter(each.matrices.values()))[0].device))
            if len(names) > 1
            else (each, None)
            for each in chosen
        ]
        try:
            yield
        finally:
            self._running.rows = ()

    def _is_applied(self) -> bool:
        """Whether the running pass of this thread has rows with an adapter."""
        return bool(self._running.rows)

    def _changed(
        self, layer: str, module: nn.Module, given: tuple[Tensor, ...], out: Tensor
    ) -> Tensor:
        """The output of a layer with the changes of its adapters; a forward hook."""
        states = given[0]
        for adapter, rows in self._running.rows:
            pair = adapter.matrices.get(layer)
            if pair is None:
                continue
            first, second = (each.to(states.dtype) for each in pair)
            if rows is None:
                out = out + states @ first.T @ second.T
                continue
            if states.shape[0] != self._running.total:
                raise LayoutError(
                    f"{layer} got {states.shape[0]} rows of a pass with {self._running.total} rows",
                    hint=f"a pass with several adapters has at most {MOST_MIXED_ROWS} rows",
                )
            out = out.index_add(0, rows, states[rows] @ first.T @ second.T)
        return out


def check_adapter(name: str | None, known: Collection[str]) -> None:
    """Raise `ConfigError` unless a name is that of a known adapter, or None."""
    if name is None or (isinstance(name, str) and name in known):
        return
    there = f"there are {', '.join(known)}" if known else "none is loaded"
    raise ConfigError(
        f"there is no adapter {shown(name)}", hint=f"{there}; load it with adapters= or --adapter"
    )


def _rows_by_name(parts: Sequence[tuple[str | None, int]]) -> dict[str | None, Tensor]:
    """int64, indices of the rows of each adapter."""
    places: dict[str | None, list[int]] = {}
    start = 0
    for name, count in parts:
        places.setdefault(name, []).extend(range(start, start + count))
        start += count
    return {name: torch.tensor(each) for name, each in places.items()}

# SPDX-License-Identifier: Apache-2.0
"""Several LoRA and DoRA adapters on one network; each row of a forward pass has its own.

A layer computes its output as always, and a hook adds `scale * B A x` to the rows that have an adapter; with DoRA the
sum is also multiplied by a gain for each output (see `finesight.model.lora`). The weights of the layer are not changed,
so plain, packed and quantised layers work alike. Of a module that the adapter stores whole, a hook replaces the output.

Legend: N rows of a pass, R rank, K inputs, O outputs.
Source: Chen et al. 2023 (arXiv 2310.18547), Sheng et al. 2023 (arXiv 2311.03285).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.errors import ConfigError, LayoutError
from finesight.inputs import shown
from finesight.kernels.formats import unpacked_rows
from finesight.model.head import OutputHead
from finesight.model.layers import RMSNorm
from finesight.model.packed import PackedHead
from finesight.model.packed_linear import PackedLinear
from finesight.model.vl import VisionLanguageModel

__all__ = ["MOST_MIXED_ROWS", "Adapter", "Adapters", "check_adapter"]

MOST_MIXED_ROWS = 1024
"""Most rows of a pass with several adapters: the feed-forward splits longer passes, and rows would be confused."""

_TOWER = "visual."

_ROWS_AT_ONCE = 1024
"""Rows of a weight whose lengths are computed together."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """The matrices of one adapter.

    Attributes:
        name: its name in requests.
        digest: hash of its matrices.
        matrices: `A` of shape [R, K], multiplied by the scale, and `B` of shape [O, R], by the name of their layer.
        magnitudes: float32[O], lengths of the rows of DoRA's weights, by the name of their layer.
        replaced: parameters of modules that are stored whole, by their own name, by the name of the module.
        pixels: least and largest area of the pictures that it was trained with; None if unknown.
    """

    name: str
    digest: str
    matrices: Mapping[str, tuple[Tensor, Tensor]]
    magnitudes: Mapping[str, Tensor] = field(default_factory=dict)
    replaced: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    pixels: tuple[int, int] | None = None

    @property
    def changes_tower(self) -> bool:
        """Whether it changes visual tokens."""
        return any(name.startswith(_TOWER) for name in (*self.matrices, *self.replaced))

    def to(self, device: torch.device, dtype: torch.dtype) -> Adapter:
        """The same on another device in another dtype; magnitudes stay float32."""
        return Adapter(
            self.name,
            self.digest,
            {
                name: (first.to(device, dtype), second.to(device, dtype))
                for name, (first, second) in self.matrices.items()
            },
            {name: value.to(device) for name, value in self.magnitudes.items()},
            {
                name: {own: value.to(device, dtype) for own, value in values.items()}
                for name, values in self.replaced.items()
            },
            self.pixels,
        )


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

    Raises:
        ConfigError: an adapter replaces a module whose weight is not used by calling it, such as the patch embedding,
            or a DoRA adapter changes a layer whose values cannot be read.
    """

    def __init__(self, model: VisionLanguageModel, adapters: Sequence[Adapter] = ()) -> None:
        self._model = model
        self._running = _Running()
        self._known: dict[str, Adapter] = {}
        self._gains: dict[tuple[str, str], Tensor] = {}
        for each in adapters:
            weight = next(model.parameters())
            self._known[each.name] = moved = each.to(weight.device, weight.dtype)
            for layer in moved.magnitudes:
                self._gains[each.name, layer] = gain(model.get_submodule(layer), moved, layer)
            for layer, values in moved.replaced.items():
                replacement(model.get_submodule(layer), values, layer)  # raises if it cannot be
        if adapters:
            model.model.is_adapted = self._is_applied
        for layer in {layer for each in adapters for layer in (*each.matrices, *each.replaced)}:
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
            (each, rows[each.name].to(self._model.device)) if len(names) > 1 else (each, None)
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
            change = self._change_of(adapter, layer, module)
            if change is None:
                continue
            if rows is None:
                out = change(states, out)
                continue
            if states.shape[0] != self._running.total:
                raise LayoutError(
                    f"{layer} got {states.shape[0]} rows of a pass with {self._running.total} rows",
                    hint=f"a pass with several adapters has at most {MOST_MIXED_ROWS} rows",
                )
            out = out.index_copy(0, rows, change(states[rows], out[rows]))
        return out

    def _change_of(
        self, adapter: Adapter, layer: str, module: nn.Module
    ) -> Callable[[Tensor, Tensor], Tensor] | None:
        """From input and output of a layer to its output with an adapter; None if it does not change the layer."""
        if layer in adapter.replaced:
            compute = replacement(module, adapter.replaced[layer], layer)
            return lambda states, out: compute(states).to(out.dtype)
        if layer not in adapter.matrices:
            return None
        gains, bias = self._gains.get((adapter.name, layer)), _bias_of(module)

        def change(states: Tensor, out: Tensor) -> Tensor:
            first, second = (each.to(states.dtype) for each in adapter.matrices[layer])
            added = states @ first.T @ second.T
            if gains is None:
                return out + added
            own = out if bias is None else out - bias.to(out.dtype)
            return out + own * (gains - 1).to(out.dtype) + added * gains.to(out.dtype)

        return change


def gain(module: nn.Module, adapter: Adapter, layer: str) -> Tensor:
    """float32[O], magnitudes divided by the lengths of the rows of the weight with its adapter.

    Raises:
        ConfigError: the values of the weight cannot be read.
    """
    first, second = (each.float() for each in adapter.matrices[layer])
    lengths, start = [], 0
    for rows in _values_of(module, layer):
        changed = rows + second[start : start + len(rows)] @ first
        lengths.append(changed.norm(dim=1))
        start += len(rows)
    return adapter.magnitudes[layer].float() / torch.cat(lengths)


def _bias_of(module: nn.Module) -> Tensor | None:
    """The bias of a layer, a parameter or, if it is packed, a buffer."""
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    return dict(own).get("bias")


def _values_of(module: nn.Module, layer: str) -> Iterator[Tensor]:
    """Some rows at a time of a layer's weight, float32[n, K]."""
    packed = module.packed if isinstance(module, PackedHead) else module
    if isinstance(packed, PackedLinear):
        yield from unpacked_rows(packed.weight, packed.out_features, packed.in_features)
        return
    owner = module.weight_owner if isinstance(module, OutputHead) else module
    weight = owner.get_parameter("weight")
    if type(weight) not in (Tensor, nn.Parameter):  # quantised by torchao
        raise ConfigError(
            f"{layer} has weights of the kind {type(weight).__name__}, on which a DoRA adapter cannot be applied",
            hint="leave weights out, or merge the adapter: `finesight export --adapter`",
        )
    for rows in weight.detach().split(_ROWS_AT_ONCE):
        yield rows.float()


def replacement(
    module: nn.Module, values: Mapping[str, Tensor], layer: str
) -> Callable[[Tensor], Tensor]:
    """What a module computes with other parameters.

    Raises:
        ConfigError: its parameters are not used by calling it.
    """
    weight, bias = values.get("weight"), values.get("bias")
    has_bias = _bias_of(module) is not None
    if weight is None or len(values) > 1 + has_bias or (has_bias and bias is None):
        raise ConfigError(
            f"an adapter stores {', '.join(values)} of {layer}, which is not all it computes with",
            hint="merge the adapter: `finesight export --adapter`",
        )
    if isinstance(module, RMSNorm):
        norm = RMSNorm(len(weight), module.eps)
        norm.weight = nn.Parameter(weight, requires_grad=False)
        return norm
    if isinstance(module, nn.Embedding):
        return partial(functional.embedding, weight=weight)
    if isinstance(module, nn.Linear | PackedLinear | OutputHead):
        return lambda states: functional.linear(states.to(weight.dtype), weight, bias)
    raise ConfigError(
        f"an adapter stores {layer} whole, which cannot be exchanged between requests",
        hint="merge the adapter: `finesight export --adapter`",
    )


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

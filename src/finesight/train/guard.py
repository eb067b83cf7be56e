# SPDX-License-Identifier: Apache-2.0
"""Guard of a run against steps that would spoil its weights: values that are not finite, and spikes of the loss.

Loss and gradients are checked before the weights change, so the step can be skipped. The message names the records of
the step, and for values that are not finite the first layer that gives one: the step is computed again with hooks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from finesight.config.settings import Settings
from finesight.data.loader import TrainBatch
from finesight.errors import DataError

_SHOWN_RECORDS = 12
_FEWEST = 10
"""Losses before a median counts."""


class GuardConfig(Settings):
    """What to do with a step that would spoil the weights."""

    on_nonfinite: Literal["stop", "skip"] = Field(
        "stop",
        description="loss or gradient that is not finite: stop the run, or skip the update and log it",
    )
    on_spike: Literal["stop", "skip", "log"] = Field(
        "log", description="spike of the loss: stop the run, skip the update, or only log it"
    )
    spike_ratio: float | None = Field(
        None,
        gt=1,
        description="a loss above this many times the median of the last losses is a spike; None looks for none",
    )
    spike_window: int = Field(100, ge=10, description="number of last losses of the median")
    max_skipped: int = Field(
        10, ge=1, description="the run stops after this number of skipped updates in a row"
    )


class Guard:
    """Checks each step before its update.

    Args:
        config: what to do.

    Attributes:
        notes: what was found and not yet logged.
        has_allowed: whether the last step may update the weights.
    """

    def __init__(self, config: GuardConfig) -> None:
        self._config = config
        self._losses: deque[float] = deque(maxlen=config.spike_window)
        self._skipped = 0
        self.has_allowed = True
        self.notes: list[str] = []

    def allows(
        self,
        step: int,
        packs: Sequence[TrainBatch],
        values: Mapping[str, float],
        find: Callable[[], str],
    ) -> bool:
        """Whether the weights may be updated; also kept as `has_allowed`.

        Args:
            step: number of the step.
            packs: its packs.
            values: `loss` and `grad_norm`.
            find: computes the step again and names the first layer that is not finite.

        Raises:
            DataError: the run must stop.
        """
        self.has_allowed = self._allows(step, packs, values, find)
        return self.has_allowed

    def _allows(
        self,
        step: int,
        packs: Sequence[TrainBatch],
        values: Mapping[str, float],
        find: Callable[[], str],
    ) -> bool:
        bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if bad:
            what = f"{' and '.join(bad)}; {find()}"
            action: Literal["stop", "skip", "log"] = self._config.on_nonfinite
        elif self._is_spike(values["loss"]):
            usual = f"{self._config.spike_ratio:g} x the median {median(self._losses):.4g}"
            what = f"loss {values['loss']:.4g} is over {usual}"
            action = self._config.on_spike
        else:
            self._losses.append(values["loss"])
            self._skipped = 0
            return True
        message = f"step {step}: {what}; {records_of(packs)}"
        self.notes.append(message)
        if action == "log":
            self._losses.append(values["loss"])
            return True
        self._skipped += 1
        if action == "stop" or self._skipped >= self._config.max_skipped:
            raise DataError(
                message,
                hint="look at these records, or lower the learning rate; the run resumes from its last checkpoint, and "
                'run.guard.on_nonfinite = "skip" goes on without such steps',
            )
        return False

    def _is_spike(self, loss: float) -> bool:
        ratio = self._config.spike_ratio
        return (
            ratio is not None
            and len(self._losses) >= _FEWEST
            and loss > ratio * median(self._losses)
        )


def records_of(packs: Iterable[TrainBatch]) -> str:
    """The records of some packs, in words."""
    names = [name for pack in packs for name in pack.records]
    if not names:
        return "no record"
    more = f" and {len(names) - _SHOWN_RECORDS} more" if len(names) > _SHOWN_RECORDS else ""
    return f"records {', '.join(names[:_SHOWN_RECORDS])}{more}"


@contextmanager
def first_nonfinite(module: nn.Module) -> Iterator[list[str]]:
    """Names the first layers whose outputs, or gradients of outputs, are not finite, while the block runs.

    Containers come after the layers in them, so the first name is that of a layer.
    """
    found: list[str] = []
    handles = [
        layer.register_forward_hook(_look(name or "the model", found))
        for name, layer in module.named_modules()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _look(name: str, found: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that looks at the outputs of a layer, and later at their gradients."""

    def look_at_gradient(gradient: Tensor) -> None:
        if not _is_finite(gradient):
            found.append(f"the gradient of the output of {name}")

    def look(layer: nn.Module, _: Any, output: Any) -> None:
        if not _is_finite(output):
            weights = [
                key for key, value in layer.named_parameters(recurse=False) if not _is_finite(value)
            ]
            reason = f", whose {' and '.join(weights)} is not finite" if weights else ""
            found.append(f"the output of {name}{reason}")
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(look_at_gradient)

    return look


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, (tuple, list)):
        return all(map(_is_finite, value))
    return True

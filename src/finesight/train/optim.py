# SPDX-License-Identifier: Apache-2.0
"""Optimizers: ordered rules choose the algorithm and the learning rate of every parameter.

Hidden matrices learn several times faster with Muon (orthogonalised momentum); AdamW is for embeddings, norms, biases
and the patch embedding. The recipe has rules over parameter names, of which the first match wins. A parameter without a
rule and a rule without a parameter are errors. The table of rules is printed at the start of a run.
Source: Jordan et al. 2024 (Muon); Liu et al. 2025, arXiv 2502.16982 (rates matched to AdamW's update size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from finesight.config.settings import Settings
from finesight.errors import ConfigError
from finesight.train.parallel import Ranks, divided_like, own_part


class GroupRule(Settings):
    """One rule: a name pattern with optimizer settings."""

    match: str = Field(
        description="shell pattern of parameter names, as in `model.visual.blocks.*.weight`"
    )
    algorithm: Literal["muon", "adamw", "frozen"] = Field(
        description="optimizer; frozen parameters are not updated"
    )
    lr: float = Field(0.0, ge=0, description="peak learning rate")
    weight_decay: float = Field(
        0.0, ge=0, description="decoupled weight decay, multiplied by the rate"
    )
    ndim: int | None = Field(
        None, description="only parameters with this number of dimensions; None matches all"
    )


class OptimConfig(Settings):
    """Ordered rules, and settings of all groups."""

    group: tuple[GroupRule, ...] = Field(
        description="rules; the first that matches a parameter wins"
    )
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW betas")
    momentum: float = Field(0.95, ge=0, lt=1, description="momentum of Muon")
    max_grad_norm: float = Field(1.0, gt=0, description="norm to which gradients are clipped")


def rule_of(name: str, parameter: Tensor, config: OptimConfig) -> GroupRule | None:
    """The first rule that matches a parameter; None if there is none."""
    for rule in config.group:
        if fnmatchcase(name, rule.match) and rule.ndim in (None, parameter.ndim):
            return rule
    return None


def assign(
    named: Iterable[tuple[str, Tensor]], config: OptimConfig
) -> list[tuple[GroupRule, dict[str, Tensor]]]:
    """Assign each parameter to the first rule that matches it.

    Raises:
        ConfigError: a parameter matches no rule, a rule matches no parameter, or a Muon rule matches a parameter that
            is not a matrix.
    """
    groups: list[tuple[GroupRule, dict[str, Tensor]]] = [(rule, {}) for rule in config.group]
    for name, parameter in named:
        found = rule_of(name, parameter, config)
        if found is None:
            raise ConfigError(
                f"parameter {name} of shape {tuple(parameter.shape)} matches no [[optim.group]] rule",
                hint='end the rules with match = "*"',
            )
        next(members for rule, members in groups if rule is found)[name] = parameter
    for index, (rule, members) in enumerate(groups):
        if not members:
            raise ConfigError(
                f"optim.group {index} with match = {rule.match!r} matches no parameter"
            )
        wrong = [
            name for name, value in members.items() if rule.algorithm == "muon" and value.ndim != 2
        ]
        if wrong:
            raise ConfigError(
                f"optim.group {index} assigns {wrong[0]} to muon, which is for matrices only"
            )
    return groups


class Optimizers:
    """Muon and AdamW as one optimizer.

    The state is a mapping of named tensors, so that a checkpoint needs no pickle and does not depend on the order of
    the rules.

    Args:
        module: the module whose parameters are trained; some may be divided over ranks.
        config: the rules.
        ranks: the ranks of the run.

    Raises:
        ConfigError: a rule cannot be applied, or all parameters are frozen.
    """

    def __init__(self, module: nn.Module, config: OptimConfig, ranks: Ranks | None = None) -> None:
        self.config = config
        self._ranks = ranks or Ranks()
        self.groups = assign(module.named_parameters(), config)
        self._names: dict[Tensor, str] = {}
        for rule, members in self.groups:
            for name, parameter in members.items():
                parameter.requires_grad_(rule.algorithm != "frozen")
                self._names[parameter] = name
        self._optimizers = list(self._build())
        if not self._optimizers:
            raise ConfigError(
                "every [[optim.group]] rule is frozen: there is nothing to train",
                hint="add a rule with the algorithm adamw or muon",
            )

    def _build(self) -> Iterator[torch.optim.Optimizer]:
        adamw = list(self._param_groups("adamw"))
        if adamw:
            yield torch.optim.AdamW(adamw, betas=self.config.betas)
        muon = list(self._param_groups("muon"))
        if muon and self._ranks.mesh is not None:
            from finesight.train.parallel_muon import ParallelMuon

            yield ParallelMuon(muon, momentum=self.config.momentum)
        elif muon:
            yield torch.optim.Muon(
                muon, momentum=self.config.momentum, adjust_lr_fn="match_rms_adamw"
            )

    def _param_groups(self, algorithm: str) -> Iterator[dict[str, object]]:
        """Groups of torch's optimizers; one takes only tensors that are divided over the same ranks."""
        for rule, members in self.groups:
            if rule.algorithm == algorithm:
                for same in _by_mesh(members.values()):
                    yield {
                        "params": same,
                        "lr": rule.lr,
                        "peak_lr": rule.lr,
                        "weight_decay": rule.weight_decay,
                    }

    def trained(self) -> list[Tensor]:
        """Parameters that are updated."""
        return [
            value
            for rule, members in self.groups
            if rule.algorithm != "frozen"
            for value in members.values()
        ]

    def step(self, lr_scale: float, allows: Callable[[Tensor], bool] = lambda _: True) -> Tensor:
        """Clip the gradients, update the parameters, clear the gradients.

        Args:
            lr_scale: factor on the peak rate of each rule.
            allows: whether the parameters may be updated, from the norm of the gradients.

        Returns:
            Norm of the gradients before clipping, a scalar.
        """
        norm = self._clip()
        is_allowed = allows(norm)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * lr_scale
            if is_allowed:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    def _clip(self) -> Tensor:
        """Sum the gradients that torch does not sum itself, clip all, and return their norm."""
        if self._ranks.mesh is None:
            return torch.nn.utils.clip_grad_norm_(self.trained(), self.config.max_grad_norm)
        from finesight.train.parallel_tensors import clip, sum_replicated

        sum_replicated(self.trained(), self._ranks)
        return clip(self.trained(), self.config.max_grad_norm)

    def state_tensors(self) -> dict[str, Tensor]:
        """All optimizer state; names are `<parameter>|<key>`."""
        return {
            f"{self._names[parameter]}|{key}": torch.as_tensor(value)
            for optimizer in self._optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Load the result of `state_tensors`.

        Raises:
            ConfigError: the state has a parameter that this run does not train.
        """
        owners = {
            self._names[parameter]: (optimizer, parameter)
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        for full_name, value in tensors.items():
            name, _, key = full_name.partition("|")
            if name not in owners:
                raise ConfigError(
                    f"the checkpoint has optimizer state of {name}, which this run does not train",
                    hint="resume with the same [[optim.group]] rules",
                )
            optimizer, parameter = owners[name]
            # torch keeps the step count on the host, other state on the device of the parameter
            device = parameter.device if value.ndim else value.device
            own = divided_like(value, parameter)
            optimizer.state[parameter][key] = own.to(device, copy=True)

    def table(self) -> list[tuple[str, str, float, int, int]]:
        """One row per rule: pattern, algorithm, peak rate, number of tensors, number of values."""
        return [
            (
                rule.match,
                rule.algorithm,
                rule.lr,
                len(members),
                sum(value.numel() for value in members.values()),
            )
            for rule, members in self.groups
        ]


def _by_mesh(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters grouped by the ranks over which they are divided, in order."""
    groups: dict[object, list[Tensor]] = {}
    for parameter in parameters:
        is_whole = own_part(parameter) is parameter
        mesh = None if is_whole else parameter.device_mesh  # type: ignore[attr-defined]  # a DTensor
        groups.setdefault(mesh, []).append(parameter)
    return list(groups.values())

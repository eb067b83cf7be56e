# SPDX-License-Identifier: Apache-2.0
"""`adapter_config.json` of peft: which layers an adapter has, their ranks and scales.

Every option is read, or refused if it changes what is computed, or is without effect on a stored adapter.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.errors import WeightsError
from finesight.model.low_rank import LowRank, lora_scale

__all__ = ["CONFIG", "HINT", "AdapterConfig", "read_config", "transformers_name", "written_config"]

CONFIG = "adapter_config.json"

HINT = "adapter and base model belong together: use the base that its adapter_config.json names"

_NOT_READ = (
    *("alora_invocation_tokens", "arrow_config", "bias", "fan_in_fan_out", "layer_replication"),
    *("lora_bias", "target_parameters", "trainable_token_indices", "use_qalora"),
)
"""Options of peft with another computation."""

_TRANSFORMERS = {"model.": "model.language_model.", "visual.": "model.visual."}
"""Prefixes of the published checkpoints, and those of transformers' modules since 4.52."""


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What the file says.

    Attributes:
        base: name of the base model; empty if it is not given.
        rank: of layers without another one in `ranks`.
        alpha: as `rank`.
        ranks: ranks by patterns of layer names.
        alphas: as `ranks`.
        rslora: whether scales are rank-stabilised.
        dora: whether layers have magnitudes.
        targets: layers with an adapter: a pattern of whole names, or ends of names.
        is_partial: whether only some layers that `targets` names have an adapter.
        replaced: ends of names of modules that are stored whole (`modules_to_save`).
        ties_embedding: whether a stored token embedding is also the output head of a model that ties the two.
    """

    base: str
    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rslora: bool
    dora: bool
    targets: str | Sequence[str]
    is_partial: bool
    replaced: tuple[str, ...]
    ties_embedding: bool

    def rank_of(self, layer: str) -> int:
        """Rank of a layer."""
        return int(_by_pattern(self.ranks, layer, self.rank))

    def scale_of(self, layer: str) -> float:
        """Factor of `B A x` of a layer."""
        alpha = _by_pattern(self.alphas, layer, self.alpha)
        return lora_scale(self.rank_of(layer), alpha, rslora=self.rslora)

    def wanted(self, layers: Iterable[str]) -> set[str]:
        """Those of these layers that must have an adapter."""
        if self.is_partial:
            return set()
        if isinstance(self.targets, str):
            pattern = re.compile(self.targets)
            return {name for name in layers if pattern.fullmatch(transformers_name(name))}
        ends = tuple(f".{each}" for each in self.targets)
        return {name for name in layers if f".{transformers_name(name)}".endswith(ends)}


def _by_pattern(values: Mapping[str, float], layer: str, default: float) -> float:
    """The value of the first pattern that matches the end of a name, as peft finds it."""
    for pattern, value in values.items():
        for name in (transformers_name(layer), layer):  # of every version of peft
            if re.match(rf"(.*\.)?({pattern})$", name):
                return value
    return default


def transformers_name(name: str) -> str:
    """Name of a module or weight in transformers, from the published one."""
    for ours, theirs in _TRANSFORMERS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def written_config(
    layers: Mapping[str, LowRank], *, base: str, replaced: Sequence[str], tied: bool
) -> dict[str, Any]:
    """The content of `adapter_config.json` for adapters of one kind; the most frequent rank and alpha are the default.

    Args:
        layers: by published name.
        base: name of the base model.
        replaced: modules that are stored whole, by published name.
        tied: whether token embedding and output head are one tensor.
    """
    (rank, alpha), _ = Counter((one.rank, one.alpha) for one in layers.values()).most_common(1)[0]
    first = next(iter(layers.values()))
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": first.dropout,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        # a text is a pattern for whole names: a list of endings would also match layers of the vision tower
        "target_modules": _any_of(layers),
    }
    for key, values, default in (
        ("rank_pattern", {name: one.rank for name, one in layers.items()}, rank),
        ("alpha_pattern", {name: one.alpha for name, one in layers.items()}, alpha),
    ):
        others = sorted(set(values.values()) - {default})
        if others:
            config[key] = {
                _any_of(name for name, value in values.items() if value == other): other
                for other in others
            }
    if first.rslora:
        config["use_rslora"] = True
    if first.lora_magnitude_vector is not None:
        config["use_dora"] = True
    if replaced:
        config["modules_to_save"] = [transformers_name(name) for name in replaced]
    if tied and "model.embed_tokens" in replaced:
        config["ensure_weight_tying"] = True
    return config


def _any_of(names: Iterable[str]) -> str:
    """A pattern of these names."""
    return "|".join(re.escape(transformers_name(name)) for name in names)


def read_config(path: Path) -> AdapterConfig:
    """Read the file.

    Raises:
        WeightsError: it is broken, or of an adapter of another kind.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        rank, alpha = config["r"], config["lora_alpha"]
        ignored = [
            key for key in _NOT_READ if config.get(key, "none") not in (None, "none", False, {}, [])
        ]
        is_lora = config["peft_type"] == "LORA" and rank > 0 and 0 < alpha < math.inf
        targets = config["target_modules"]
        re.compile(targets if isinstance(targets, str) else "|".join(targets))
        found = AdapterConfig(
            base=str(config.get("base_model_name_or_path") or ""),
            rank=rank,
            alpha=float(alpha),
            ranks=_patterns(config.get("rank_pattern")),
            alphas=_patterns(config.get("alpha_pattern")),
            rslora=bool(config.get("use_rslora")),
            dora=bool(config.get("use_dora")),
            targets=targets,
            is_partial=config.get("layers_to_transform") is not None
            or bool(config.get("exclude_modules")),
            replaced=tuple(map(str, config.get("modules_to_save") or ())),
            ties_embedding=bool(config.get("ensure_weight_tying")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise WeightsError(
            f"{path} is no configuration of a LoRA adapter: {error!r}", hint=HINT
        ) from error
    if not is_lora or ignored:
        raise WeightsError(
            f"{path} describes an adapter of kind {config['peft_type']} with {', '.join(ignored) or 'r and alpha'}, "
            "which is not read",
            hint="LoRA and DoRA can be used; merge another adapter into its model with peft (merge_and_unload) and "
            "give the folder of the result as --model",
        )
    return found


def _patterns(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Numbers above 0 by patterns that can be compiled."""
    found = dict(values or {})
    for pattern, value in found.items():
        re.compile(pattern)
        if not 0 < value < math.inf:
            raise ValueError(f"{pattern} has the value {value}")
    return found

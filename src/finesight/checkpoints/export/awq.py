# SPDX-License-Identifier: Apache-2.0
"""Writes a model with int4 weights of its own calibration: activation-aware scales (AWQ), and clipped ranges.

Inputs with large activations matter more. Before a layer is rounded, its columns are multiplied by scales that grow
with the mean activation, and the layer in front is divided by them, so that the network computes the same. For each
group of layers with one input, the exponent of the scales is searched that gives the least relative error of the
outputs for calibration rows. Then each group of weights gets the range of codes with the least squared error, weighted
by the mean square of its inputs.

The vision tower, the embedding, the output head and the norms stay in float16, which AWQ's kernels compute in.

Legend: K inputs, N outputs, G groups, R calibration rows.
Source: Lin et al. 2023 (arXiv 2306.00978).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.batch import IGNORE_INDEX, PackedBatch
from finesight.checkpoints.export.awq_format import Codes, quantised, quantization_config
from finesight.checkpoints.export.folder import write_small_files
from finesight.checkpoints.export.formats import ExportSource, OnStage
from finesight.errors import ConfigError, WeightsError
from finesight.model.language import TextLayer
from finesight.model.shards import SINGLE, write_tensors
from finesight.model.vl import VisionLanguageModel

GROUP_SIZE = 128

_ROWS = 512
"""Calibration rows that are kept for each layer."""

_RATIOS = tuple(step / 20 for step in range(20))
"""Exponents of the scales that are tried."""

_SHRINKS = tuple(1 - step / 20 for step in range(8))
"""Factors of a group's range that are tried."""

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("self_attn.v_proj", ("self_attn.o_proj",)),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("mlp.up_proj", ("mlp.down_proj",)),
)
"""Linear layers with one input, and the module in front of them that takes the inverse of their scales."""


@dataclass(slots=True)
class Activations:
    """Inputs of a linear layer on the calibration data.

    The first token of a sequence is left out: its activations are often a hundred times as large as all others,
    because heads that look at nothing attend to it, and would decide every choice alone.

    Attributes:
        kept: bfloat16 rows of each batch.
    """

    kept: list[Tensor] = field(default_factory=list)

    def add(self, states: Tensor, keep: int) -> None:
        """Add evenly spaced rows of the inputs `[T, K]` of a batch."""
        places = torch.linspace(1, len(states) - 1, min(keep, len(states) - 1)).long()
        self.kept.append(states.detach()[places].to(torch.bfloat16))

    def rows(self) -> Tensor:
        """float32[R, K], each of length 1: a row with large activations counts as much as another."""
        return functional.normalize(torch.cat(self.kept).float(), dim=1)


@dataclass(frozen=True, slots=True)
class AwqReport:
    """How far the quantised model is from the plain one, in answers that it was not calibrated with.

    Attributes:
        kl: mean Kullback-Leibler divergence in nats per token.
        kl_rounded: the same for weights that are rounded to nearest, without scales and clipping.
        tokens: their number.
    """

    kl: float
    kl_rounded: float
    tokens: int


def write_awq(
    source: ExportSource,
    draft: Path,
    calibration: Sequence[PackedBatch],
    heldout: Sequence[PackedBatch],
    *,
    group_size: int = GROUP_SIZE,
    on_stage: OnStage,
) -> AwqReport:
    """Write a folder with int4 weights.

    Args:
        source: what is exported.
        draft: folder to fill.
        calibration: conversations whose activations choose the scales.
        heldout: conversations on which the result is compared with the plain model.
        group_size: inputs that share a scale.
        on_stage: progress.

    Raises:
        ConfigError: a width of the decoder is no multiple of the group size.
        WeightsError: a weight is beyond the range of float16.
        OSError: a file cannot be written.
    """
    model = source.model
    check_group_size(model, group_size)
    with torch.no_grad():
        inputs = _collect(model, calibration, on_stage)
        tensors: dict[str, Tensor] = {}
        codes: dict[str, Codes] = {}
        layers = model.model.layers
        for index, layer in enumerate(layers):
            on_stage("searching scales (layers)", index, len(layers))
            assert isinstance(layer, TextLayer)
            prefix = f"model.layers.{index}."
            own = {name: inputs.pop(prefix + name) for _, (name, *_) in _GROUPS}
            plain, coded = quantise_layer(layer, own, group_size)
            tensors |= {prefix + name: value for name, value in plain.items()}
            codes |= {prefix + name: value for name, value in coded.items()}
        report = _compare(model, tensors, codes, heldout, group_size)
    _write(source, draft, tensors, codes, group_size)
    return report


def check_group_size(model: VisionLanguageModel, group_size: int) -> None:
    """Raise `ConfigError` if a width of the decoder is no multiple of the group size."""
    text = model.config.text
    for name, width in (("hidden", text.hidden_size), ("intermediate", text.intermediate_size)):
        if width % group_size:
            fitting = [size for size in (128, 64, 32) if width % size == 0]
            raise ConfigError(
                f"the {name} size {width} of the decoder is no multiple of the group size {group_size}",
                hint=f"give --group-size {fitting[0]}" if fitting else "this shape has no AWQ form",
            )


def quantise_layer(
    layer: TextLayer, inputs: Mapping[str, Activations], group_size: int
) -> tuple[dict[str, Tensor], dict[str, Codes]]:
    """Quantise the linear layers of one decoder layer.

    Args:
        layer: with plain weights, which stay as they are.
        inputs: of the first layer of each group of `_GROUPS`.
        group_size: inputs that share a scale.

    Returns:
        Values of the norms and biases, and codes of the weights, by their names in the layer.
    """
    values = {name: value.detach().float() for name, value in layer.state_dict().items()}
    squares: dict[str, Tensor] = {}
    for front, names in _GROUPS:
        rows = inputs[names[0]].rows()
        weights = [values[f"{name}.weight"] for name in names]
        heads = _Heads(
            len(values[f"{front}.weight"]), weights[0].shape[1], layer.self_attn.head_dim
        )
        scales = _best_scales(weights, rows, group_size, heads)
        for name in names:
            values[f"{name}.weight"] = values[f"{name}.weight"] * scales
            squares[name] = (rows / scales).square().mean(0)
        _divide(values, front, heads.once(scales))
    codes = {
        f"{name}.weight": _clipped(values.pop(f"{name}.weight"), square, group_size)
        for name, square in squares.items()
    }
    return values, codes


@dataclass(frozen=True, slots=True)
class _Heads:
    """How the outputs of a module become the inputs of the layers that follow it.

    They are the same, except that several query heads share the values of one key-value head: its outputs are
    repeated for each of them.

    Attributes:
        outputs: number of outputs of the module.
        inputs: K, number of inputs of each layer that follows.
        head_dim: size of a head.
    """

    outputs: int
    inputs: int
    head_dim: int

    def tied(self, values: Tensor) -> Tensor:
        """`[K]`: values `[K]`, averaged over the inputs that repeat one output."""
        if self.outputs == self.inputs:
            return values
        by_head = values.view(self.outputs // self.head_dim, -1, self.head_dim)
        return by_head.mean(1, keepdim=True).expand_as(by_head).flatten()

    def once(self, values: Tensor) -> Tensor:
        """`[outputs]`: one value of `[K]` for each output, from values that `tied` returned."""
        if self.outputs == self.inputs:
            return values
        return values.view(self.outputs // self.head_dim, -1, self.head_dim)[:, 0].flatten()


def _divide(values: dict[str, Tensor], front: str, scales: Tensor) -> None:
    """Divide the outputs of a norm or a linear layer by scales."""
    weight = values[f"{front}.weight"]
    values[f"{front}.weight"] = weight / (scales if weight.ndim == 1 else scales.unsqueeze(1))
    if f"{front}.bias" in values:
        values[f"{front}.bias"] = values[f"{front}.bias"] / scales


def _best_scales(weights: Sequence[Tensor], rows: Tensor, group_size: int, heads: _Heads) -> Tensor:
    """float32[K], the scales with the least relative error of the outputs for calibration rows `[R, K]`."""
    mean = heads.tied(rows.abs().mean(0)).clamp(min=1e-6)
    sizes = [_energy(rows, weight) for weight in weights]
    best, least = torch.ones_like(mean), float("inf")
    for ratio in _RATIOS:
        scales = mean**ratio
        scales = scales / (scales.max() * scales.min()).sqrt()
        error = sum(
            _energy(rows, _changed(weight, scales, group_size)) / size
            for weight, size in zip(weights, sizes, strict=True)
        )
        if error < least:
            best, least = scales, error
    return best


def _energy(rows: Tensor, weight: Tensor) -> float:
    """Sum of the squares of the outputs of a linear layer; never zero."""
    return float(functional.linear(rows, weight).square().sum().clamp(min=1e-12))


def _changed(weight: Tensor, scales: Tensor, group_size: int) -> Tensor:
    """The change of a weight by rounding it with scales."""
    return quantised(weight * scales, group_size).values() / scales - weight


def _clipped(weight: Tensor, square: Tensor, group_size: int) -> Codes:
    """The codes with the least squared error for each group, weighted by the mean square of its inputs.

    Args:
        weight: float32[N, K].
        square: float32[K].
        group_size: inputs that share a scale.
    """
    shape = weight.shape[0], weight.shape[1] // group_size
    best, least = torch.ones(shape), torch.full(shape, float("inf"))
    for shrink in _SHRINKS:
        change = (quantised(weight, group_size, shrink).values() - weight).square() * square
        error = change.unflatten(1, (-1, group_size)).sum(-1)
        best = torch.where(error < least, shrink, best)
        least = torch.minimum(error, least)
    return quantised(weight, group_size, best)


def _collect(
    model: VisionLanguageModel, batches: Sequence[PackedBatch], on_stage: OnStage
) -> dict[str, Activations]:
    """Inputs of the first layer of each group of every decoder layer, by its name."""
    found: dict[str, Activations] = {}
    keep = -(-_ROWS // len(batches))
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(tuple(names[0] for _, names in _GROUPS)):
            found[name] = Activations()
            hooks.append(module.register_forward_pre_hook(_adding_to(found[name], keep)))
    try:
        for done, batch in enumerate(batches):
            on_stage("calibrating (batches)", done, len(batches))
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _adding_to(inputs: Activations, keep: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(_: nn.Module, states: tuple[Tensor, ...]) -> None:
        inputs.add(states[0], keep)

    return hook


def _compare(
    model: VisionLanguageModel,
    plain: Mapping[str, Tensor],
    codes: Mapping[str, Codes],
    batches: Sequence[PackedBatch],
    group_size: int,
) -> AwqReport:
    """Compare the quantised model, and one that is rounded to nearest, with the plain one."""
    rounded = {
        name: quantised(model.get_parameter(name).float(), group_size).values() for name in codes
    }
    changed = {**plain, **{name: code.values() for name, code in codes.items()}}
    kl = kl_rounded = 0.0
    tokens = 0
    others = [_with(model, values) for values in (changed, rounded)]
    for batch in batches:
        rows = (batch.labels[1:] != IGNORE_INDEX).nonzero().flatten()
        wanted = _log_probabilities(model, batch, rows)
        sums = [
            float(
                functional.kl_div(
                    _log_probabilities(other, batch, rows), wanted, log_target=True, reduction="sum"
                )
            )
            for other in others
        ]
        kl, kl_rounded, tokens = kl + sums[0], kl_rounded + sums[1], tokens + len(wanted)
    return AwqReport(kl / tokens, kl_rounded / tokens, tokens)


def _with(model: VisionLanguageModel, changed: Mapping[str, Tensor]) -> VisionLanguageModel:
    """The model with other values of some parameters, in its dtype; the rest is shared."""
    other = VisionLanguageModel.without_memory(model.config, attention=model.attention)
    values = {name: value.to(model.dtype) for name, value in changed.items()}
    other.load_state_dict({**model.state_dict(), **values}, strict=True, assign=True)
    return other.eval()


def _log_probabilities(model: VisionLanguageModel, batch: PackedBatch, rows: Tensor) -> Tensor:
    """float32[rows, V], of the tokens after some rows."""
    return model.logits(model(batch)[rows], float32=True).log_softmax(-1)


def _write(
    source: ExportSource,
    draft: Path,
    changed: Mapping[str, Tensor],
    codes: Mapping[str, Codes],
    group_size: int,
) -> None:
    """Write weights, `config.json` and the small files."""
    tensors: dict[str, Tensor] = {}
    for name, value in source.model.state_dict().items():
        if name in codes:
            stem = name.removesuffix("weight")
            tensors |= {f"{stem}{part}": one for part, one in codes[name].stored().items()}
        else:
            tensors[name] = _half(name, changed.get(name, value))
    write_tensors(tensors, draft / SINGLE)
    config = source.model.config.model_copy(update={"dtype": "float16", "quantisation": None})
    values = {**config.to_hf(), "quantization_config": quantization_config(group_size)}
    (draft / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    write_small_files(source.folder, draft, config)


def _half(name: str, value: Tensor) -> Tensor:
    half = value.to(torch.float16)
    if not bool(half.isfinite().all()):
        raise WeightsError(
            f"weight {name} has a value of {float(value.abs().max()):g}, beyond the range of float16",
            hint="AWQ stores what it does not quantise in float16: use --to gguf --weights q4_0 instead",
        )
    return half

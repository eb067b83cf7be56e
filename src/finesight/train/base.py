# SPDX-License-Identifier: Apache-2.0
"""The network of a run before its first step: the format of the frozen weights, and the adapters.

By default all weights are float32, and a checkpoint of the run has all of them. With `lora.base` the weights under the
adapters are loaded in a smaller format at every start, also of a resumed run, and only what is trained is in the
checkpoints. Weights that an optimizer rule trains are float32 in both cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from finesight.checkpoints.export.plain import plain_model
from finesight.checkpoints.packed import load_packed
from finesight.config.load import read_toml, validate
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError, DataError
from finesight.kernels.formats import unpacked_rows
from finesight.model.head import OutputHead
from finesight.model.init import init_weights
from finesight.model.lora import add_lora
from finesight.model.packed import PackedHead, Weights
from finesight.model.packed_linear import PackedLinear
from finesight.model.shards import some_of
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model
from finesight.train.checkpoint import checkpoints
from finesight.train.optim import OptimConfig, rule_of
from finesight.train.recipe import LoraSection, TrainRecipe

__all__ = ["adapt", "base_folder", "has_loaded_base", "lora_of", "new_model", "with_trained"]


def new_model(recipe: TrainRecipe, config: ModelConfig) -> VisionLanguageModel:
    """The network of a recipe on the CPU: with random weights, or with those of `lora.base`; and with its adapters.

    Raises:
        ConfigError: `lora.base` does not fit the other settings, or a target of the adapters matches no layer.
        WeightsError: the weights of the base cannot be used.
    """
    if has_loaded_base(recipe.lora):
        model = _loaded(recipe)
    else:
        model = VisionLanguageModel(config)
        init_weights(model, seed=recipe.model.seed)
    if recipe.lora is not None:
        adapt(model, recipe.lora, seed=recipe.model.seed)
    _widen_trained(model, recipe.optim)
    return model.train()


def has_loaded_base(lora: LoraSection | None) -> bool:
    """Whether the weights under the adapters are loaded at every start."""
    return lora is not None and lora.base != "float32"


def adapt(model: VisionLanguageModel, lora: LoraSection, *, seed: int = 0) -> None:
    """Give a model the adapters of a recipe, in place.

    Raises:
        ConfigError: a target matches no layer.
    """
    parts = [(one.targets, one.rank or lora.rank, one.alpha or lora.alpha) for one in lora.group]
    for index, (targets, rank, alpha) in enumerate([*parts, (lora.targets, lora.rank, lora.alpha)]):
        add_lora(
            model,
            targets,
            rank=rank,
            alpha=alpha,
            seed=seed + index,
            dropout=lora.dropout,
            dora=lora.dora,
            rslora=lora.rslora,
        )


def lora_of(run_folder: Path) -> LoraSection:
    """The section [lora] of the recipe that a run has stored.

    Raises:
        ConfigError: it cannot be read, or there is none.
    """
    path = run_folder / "config.toml"
    hint = "the recipe of the run has rank, alpha and targets of its adapters: copy it to this file"
    try:
        values = read_toml(path).get("lora")
    except ConfigError as error:
        raise ConfigError(error.message, hint=hint) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no [lora], but the run has adapters", hint=hint)
    return validate(values, LoraSection, where=f"{path}: [lora]")


def base_folder(recipe: TrainRecipe) -> Path:
    """The model folder that `lora.base` is loaded from.

    Raises:
        ConfigError: the recipe names none.
    """
    assert recipe.lora is not None
    folder, base = recipe.model.start_from, recipe.lora.base
    if (
        folder is None
        or not (folder / "config.json").is_file()
        or checkpoints(folder / "checkpoints")
    ):
        found = "is not set" if folder is None else f"= {str(folder)!r} is no model folder"
        raise ConfigError(
            f"lora.base = {base!r} needs the weights of a model, but model.start_from {found}",
            hint="set model.start_from to the folder of the base model; export a run first: `finesight export`",
        )
    return folder


def _loaded(recipe: TrainRecipe) -> VisionLanguageModel:
    """The model in the format of `lora.base`; what is not packed is in the precision of the run."""
    assert recipe.lora is not None
    folder, base = base_folder(recipe), recipe.lora.base
    dtype = getattr(torch, recipe.run.precision)
    if base == "bfloat16":
        if dtype != torch.bfloat16:
            raise ConfigError(
                f"lora.base = 'bfloat16' and run.precision = {recipe.run.precision!r} differ",
                hint="set both to bfloat16 or to float32",
            )
        return load_model(folder, dtype=dtype)
    weights: Weights = "int4" if base == "int4" else "int8"
    model = load_packed(folder, weights)
    model.model.fused = (
        None  # for steps over a KV cache, whose pointers a move to another device would break
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        model.lm_head = _plain_head(model.lm_head, model, dtype)
    for layer in model.modules():
        if isinstance(layer, PackedLinear):
            layer.is_exact = dtype == torch.float32
    return model


def _plain_head(head: OutputHead, model: VisionLanguageModel, dtype: torch.dtype) -> OutputHead:
    """The output head with plain weights, which the loss reads: those of the packed one, or the embedding."""
    assert isinstance(head, PackedHead)
    text, embedding = model.config.text, model.model.embed_tokens
    if text.tie_word_embeddings:
        return OutputHead(text.hidden_size, text.vocab_size, tied_to=embedding)
    packed = head.packed
    rows = unpacked_rows(packed.weight, packed.out_features, packed.in_features)
    with torch.device("meta"):
        plain = OutputHead(text.hidden_size, text.vocab_size, tied_to=None)
    plain.weight = nn.Parameter(torch.cat([part.to(dtype) for part in rows]))
    return plain


def _widen_trained(model: VisionLanguageModel, optim: OptimConfig) -> None:
    """Bring the parameters that the rules train to float32: steps are smaller than the rounding of bfloat16."""
    for name, parameter in model.named_parameters():
        rule = rule_of(f"model.{name}", parameter, optim)
        if rule is not None and rule.algorithm != "frozen":
            parameter.data = parameter.data.float()


def with_trained(
    folder: Path, lora: LoraSection, weights: Mapping[str, Tensor], source: Path
) -> VisionLanguageModel:
    """A model with plain weights of `lora.base`'s folder, and with the adapters and other weights that a run trained.

    The base is not rounded as in training. If the folder itself is packed, its weights are the values of its codes.

    Args:
        folder: the base model.
        lora: adapters of the run.
        weights: what the run trained, by name.
        source: the run, for messages.

    Raises:
        DataError: the weights do not fit.
    """
    model = plain_model(folder)
    adapt(model, lora)
    own = dict(model.named_parameters())
    expected = {name for name in own if ".lora_" in name}
    wrong = sorted(
        (expected - weights.keys())
        | {name for name, value in weights.items() if name not in own or own[name].shape != value.shape}
    )  # fmt: skip
    if wrong:
        raise DataError(
            f"the weights of {source} do not fit {folder} with the adapters of its recipe: {some_of(wrong)}",
            hint="use the run's own recipe and base model",
        )
    for name, value in weights.items():
        own[name].data = value.float()
    return model

# SPDX-License-Identifier: Apache-2.0
"""Start or resume a training run.

A run starts from random weights, from a folder of safetensors, or from the averaged weights of another run. If its
folder has a checkpoint, it resumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from finesight import files
from finesight.checkpoints.adapters import read_adapter
from finesight.checkpoints.small import ADAPTER
from finesight.config.load import read_toml, validate, write_recipe
from finesight.config.model import ModelConfig, TextConfig
from finesight.data.dense import DenseVocabulary
from finesight.data.loader import PackStream
from finesight.errors import ConfigError, DataError
from finesight.inputs import shown
from finesight.model.device import checked_device
from finesight.model.lora import lora_layers
from finesight.model.shards import list_tensors, read_tensors, some_of
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from finesight.train.align import Alignment
from finesight.train.base import has_loaded_base, new_model
from finesight.train.checkpoint import checkpoints, final_weights, load_fitting
from finesight.train.contrastive import Contrastive
from finesight.train.dense import DenseSupervision
from finesight.train.epochs import with_steps
from finesight.train.language import KeepLanguage
from finesight.train.loop import MODEL, Trainer, of_model
from finesight.train.objective import NextToken, Objective
from finesight.train.parallel import Ranks, check_heads, join
from finesight.train.recipe import SftRecipe, TrainRecipe


def start(recipe: TrainRecipe) -> Trainer:
    """Make a trainer: resumed, started from other weights, or new. The run folder is made after all checks.

    Started by torchrun, every rank calls it; it joins them.

    Raises:
        ConfigError: the sizes of [parallel] do not fit the number of ranks or the model, the device or a folder does
            not exist, or the run to resume has other settings of the model, the data, the losses or the optimizers.
        DataError: `start_from` is no folder of safetensors, no exported parts and no run with a checkpoint, weights do
            not fit the model, or a source has no data.
        WeightsError: the weights in `start_from` cannot be used.
    """
    ranks = join(recipe.parallel, recipe.run.device)
    with ranks.watched():
        return _start(recipe, ranks)


def _start(recipe: TrainRecipe, ranks: Ranks) -> Trainer:
    device = checked_device(recipe.run.device)
    recipe = recipe.model_copy(update={"run": recipe.run.model_copy(update={"device": device})})
    _check_folder("model.folder", recipe.model.folder)
    if checkpoints(recipe.run.folder / "checkpoints"):
        _check_unchanged(recipe, "lora")  # adapters of another shape would not load
    processor = Processor.from_folder(recipe.model.folder)
    if isinstance(recipe, SftRecipe):
        recipe = with_steps(recipe, processor)
    check_heads(recipe.parallel, processor.model_config)
    _check_ranks(recipe)
    model = _model(recipe, processor.model_config, ranks)
    trainer = Trainer(
        model,
        objectives(recipe, processor),
        PackStream(
            recipe.data,
            recipe.model.folder,
            rank=ranks.pack_index,
            num_ranks=ranks.num_packs,
            packs_per_step=recipe.run.accumulate,
        ),
        optim=recipe.optim,
        schedule=recipe.schedule,
        run=recipe.run,
        saves_frozen=not has_loaded_base(recipe.lora),
        ranks=ranks,
    )
    _check_frozen(trainer, recipe)
    is_resumed = trainer.resume()
    is_loaded = is_resumed or has_loaded_base(recipe.lora)
    if not is_loaded and recipe.model.start_from is not None:
        _check_folder("model.start_from", recipe.model.start_from)
        _start_from(trainer, recipe.model.start_from, recipe.model.folder)
    trainer.check_data()
    if is_resumed:
        _check_unchanged(recipe, "model", "data", "loss", "optim")
    if ranks.is_first:
        recipe.run.folder.mkdir(parents=True, exist_ok=True)
        with files.whole_file(recipe.run.folder / "config.toml", error=DataError) as draft:
            write_recipe(recipe, draft)
    return trainer


def objectives(recipe: TrainRecipe, processor: Processor) -> list[Objective]:
    """Objectives of the losses with a weight above 0.

    Args:
        recipe: a recipe with at least one such loss.
        processor: processor of the model.
    """
    loss, found = recipe.loss, list[Objective]()
    vocabulary = DenseVocabulary.build(recipe.data.characters, recipe.data.objects)
    if loss.tokens:
        found.append(
            NextToken(loss.tokens, balance=loss.balance, reaches_vision=loss.reaches_vision)
        )
    if loss.align:
        found.append(Alignment(processor.tokenizer, vocabulary, loss.align))
    contrastive, dense = heads(recipe, processor.model_config.text)
    if contrastive is not None:
        found.append(contrastive)
    if loss.language:
        found.append(KeepLanguage(loss.language))
    if dense is not None:
        found.append(dense)
    return found


def heads(
    recipe: TrainRecipe, text: TextConfig
) -> tuple[Contrastive | None, DenseSupervision | None]:
    """The objectives with weights of their own, for a decoder of this shape; None if their losses have weight 0."""
    loss, contrastive = recipe.loss, None
    if loss.contrastive:
        seed = recipe.model.seed
        contrastive = Contrastive(text, recipe.contrastive, loss.contrastive, seed=seed)
    dense = {"characters": loss.characters, "objects": loss.objects, "boxes": loss.boxes}
    parts = {name: weight for name, weight in dense.items() if weight}
    if not parts:
        return contrastive, None
    vocabulary = DenseVocabulary.build(recipe.data.characters, recipe.data.objects)
    with torch.random.fork_rng(devices=[]):  # the heads depend on the seed alone
        torch.manual_seed(recipe.model.seed)
        supervision = DenseSupervision(
            text.hidden_size,
            num_characters=len(vocabulary.characters) + 2,
            num_objects=len(vocabulary.objects) + 1,
            parts=parts,
        )
    return contrastive, supervision


_MAY_CHANGE = frozenset({"data.workers", "data.executor"})
"""Settings of a run to resume that do not change its packs."""


def _check_unchanged(recipe: TrainRecipe, *sections: str) -> None:
    """Raise `ConfigError` if a run to resume has other settings in these sections; `run` and `schedule` may change."""
    path = recipe.run.folder / "config.toml"
    if not path.is_file():
        return
    before = validate(
        read_toml(path), type(recipe), where=str(path)
    )  # missing keys of a new version get defaults
    old_values, new_values = (
        one.model_dump(mode="json", exclude_none=True) for one in (before, recipe)
    )
    for section in sections:
        old, new = old_values.get(section, {}), new_values.get(section, {})
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key) and f"{section}.{key}" not in _MAY_CHANGE:
                raise ConfigError(
                    f"the run in {recipe.run.folder} has {section}.{key} = {shown(old.get(key))}, "
                    f"the recipe has {shown(new.get(key))}",
                    hint="a resumed run keeps its settings except those of run and schedule; "
                    f"start a new one: another run.folder, and model.start_from = {str(recipe.run.folder)!r}",
                )


def _check_frozen(trainer: Trainer, recipe: TrainRecipe) -> None:
    """Raise `ConfigError` if a weight is trained that an objective takes as its reference."""
    trained = [
        name
        for name, value in trainer.model.named_parameters()
        if value.requires_grad and not name.startswith("visual.") and ".lora_" not in name
    ]
    embedding = [name for name in trained if name == "model.embed_tokens.weight"]
    for loss, found in (("language", trained), ("align", embedding)):
        if getattr(recipe.loss, loss) and found:
            raise ConfigError(
                f"loss.{loss} needs the decoder's own weights unchanged, but {some_of(found)} are trained",
                hint='freeze them: end the [[optim.group]] rules with match = "*", algorithm = "frozen"',
            )


def _model(recipe: TrainRecipe, config: ModelConfig, ranks: Ranks) -> VisionLanguageModel:
    """The network; without memory if all its weights are read, a part on each of several ranks."""
    is_read = recipe.model.start_from or checkpoints(recipe.run.folder / "checkpoints")
    if ranks.mesh is None or recipe.lora is not None or not is_read:
        return new_model(recipe, config)
    return VisionLanguageModel.without_memory(config).train()


def _check_ranks(recipe: TrainRecipe) -> None:
    """Raise `ConfigError` for what several ranks cannot train."""
    sizes = recipe.parallel
    if sizes.num_ranks > 1 and has_loaded_base(recipe.lora):
        assert recipe.lora is not None
        raise ConfigError(
            f"lora.base = {recipe.lora.base!r} with {sizes.num_ranks} ranks: only float32 weights are divided",
            hint='set lora.base = "float32" with parallel.shard, or train in one process',
        )
    if recipe.loss.contrastive and sizes.sequence * sizes.tensor > 1:
        raise ConfigError(
            "loss.contrastive with parallel.sequence or parallel.tensor: it trains the vision tower, which they do "
            "not divide",
            hint="use parallel.shard or parallel.data",
        )


def _check_folder(key: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(
            f"{key} = {str(folder)!r}: there is no such folder",
            hint=f"folders of a recipe are relative to {Path.cwd()}; --set {key}=FOLDER uses another",
        )


def _start_from(trainer: Trainer, source: Path, model_folder: Path) -> None:
    """Load weights of a model folder, of exported parts, or of a run (with its objectives' weights, if they fit)."""
    if checkpoints(source / "checkpoints"):
        saved = final_weights(source, trainer.division)
        load_fitting(trainer.model, _with_adapters(trainer, of_model(saved), source), source)
        _take_objectives(trainer, saved, source)
    elif (source / ADAPTER).is_dir():
        load_fitting(trainer.model, _of_parts(trainer, source, model_folder), source)
    else:
        loaded = load_model(source, dtype=_dtype_to_load(trainer, source)).state_dict()
        load_fitting(trainer.model, _with_adapters(trainer, loaded, source), source)
    trainer.average.restart()


def _dtype_to_load(trainer: Trainer, source: Path) -> torch.dtype:
    """float32; for several ranks that of the files, which then stay mapped while each rank copies its parts."""
    stored = {entry.dtype for entry in list_tensors(source).values()}
    is_mapped = trainer.division is not None and len(stored) == 1
    return stored.pop() if is_mapped else torch.float32


def _of_parts(trainer: Trainer, parts: Path, model_folder: Path) -> dict[str, Tensor]:
    """Weights of exported parts over those of the model folder, which holds the decoder without adapters."""
    adapter = read_adapter(parts / ADAPTER)
    layers = lora_layers(trainer.model)
    known = [name for name in adapter.layers if name in layers]
    theirs = ", ".join(sorted({f"{adapter.layers[name].scale:g}" for name in known}))
    ours = sorted({layers[name].scale for name in known})
    if any(adapter.layers[name].scale != layers[name].scale for name in known):
        raise DataError(
            f"the adapter in {parts} has the scale {theirs}, those of the recipe {ours}",
            hint="set lora.rank and lora.alpha to those in its adapter_config.json",
        )
    stored = list_tensors(parts)
    tower = dict(read_tensors(stored, stored, torch.device("cpu"), torch.float32))
    return {
        **load_model(model_folder, dtype=torch.float32).state_dict(),
        **tower,
        **adapter.parameters(),
    }


def _with_adapters(trainer: Trainer, weights: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The weights, with those of new adapters if the source has no adapters."""
    new = {name: value for name, value in trainer.model.state_dict().items() if ".lora_" in name}
    if not new or any(".lora_" in name for name in weights):
        return weights
    for name in new:
        layer = name.removesuffix(".lora_magnitude_vector")
        if layer != name:  # it was made of the random initial weight
            new[name] = weights[f"{layer}.weight"].float().norm(dim=1)
    trainer.notes.append(
        f"{source}: no adapters; {len(lora_layers(trainer.model))} new ones start at zero"
    )
    return {**weights, **new}


def _take_objectives(trainer: Trainer, saved: dict[str, Tensor], source: Path) -> None:
    """Load the weights of objectives that fit; note which are ignored and which start from random weights."""
    wanted, others = (
        {name: value for name, value in tensors.items() if not name.startswith(f"{MODEL}.")}
        for tensors in (trainer.weights.state_dict(), saved)
    )
    fitting = {
        name: value
        for name, value in others.items()
        if name in wanted and wanted[name].shape == value.shape
    }
    trainer.weights.load_state_dict(fitting, strict=False)
    if ignored := sorted(others.keys() - fitting.keys()):
        trainer.notes.append(f"{source}: ignored {_groups(ignored)}, which this run does not have")
    if new := sorted(wanted.keys() - fitting.keys()):
        trainer.notes.append(
            f"{source}: no weights for {_groups(new)}, which start from random weights"
        )


def _groups(names: Sequence[str]) -> str:
    """Number of tensors of each objective, as in "6 tensors of dense"."""
    counts = Counter(name.partition(".")[0] for name in names)
    return ", ".join(f"{number} tensors of {group}" for group, number in counts.items())

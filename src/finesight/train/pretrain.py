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
from finesight.config.load import read_toml, validate, write_recipe
from finesight.config.model import ModelConfig, TextConfig
from finesight.data.dense import DenseVocabulary
from finesight.data.loader import PackStream
from finesight.errors import ConfigError, DataError
from finesight.inputs import shown
from finesight.model.device import checked_device
from finesight.model.shards import some_of
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.train.align import Alignment
from finesight.train.base import has_loaded_base, new_model
from finesight.train.checkpoint import BEST_FILE, checkpoints
from finesight.train.contrastive import Contrastive
from finesight.train.dense import DenseSupervision
from finesight.train.epochs import with_steps
from finesight.train.initial import check_folder, load_weights
from finesight.train.language import KeepLanguage
from finesight.train.loop import MODEL, Trainer
from finesight.train.objective import NextToken, Objective
from finesight.train.parallel import Ranks, check_heads, join
from finesight.train.post_training import check_reference, policy_trainer, reference_model
from finesight.train.preference import Preference
from finesight.train.recipe import (
    DpoRecipe,
    GrpoRecipe,
    SftRecipe,
    SupervisedRecipe,
    TrainRecipe,
)
from finesight.train.rollouts import RolloutFunctions


def start(recipe: TrainRecipe, functions: RolloutFunctions | None = None) -> Trainer:
    """Make a trainer: resumed, started from other weights, or new. The run folder is made after all checks.

    Started by torchrun, every rank calls it; it joins them.

    Args:
        recipe: of the run.
        functions: sample and reward the answers of a recipe of kind grpo.

    Raises:
        ConfigError: the sizes of [parallel] do not fit the number of ranks or the model, the device or a folder does
            not exist, or the run to resume has other settings of the model, the data, the losses or the optimizers.
        DataError: `start_from` is no folder of safetensors, no exported parts and no run with a checkpoint, weights do
            not fit the model, or a source has no data.
        WeightsError: the weights in `start_from` cannot be used.
    """
    ranks = join(recipe.parallel, recipe.run.device)
    with ranks.watched():
        return _start(recipe, functions, ranks)


def _start(recipe: TrainRecipe, functions: RolloutFunctions | None, ranks: Ranks) -> Trainer:
    device = checked_device(recipe.run.device)
    recipe = recipe.model_copy(update={"run": recipe.run.model_copy(update={"device": device})})
    check_folder("model.folder", recipe.model.folder)
    if checkpoints(recipe.run.folder / "checkpoints"):
        _check_unchanged(recipe, "lora")  # adapters of another shape would not load
    processor = Processor.from_folder(recipe.model.folder)
    if isinstance(recipe, SftRecipe):
        recipe = with_steps(recipe, processor)
    check_heads(recipe.parallel, processor.model_config)
    _check_ranks(recipe)
    trainer = _trainer(recipe, processor, functions, ranks)
    _check_frozen(trainer, recipe)
    is_resumed = trainer.resume()
    is_loaded = is_resumed or has_loaded_base(recipe.lora)
    if not is_loaded and recipe.model.start_from is not None:
        check_folder("model.start_from", recipe.model.start_from)
        _start_from(trainer, recipe.model.start_from, recipe.model.folder)
    trainer.check_data()
    if is_resumed:
        _check_unchanged(
            recipe, "model", "data", "loss", "contrastive", "optim", "held_back", "dpo", "grpo"
        )
    if ranks.is_first:
        recipe.run.folder.mkdir(parents=True, exist_ok=True)
        if not is_resumed:  # of a run without a checkpoint, perhaps of another recipe
            (recipe.run.folder / BEST_FILE).unlink(missing_ok=True)
        with files.whole_file(recipe.run.folder / "config.toml", error=DataError) as draft:
            write_recipe(recipe, draft)
    return trainer


def _trainer(
    recipe: TrainRecipe, processor: Processor, functions: RolloutFunctions | None, ranks: Ranks
) -> Trainer:
    """The trainer of a recipe before its weights are loaded."""
    model = _model(recipe, processor.model_config, ranks)
    if isinstance(recipe, GrpoRecipe):
        assert functions is not None
        return policy_trainer(recipe, processor, model, functions, ranks)
    return Trainer(
        model,
        objectives(recipe, processor, model),
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


def objectives(
    recipe: SupervisedRecipe | DpoRecipe, processor: Processor, model: VisionLanguageModel
) -> list[Objective]:
    """Objectives of the losses with a weight above 0.

    Args:
        recipe: a recipe with at least one such loss.
        processor: processor of the model.
        model: the model.
    """
    if isinstance(recipe, DpoRecipe):
        has_copy = recipe.dpo.reference == "copy"
        reference = reference_model(recipe, processor, model) if has_copy else None
        return [Preference(recipe.dpo, reference)]
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
    recipe: SupervisedRecipe, text: TextConfig
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


_MAY_CHANGE = frozenset({"data.workers", "data.executor", "held_back.patience"})
"""Settings of a run to resume that change neither its packs nor its losses."""


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
    if isinstance(recipe, (DpoRecipe, GrpoRecipe)):
        check_reference(trainer.model, recipe, trained)
        return
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
    if isinstance(recipe, (DpoRecipe, GrpoRecipe)):
        return  # the recipe itself refuses sizes that do not fit its kind
    if recipe.loss.contrastive and sizes.sequence * sizes.tensor > 1:
        raise ConfigError(
            "loss.contrastive with parallel.sequence or parallel.tensor: it trains the vision tower, which they do "
            "not divide",
            hint="use parallel.shard or parallel.data",
        )


def _start_from(trainer: Trainer, source: Path, model_folder: Path) -> None:
    """Load weights of a model folder, of exported parts, or of a run (with its objectives' weights, if they fit)."""
    saved = load_weights(
        trainer.model, source, model_folder, notes=trainer.notes, division=trainer.division
    )
    if saved is not None:
        _take_objectives(trainer, saved, source)
    trainer.average.restart()


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

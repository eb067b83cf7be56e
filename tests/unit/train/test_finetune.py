# SPDX-License-Identifier: Apache-2.0
"""Defaults of fine-tuning follow from the model and its data; epochs become steps."""

import numpy as np
import pytest

from finesight.config.load import overridden, read_recipe, write_recipe
from finesight.config.sizes import named_config
from finesight.data.loader import LoaderConfig, PackStream, read_packs
from finesight.data.mixture import SourceConfig
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, RecordInvalid
from finesight.processor.processor import Processor
from finesight.train.epochs import measure, with_steps
from finesight.train.finetune import SftChoices, default_epochs, preset_for, sft_recipe
from finesight.train.optim import assign
from finesight.train.recipe import HeldBackSection, TrainRecipe

META = {"split": "train", "generator": "test"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    random = np.random.default_rng(0)
    records = [
        Record.of_picture(
            id=f"r-{number}",
            image=random.integers(0, 255, (56, 84, 3), dtype=np.uint8),
            turns=(("What is it?", "word " * (number % 7 + 1)),),
            meta=META,
        )
        for number in range(60)
    ]
    write_shard(folder / "a.tar", records)
    return folder


def recipe(shards, tiny_model_folder, out="run", **choices):
    sources = (SourceConfig(path=shards),)
    held_back = HeldBackSection(path=shards)
    return sft_recipe(tiny_model_folder, out, sources, held_back, SftChoices(**choices))


def test_the_recipe_is_read_again_from_its_toml(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder)
    write_recipe(made, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml", TrainRecipe) == made


def test_all_weights_of_the_decoder_are_trained_on_request(shards, tiny_model_folder):
    made = recipe(shards, tiny_model_folder, is_full=True)
    assert made.lora is None
    names = {
        "model.visual.blocks.0.attn.qkv.weight": "frozen",
        "model.visual.merger.mlp.0.weight": "adamw",
        "model.model.layers.0.mlp.up_proj.weight": "adamw",
        "model.model.embed_tokens.weight": "adamw",
    }
    weight = np.zeros((2, 2))
    found = {
        name: rule.algorithm
        for rule, members in assign([(name, weight) for name in names], made.optim)
        for name in members
    }
    assert found == names


def test_by_default_the_decoder_gets_adapters_and_the_tower_is_frozen(shards, tiny_model_folder):
    made = recipe(shards, tiny_model_folder, lora_rank=4)
    assert (made.lora.rank, recipe(shards, tiny_model_folder).lora.rank) == (4, 16)
    assert [(rule.match, rule.algorithm) for rule in made.optim.group] == [
        ("model.visual.merger.*", "adamw"),
        ("model.visual.*", "frozen"),
        ("model.model.layers.*.lora_?.weight", "adamw"),
        ("*", "frozen"),
    ]


@pytest.mark.parametrize(
    ("size", "rate", "trains_merger"),
    [("3b", 2e-4, True), ("7b", 1e-4, False), ("72b", 1e-4, False)],
)
def test_large_models_get_lower_rates_and_keep_their_merger(size, rate, trains_merger):
    preset = preset_for(named_config(size))
    assert (preset.rate, bool(preset.merger_rate)) == (rate, trains_merger)


def test_choices_and_overrides_change_the_recipe(shards, tiny_model_folder):
    made = recipe(shards, tiny_model_folder, rate=5e-4, seed=9, minutes=3.0)
    assert made.optim.group[2].lr == 5e-4
    assert made.optim.group[0].lr == pytest.approx(2.5e-4)
    assert (made.data.seed, made.model.seed, made.schedule.total_minutes) == (9, 9, 3.0)
    changed = overridden(made, ["data.jitter=0", "run.log_every=7"])
    assert (changed.data.jitter, changed.run.log_every) == (0, 7)
    with pytest.raises(ConfigError, match=r"--set: unknown key data\.jiter"):
        overridden(made, ["data.jiter=0"])


@pytest.mark.parametrize(("records", "epochs"), [(20, 10.0), (180, 5.6), (500, 2.0), (10_000, 1.0)])
def test_small_data_sets_are_repeated(records, epochs):
    assert default_epochs(records) == epochs


def test_steps_of_an_epoch_draw_every_record_about_once(shards, tiny_model_folder):
    data = LoaderConfig(source=(SourceConfig(path=shards),), pack_tokens=1024, workers=0)
    lengths = measure(data, Processor.from_folder(tiny_model_folder))
    steps = round(lengths.steps_per_epoch(data, 1))
    packs = read_packs(PackStream(data, tiny_model_folder))
    drawn = sum(next(packs).num_samples for _ in range(steps))
    assert drawn == pytest.approx(60, rel=0.12)
    one, two = (lengths.steps_per_epoch(data, accumulate) for accumulate in (1, 2))
    assert two == pytest.approx(one / 2)


def test_an_epoch_counts_the_first_source_only(shards, tiny_model_folder):
    data = LoaderConfig(source=(SourceConfig(path=shards),), pack_tokens=256)
    half = data.model_copy(update={"source": (*data.source, SourceConfig(path=shards))})
    processor = Processor.from_folder(tiny_model_folder)
    alone, mixed = (measure(each, processor).steps_per_epoch(each, 1) for each in (data, half))
    assert mixed == pytest.approx(2 * alone)


def test_an_epoch_of_sources_that_are_weighed_by_tokens(shards, tiny_model_folder, tmp_path):
    """A source of short records is drawn more often, so its epoch has fewer steps."""
    image = np.zeros((56, 84, 3), dtype=np.uint8)
    turns = (("What is it?", "word " * 60),)
    write_shard(
        tmp_path / "a.tar",
        [Record.of_picture(id=f"l-{n}", image=image, turns=turns, meta=META) for n in range(8)],
    )
    data = LoaderConfig(source=(SourceConfig(path=shards), SourceConfig(path=tmp_path)))
    processor = Processor.from_folder(tiny_model_folder)
    short, long = (
        measure(data.model_copy(update={"source": (one,)}), processor).tokens for one in data.source
    )
    lengths = measure(data.model_copy(update={"weigh_by": "tokens"}), processor)
    assert lengths.share == pytest.approx(long / (short + long))
    assert lengths.share > 0.6
    assert lengths.tokens == pytest.approx(2 * short * long / (short + long))


def test_a_record_that_cannot_be_encoded_is_left_to_the_loader(tiny_model_folder, tmp_path):
    """`data.skip_share` could not allow it otherwise: lengths are measured before the training starts."""
    thin, plain = (
        Record.of_picture(
            id=name,
            image=np.zeros((28, width, 3), dtype=np.uint8),
            turns=(("What is it?", "word"),),
            meta=META,
        )
        for name, width in (("thin", 9000), ("plain", 28))
    )
    processor = Processor.from_folder(tiny_model_folder)
    for name, records in (("some", [thin, plain, thin]), ("none", [thin])):
        write_shard(tmp_path / name / "a.tar", records)
    some, none = (
        LoaderConfig(source=(SourceConfig(path=tmp_path / name),)) for name in ("some", "none")
    )
    assert measure(some, processor).num_records == 3
    with pytest.raises(RecordInvalid, match="thin"):
        measure(none, processor)


def test_epochs_replace_steps_and_keep_the_shares_of_the_phases(shards, tiny_model_folder):
    made = recipe(shards, tiny_model_folder)
    schedule = {"total_steps": 100, "warmup_steps": 10, "decay_steps": 50}
    scheduled = made.model_copy(
        update={"epochs": 40.0, "schedule": made.schedule.model_copy(update=schedule)}
    )
    found = with_steps(scheduled, Processor.from_folder(tiny_model_folder))
    steps = found.schedule.total_steps
    assert found.epochs is None
    assert steps > 50
    assert found.schedule.warmup_steps == int(0.1 * steps)
    assert found.schedule.decay_steps == int(0.5 * steps)


def test_epochs_and_minutes_are_refused_together(shards, tiny_model_folder):
    made = recipe(shards, tiny_model_folder, minutes=2.0).model_copy(update={"epochs": 3.0})
    with pytest.raises(ConfigError, match=r"epochs = 3 and schedule\.total_minutes = 2"):
        with_steps(made, Processor.from_folder(tiny_model_folder))

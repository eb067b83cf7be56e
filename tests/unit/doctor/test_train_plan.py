# SPDX-License-Identifier: Apache-2.0
"""The plan of a training has the memory of a real step of the same shape, and the shapes of every release."""

from __future__ import annotations

import pytest
import torch

from finesight.config.load import validate
from finesight.config.sizes import named_config
from finesight.doctor.memory_trace import MemoryTrace
from finesight.doctor.train_plan import pack_shape, plan_training, planned_config
from finesight.doctor.train_step import PackShape, fake_model, step_memory, traced_step
from finesight.errors import ConfigError
from finesight.train.parallel import ParallelSection
from finesight.train.recipe import PretrainRecipe, TrainRecipe
from tests.support.model_cases import small_config

LORA = {"match": "model.*.lora_*", "algorithm": "adamw", "lr": 1e-3}
PATCHES = {"match": "model.visual.patch_embed.*", "algorithm": "adamw", "lr": 1e-3}
FROZEN = {"match": "*", "algorithm": "frozen"}
ALL = {"match": "*", "algorithm": "adamw", "lr": 1e-3}


def recipe(*, groups, folder="none", lora=None, checkpointing=False, **data):
    values = {
        "kind": "pretrain",
        "model": {"folder": folder, "start_from": folder},
        "data": {"source": [{"path": "none"}], **data},
        "optim": {"group": groups},
        "schedule": {"total_steps": 1, "warmup_steps": 0, "decay_steps": 0},
        "run": {"folder": "none", "gradient_checkpointing": checkpointing},
    }
    if lora is not None:
        values["lora"] = lora
    return validate(values, PretrainRecipe, where="test")


def deep_config():
    config = small_config(num_hidden_layers=6)
    vision = config.vision.model_copy(update={"depth": 5, "full_attention_layers": (1, 3)})
    return config.model_copy(update={"vision": vision})


CASES = {
    "all": {"groups": [ALL]},
    "all, checkpointing": {"groups": [ALL], "checkpointing": True},
    "int4": {"groups": [LORA, FROZEN], "lora": {"base": "int4"}},
    "int4 dora, checkpointing": {
        "groups": [LORA, FROZEN],
        "lora": {"base": "int4", "dora": True},
        "checkpointing": True,
    },
    "patches": {"groups": [PATCHES, FROZEN]},
    "vision": {"groups": [LORA, FROZEN], "lora": {"base": "bfloat16", "targets": ["vision"]}},
}


@pytest.mark.parametrize("case", CASES)
def test_memory_is_that_of_a_real_step(case) -> None:
    """Within 10 %: blocks with windows and with full attention differ a little."""
    made, config, shape = recipe(**CASES[case]), deep_config(), PackShape(2, 150, 8, 8)
    planned = step_memory(made, config, shape)
    real = traced_step(fake_model(made, config), shape.batch(config), torch.bfloat16)
    assert planned.peak == pytest.approx(real.peak, rel=0.1)
    assert planned.saved == pytest.approx(real.saved, rel=0.1)


def test_the_trace_counts_storages_once() -> None:
    trace = MemoryTrace()
    with trace:
        one = torch.zeros(1000)
        view = one[10:]
        assert trace.live == 4000
        other = one + 1
        assert trace.live == trace.peak == 8000
        del other
        assert (trace.live, trace.peak) == (4000, 8000)
        assert trace.restart() == 8000
        one.add_(1)
    assert (trace.live, trace.peak) == (4000, 4000)
    del one, view
    assert trace.live == 0


def planned(size, **options):
    made = recipe(folder=f"Qwen2.5-VL-{size.upper()}-Instruct", **options)
    config, source = planned_config(made)
    assert "no file of it was read" in source
    return plan_training(made, config, source, pack_shape(made), speed=None, ranks=(1, 4))


PARAMETERS = {"7b": 8_292_166_656, "72b": 73_410_777_344}


@pytest.mark.parametrize("size", PARAMETERS)
def test_releases_are_planned_without_files(size) -> None:
    """Adapters on 4 bits and packs of 2,048 tokens; those of 7B need at most 20 GB."""
    plan = planned(size, groups=[LORA, FROZEN], lora={"base": "int4"}, checkpointing=True)
    base = sum(part.frozen + part.packed for part in plan.parts)
    adapters = sum(part.adapters for part in plan.parts)
    assert base == PARAMETERS[size]
    assert adapters == sum(part.trained for part in plan.parts)
    assert plan.gradients == plan.average == 4 * adapters
    assert plan.optimizer == 8 * adapters
    assert 0.5 < plan.packed / next(each.packed for each in plan.parts if each.packed) < 0.6
    assert plan.peak(plan.other_step) > plan.peak_bytes > plan.weights
    if size == "7b":
        assert plan.peak_bytes < 20e9
    assert plan.flops > 6 * base * 0.5 * plan.tokens


def test_full_training_is_divided_by_ranks() -> None:
    plan = planned("3b", groups=[ALL])
    assert plan.packed == 0
    assert plan.weights == plan.gradients == 4 * sum(part.trained for part in plan.parts)
    one, four = plan.ranks
    assert one.peak_bytes == plan.peak_bytes
    assert four.peak_bytes < 0.5 * one.peak_bytes


def test_a_grid_of_ranks_divides_weights_and_tokens() -> None:
    """Everything is divided by shard and sequence, matrices by tensor, activations of the decoder by sequence."""
    plan = planned("3b", groups=[ALL])
    step = plan.divided_step
    whole = plan.weights + plan.gradients + plan.optimizer + plan.average
    assert 0 < plan.matrices < whole

    def peak(**sizes):
        return plan.memory_of(ParallelSection(**sizes)).peak_bytes

    assert peak(data=4, shard=8) == peak(shard=8)
    assert peak(shard=8) - peak(shard=16) == pytest.approx(whole / 16, rel=1e-6)
    saved = plan.matrices / 8 / 2 + plan.gathered  # the gathered layer is halved, too
    assert peak(shard=8) - peak(shard=8, tensor=2) == pytest.approx(saved, rel=1e-6)
    decoder = step.forward - step.vision_saved
    by_tokens = whole / 16 + decoder / 2
    assert peak(shard=8) - peak(shard=8, sequence=2) == pytest.approx(by_tokens, rel=1e-6)


def test_ranks_keep_no_copies_of_the_weights() -> None:
    """Autocast keeps the weights of the layers in bfloat16; ranks gather them layer by layer."""
    made, config = recipe(groups=[ALL]), small_config(num_hidden_layers=3)
    shape = PackShape(1, 64, 4, 4)
    alone = step_memory(made, config, shape)
    divided = step_memory(made, config, shape, is_divided=True)
    model = fake_model(made, config)
    layers = (model.model.layers, model.visual.blocks)
    copies = sum(2 * one.numel() for part in layers for one in part.parameters() if one.ndim == 2)
    assert alone.forward - divided.forward == pytest.approx(copies, rel=0.1)


def test_a_copied_reference_counts() -> None:
    """Preferences against a copy of the decoder, answers against the model without adapters."""
    groups = [{"match": "model.visual.*", "algorithm": "frozen"}, ALL]
    values = recipe(groups=groups).model_dump(mode="json", exclude_none=True)
    for name in ("loss", "contrastive"):
        values.pop(name)
    values["data"] |= {"pairs": True}
    made = validate(
        values | {"kind": "dpo", "dpo": {"reference": "copy"}}, TrainRecipe, where="test"
    )
    config = small_config()
    plan = plan_training(made, config, "test", PackShape(1, 64, 4, 4), speed=None)
    decoder = sum(part.trained for part in plan.parts)
    assert plan.reference == 4 * decoder
    assert plan.peak_bytes > plan.reference + plan.weights
    data = {"source": [{"path": "none", "rewards": {"exact": 1.0}}], "pack_tokens": 512}
    policy = values | {
        "kind": "grpo",
        "data": data,
        "lora": {},
        "optim": {"group": [LORA, FROZEN]},
    }
    answers = validate(policy, TrainRecipe, where="test")
    assert pack_shape(answers).visual_tokens == 19 * 20
    assert plan_training(answers, config, "test", PackShape(1, 64, 4, 4), speed=None).reference == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folder": "nothing"}, "is not named like a release"),
        ({"lora": {"targets": ["model.layers.99.*"]}, "groups": [LORA, FROZEN]}, "matches none"),
        ({"groups": [LORA, FROZEN]}, "optim.group 0 .* matches no parameter"),
        ({"groups": [{**ALL, "match": "model.visual.*"}]}, "matches no .* rule"),
    ],
)
def test_recipes_that_do_not_fit(changes, words) -> None:
    made = recipe(**{"groups": [ALL], "folder": "Qwen2.5-VL-3B"} | changes)

    def run():
        config, source = planned_config(made)
        plan_training(made, config, source, pack_shape(made), speed=None)

    with pytest.raises(ConfigError, match=words):
        run()


def test_packs() -> None:
    made = recipe(groups=[ALL], pack_tokens=2048, pack_patches=8192)
    assert pack_shape(made) == PackShape(1, 2048, 32, 32)
    assert pack_shape(made, 256) == PackShape(6, 341, 16, 16)
    assert pack_shape(made, 0) == PackShape(1, 2048, 0, 0)
    with pytest.raises(ConfigError, match="a picture of 2048 tokens does not fit into packs of"):
        pack_shape(made, 2048)
    assert named_config("3b").text.hidden_size == 2048

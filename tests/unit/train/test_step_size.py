# SPDX-License-Identifier: Apache-2.0
"""Size of an optimizer step: schedule factor, gradient clipping, warm-up of the average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from finesight.config.load import validate
from finesight.data.encode import EncoderConfig, TrainingEncoder
from finesight.data.loader import _packed
from finesight.data.record import Glyph, Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError
from finesight.processor.processor import Processor
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints
from finesight.train.ema import Average
from finesight.train.meters import Meters
from finesight.train.optim import GroupRule, OptimConfig, Optimizers
from finesight.train.recipe import PretrainRecipe


def optimizers(module: nn.Module, algorithm: str, **changes) -> Optimizers:
    rule = GroupRule(match="*", algorithm=algorithm, lr=0.1)
    return Optimizers(module, OptimConfig(group=(rule,), **changes))


def moved(algorithm: str, lr_scale: float, *, steps: int = 1) -> torch.Tensor:
    """Change of the weight of a small layer, always with the same gradient."""
    module = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    optimizer = optimizers(module, algorithm)
    for _ in range(steps):
        module.weight.grad = torch.arange(1.0, 13.0).reshape(3, 4)
        optimizer.step(lr_scale)
    return module.weight.detach().clone()


@pytest.mark.parametrize("algorithm", ["adamw", "muon"])
@pytest.mark.parametrize("scale", [0.5, 0.02, 2.0])
def test_a_step_is_as_long_as_the_schedule_says(algorithm, scale):
    torch.testing.assert_close(moved(algorithm, scale), scale * moved(algorithm, 1.0))


def test_adamw_moves_by_its_rate():
    """Adam's first step is the sign of the gradient times the rate."""
    torch.testing.assert_close(moved("adamw", 0.25), torch.full((3, 4), -0.025))


def test_a_factor_is_of_the_peak_and_not_of_the_step_before():
    torch.testing.assert_close(
        moved("adamw", 0.5, steps=3), 3 * moved("adamw", 0.5), rtol=1e-4, atol=0.0
    )


def test_a_factor_of_zero_moves_nothing():
    assert (moved("adamw", 0.0) == 0).all()


def first_moment(gradient: float, max_grad_norm: float) -> tuple[float, float]:
    """Reported norm, and norm of the gradients in Adam, for two parameters of one value each."""
    module = nn.ParameterDict(
        {"a": nn.Parameter(torch.zeros(1)), "b": nn.Parameter(torch.zeros(1))}
    )
    optimizer = optimizers(module, "adamw", max_grad_norm=max_grad_norm, betas=(0.5, 0.5))
    module["a"].grad, module["b"].grad = torch.tensor([3 * gradient]), torch.tensor([4 * gradient])
    norm = optimizer.step(1.0)
    state = optimizer.state_tensors()
    given = torch.cat([state["a|exp_avg"], state["b|exp_avg"]]) / 0.5
    return float(norm), float(given.norm())


def test_a_long_gradient_is_cut_to_the_limit_over_all_parameters():
    norm, given = first_moment(gradient=20.0, max_grad_norm=2.0)
    assert norm == pytest.approx(100.0)
    assert given == pytest.approx(2.0, rel=1e-4)


def test_a_short_gradient_is_left_as_it_is():
    norm, given = first_moment(gradient=0.1, max_grad_norm=2.0)
    assert (norm, given) == (pytest.approx(0.5), pytest.approx(0.5))


def test_gradients_of_one_step_do_not_reach_the_next():
    module = nn.Linear(2, 1, bias=False)
    optimizer = optimizers(module, "adamw")
    module.weight.grad = torch.ones(1, 2)
    optimizer.step(1.0)
    assert module.weight.grad is None


def test_a_frozen_parameter_does_not_count_in_the_norm():
    module = nn.ParameterDict(
        {"a": nn.Parameter(torch.zeros(1)), "b": nn.Parameter(torch.zeros(1))}
    )
    rules = (
        GroupRule(match="a", algorithm="frozen"),
        GroupRule(match="b", algorithm="adamw", lr=0.1),
    )
    optimizer = Optimizers(module, OptimConfig(group=rules))
    module["a"].grad, module["b"].grad = torch.tensor([300.0]), torch.tensor([0.5])
    assert optimizer.step(1.0) == pytest.approx(0.5)


# ---------------------------------------------------------------------------------------------------- the average


def averages(decay: float, values: list[float]) -> list[float]:
    """The average after each of these weights, from a start at 0."""
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    average = Average(module, decay)
    found = []
    for value in values:
        with torch.no_grad():
            module.weight.fill_(value)
        average.update()
        found.append(float(average.tensors["weight"]))
    return found


def test_the_decay_of_the_average_is_warmed_up():
    """The decay is 1/11, 2/12, 3/13; with .999 from the start, the average would stay near 0."""
    first = 10 / 11
    second = first * 2 / 12 + 10 / 12
    third = second * 3 / 13 + 10 / 13
    assert averages(0.999, [1.0, 1.0, 1.0]) == pytest.approx([first, second, third], rel=1e-5)


def test_the_decay_of_the_average_is_bounded():
    """From the tenth update on, the decay is the given one half, below n / (n + 10)."""
    found = averages(0.5, [0.0] * 30 + [1.0, 1.0])
    assert found[-2:] == pytest.approx([0.5, 0.75])
    assert averages(0.5, [0.0] * 9 + [1.0])[-1] == pytest.approx(0.5)
    assert averages(0.5, [0.0] * 8 + [1.0])[-1] == pytest.approx(10 / 19)


def test_a_restored_average_continues_its_warm_up():
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    average = Average(module, 0.999)
    average.restart(updates=90)
    with torch.no_grad():
        module.weight.fill_(1.0)
    average.update()
    assert float(average.tensors["weight"]) == pytest.approx(10 / 101, rel=1e-4)
    assert average.updates == 91


# ---------------------------------------------------------------------------------------------------- the trainer


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    words = ("ab", "cab", "bad", "dab", "abc", "dd")
    write_shard(folder / "a.tar", [record(index, words[index % 6]) for index in range(18)])
    return folder


def record(index: int, word: str) -> Record:
    picture = Image.new("RGB", (56, 28), "white")
    ImageDraw.Draw(picture).text((6, 8), word, fill="black")
    return Record.of_picture(
        id=f"text-{index}",
        image=np.array(picture),
        turns=(("Read all the text in the image.", word),),
        meta={"split": "train", "generator": "test", "seed": 0, "tasks": []},
        truth=Truth(glyphs=tuple(Glyph(c, 9.0 + 6 * n, 14.0, n) for n, c in enumerate(word))),
    )


def trainer(shards, tiny_model_folder, folder, loss=None, run=None, **optim):
    rule = {"match": "*", "algorithm": "adamw", "lr": 1e-3}
    values = {
        "kind": "pretrain",
        "model": {"folder": str(tiny_model_folder), "seed": 3},
        "data": {
            "source": [{"path": str(shards)}],
            "pack_tokens": 256,
            "pack_patches": 128,
            "characters": "abcd",
            "objects": ["red square"],
        },
        "optim": {"group": [rule]} | optim,
        "schedule": {"total_steps": 8, "warmup_steps": 4},
        "loss": loss or {"tokens": 1.0},
        "run": {"folder": str(folder), "precision": "float32"} | (run or {}),
    }
    return pretrain.start(validate(values, PretrainRecipe, where="test"))


def test_the_first_step_of_a_warm_up(shards, tiny_model_folder, tmp_path):
    """A quarter of the peak rate bounds the change; the average takes ten elevenths of it."""
    run = trainer(shards, tiny_model_folder, tmp_path)
    before = {name: value.detach().clone() for name, value in run.weights.named_parameters()}
    values = run.step(next(run.packs()))
    after = {name: value.detach() for name, value in run.weights.named_parameters()}
    assert values["lr_scale"].total == 0.25
    largest = max(float((after[name] - value).abs().max()) for name, value in before.items())
    assert largest == pytest.approx(0.25e-3, rel=1e-2)
    for name, value in before.items():
        expected = torch.lerp(value, after[name], 10 / 11)
        torch.testing.assert_close(run.average.tensors[name], expected)


def test_a_group_of_packs_counts_as_their_mean(shards, tiny_model_folder, tmp_path):
    """The same pack twice gives the same step."""
    once, twice = (
        trainer(shards, tiny_model_folder, tmp_path / name, max_grad_norm=1e9)
        for name in ("once", "twice")
    )
    group = next(once.packs())
    first, second = means(once.step(group)), means(twice.step(group * 2))
    assert second["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-4)
    assert second["loss"] == pytest.approx(first["loss"])
    assert second["tokens"] == pytest.approx(first["tokens"])


def means(values):
    meters = Meters()
    meters.add(values)
    return meters.means()


def test_the_weight_of_a_target_does_not_depend_on_its_pack(shards, tiny_model_folder, tmp_path):
    """Two packs of different sizes give the same step as one pack with both, not a mean of means."""
    loss = {"tokens": 1.0, "balance": 0.5, "characters": 0.7, "objects": 0.2, "boxes": 0.1}
    apart, together = (
        trainer(shards, tiny_model_folder, tmp_path / name, loss=loss, max_grad_norm=1e9)
        for name in ("apart", "together")
    )
    encoder = TrainingEncoder(
        EncoderConfig(characters="abcd", objects=("red square",), jitter=0.0),
        Processor.from_folder(tiny_model_folder),
    )
    records = [record(0, "a"), record(1, "dabcab"), record(2, "bad"), scene(3), record(4, "ab")]
    samples = [encoder.encode(one, np.random.default_rng(0)) for one in records]
    packs = [_packed(part, {}, is_checked=True) for part in (samples, samples[:2], samples[2:])]
    first, second = means(apart.step(packs[1:])), means(together.step(packs[:1]))
    assert first.keys() == second.keys() >= {"tokens", "characters", "objects", "boxes", "char_acc"}
    for name, value in first.items():
        assert value == pytest.approx(second[name], rel=1e-4), name


def scene(index: int) -> Record:
    picture = Image.new("RGB", (84, 56), "white")
    ImageDraw.Draw(picture).rectangle((10, 10, 50, 50), fill="red")
    return Record.of_picture(
        id=f"scene-{index}",
        image=np.array(picture),
        turns=(("How many?", "1"),),
        truth=Truth(objects=(SceneObject((10, 10, 51, 51), "red square"),)),
        meta={"split": "train", "generator": "test"},
    )


def test_packs_without_a_target_are_an_error(shards, tiny_model_folder, tmp_path):
    """Scenes alone, where only characters are learned."""
    run = trainer(shards, tiny_model_folder, tmp_path, loss={"tokens": 0.0, "characters": 1.0})
    encoder = TrainingEncoder(EncoderConfig(), Processor.from_folder(tiny_model_folder))
    sample = encoder.encode(scene(0), np.random.default_rng(0))
    with pytest.raises(DataError, match="no target for any loss") as caught:
        run.step([_packed([sample], {}, is_checked=True)])
    assert "loss.tokens" in caught.value.hint


def test_gradient_checkpointing_is_the_same_step(shards, tiny_model_folder, tmp_path):
    plain, checked = (
        trainer(shards, tiny_model_folder, tmp_path / name, run={"gradient_checkpointing": on})
        for name, on in (("plain", False), ("checked", True))
    )
    assert (
        plain.model.visual.gradient_checkpointing,
        checked.model.visual.gradient_checkpointing,
    ) == (
        False,
        True,
    )
    group = next(plain.packs())
    first, second = means(plain.step(group)), means(checked.step(group))
    for name, value in first.items():
        assert value == pytest.approx(second[name], rel=1e-5), name


def test_a_recipe_that_learns_nothing_is_refused(shards, tiny_model_folder, tmp_path):
    with pytest.raises(ConfigError, match="there is nothing to learn"):
        trainer(shards, tiny_model_folder, tmp_path, loss={"tokens": 0.0})


def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(
    shards, tiny_model_folder, tmp_path
):
    run = trainer(shards, tiny_model_folder, tmp_path)
    packs = run.packs()
    run.step(next(packs))
    kept = run.save()
    with torch.no_grad():
        run.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(
        DataError, match="step 0: loss is nan and grad_norm is nan; first in"
    ) as raised:
        run.step(next(packs))
    assert "the output of model.model.norm, whose weight is not finite" in raised.value.message
    assert "records text-" in raised.value.message
    assert checkpoints(run.checkpoint_folder) == [kept]


def test_a_run_clips_to_the_norm_of_its_recipe(shards, tiny_model_folder, tmp_path):
    run = trainer(shards, tiny_model_folder, tmp_path, max_grad_norm=1e-3, betas=(0.5, 0.5))
    norm = float(run.step(next(run.packs()))["grad_norm"].total)
    moments = [v for k, v in run.optimizers.state_tensors().items() if k.endswith("|exp_avg")]
    given = float(torch.cat([value.flatten() for value in moments]).norm()) / 0.5
    assert norm > 2e-3
    assert given == pytest.approx(1e-3, rel=1e-2)

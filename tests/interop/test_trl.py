# SPDX-License-Identifier: Apache-2.0
"""Our losses are those of TRL's trainers with transformers' Qwen2.5-VL, from the same weights on the same batches.

`make interop` installs TRL in `.venv-trl`. All models are small and random, in float32.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from finesight.batch import EncodedSample, PackedBatch
from finesight.config.load import validate
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.answers import answered, num_rows, pack_answers, prompt_length
from finesight.data.dense import DenseTargets
from finesight.data.loader import TrainBatch
from finesight.data.next_token import NextTokenTargets
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from finesight.train import pretrain
from finesight.train.objective import ForwardPass, Targets, normalised
from finesight.train.parallel import Ranks
from finesight.train.policy import GrpoSection, Policy, advantages
from finesight.train.preference import DpoSection, Preference
from finesight.train.recipe import PretrainRecipe
from finesight.train.schedule import lr_scale
from tests.conftest import write_tiny_folder

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]

PYTHON = ROOT / ".venv-trl/bin/python"

WORDS = ("red square", "blue", "text in the image", "cake", "8", "so it is", "query 64.0", "label")

STEPS = 100

DPO_CASES = (
    {"loss": "sigmoid", "beta": 0.1, "label_smoothing": 0.0},
    {"loss": "sigmoid", "beta": 0.5, "label_smoothing": 0.0},
    {"loss": "robust", "beta": 0.1, "label_smoothing": 0.2},
    {"loss": "ipo", "beta": 0.1, "label_smoothing": 0.0},
    {"loss": "hinge", "beta": 0.1, "label_smoothing": 0.0},
)

LENGTHS = {"dapo": "token", "bnpo": "token", "grpo": "answer", "dr_grpo": "constant"}
"""TRL's `loss_type`, and our `length`; the default of both is dapo. bnpo differs from it in several passes only."""

GRPO_CASES = (
    {"loss": "dapo", "beta": 0.0, "temperature": 1.0, "epsilon": 0.2, "epsilon_high": 0.28},
    {
        "loss": "dapo",
        "beta": 0.1,
        "temperature": 1.0,
        "epsilon": 0.2,
        "epsilon_high": 0.2,
        "kl_correction": False,
    },
    *(
        {"loss": loss, "beta": 0.04, "temperature": 0.7, "epsilon": 0.1, "epsilon_high": 0.1}
        for loss in LENGTHS
    ),
)

REWARDS = [[1.0, 0.0, 0.25, 0.5], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.75]]

MOST_TOKENS = 16


def picture(seed: int, width: int = 112, height: int = 84) -> np.ndarray:
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    x, y = random.integers(0, 40, 2).tolist()
    ImageDraw.Draw(image).rectangle((x, y, x + 30, y + 30), fill=("red", "blue", "green")[seed % 3])
    return np.array(image)


def conversation(question: str, answer: str, image: np.ndarray | None) -> Conversation:
    shown = () if image is None else (ImagePart(source=image),)
    return Conversation(
        (
            Message("user", (*shown, TextPart(question))),
            Message("assistant", (TextPart(answer),)),
        )
    )


def record(index: int) -> Record:
    image = None if index % 4 == 3 else picture(index, 56 + 28 * (index % 3))
    said = conversation(f"Locate {WORDS[index % 8]}.", WORDS[(3 * index + 1) % 8], image)
    meta = {"split": "train", "generator": "test"}
    return Record(id=f"r-{index}", conversation=said, meta=meta)


def sft_recipe(folder: Path) -> PretrainRecipe:
    values = {
        "kind": "pretrain",
        "model": {"folder": str(folder / "model"), "start_from": str(folder / "model")},
        "data": {
            "source": [{"path": str(folder / "data")}],
            "pack_tokens": 96,
            "pack_patches": 256,
        },
        "optim": {"group": [{"match": "*", "algorithm": "adamw", "lr": 1e-3}]},
        "schedule": {"total_steps": STEPS, "warmup_steps": 10, "decay_steps": 50},
        "run": {"folder": str(folder / "run"), "precision": "float32", "log_every": 1},
    }
    return validate(values, PretrainRecipe, where="test")


def samples_of(batch: PackedBatch) -> list[dict[str, Tensor]]:
    """Tokens, labels and positions of the samples of a pack."""
    parts = zip(
        batch.input_ids.split(batch.attention.query_lengths),
        batch.labels.split(batch.attention.query_lengths),
        batch.position_ids.split(batch.attention.query_lengths, dim=1),
        strict=True,
    )
    return [dict(zip(("ids", "labels", "positions"), part, strict=True)) for part in parts]


def padded_right(rows: list[Tensor], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def padded_left(rows: list[Tensor], value: int) -> Tensor:
    return padded_right([row.flip(0) for row in rows], value).flip(1)


def positions(rows: list[Tensor]) -> Tensor:
    return torch.stack([padded_right([row[axis] for row in rows], 0) for axis in range(3)])


def pictures_of(batch: PackedBatch) -> dict[str, Tensor]:
    if batch.vision is None:
        return {}
    return {"pixel_values": batch.vision.patches, "image_grid_thw": batch.vision.grid_thw}


def their_sft_batch(batch: PackedBatch) -> dict[str, Tensor]:
    samples = samples_of(batch)
    ids = [one["ids"] for one in samples]
    return {
        "input_ids": padded_right(ids, 0),
        "attention_mask": padded_right([torch.ones_like(one) for one in ids], 0),
        "labels": padded_right([one["labels"] for one in samples], -100),
        "position_ids": positions([one["positions"] for one in samples]),
        **pictures_of(batch),
    }


def pairs(processor: Processor) -> list[list[EncodedSample]]:
    encode = partial(processor.encode, add_generation_prompt=False)
    drawn = []
    for index in range(4):
        image = None if index == 2 else picture(index)
        question = f"Locate {WORDS[index]}."
        answers = WORDS[index], WORDS[index + 3] + WORDS[index + 4]
        drawn.append([encode(conversation(question, answer, image)) for answer in answers])
    return drawn


def their_dpo_batch(groups: list[list[EncodedSample]]) -> dict[str, Tensor]:
    ordered = [group[side] for side in (0, 1) for group in groups]
    pictures = [item for one in ordered for item in one.vision]
    return {
        "input_ids": padded_right([one.input_ids for one in ordered], 0),
        "attention_mask": padded_right([torch.ones_like(one.input_ids) for one in ordered], 0),
        "completion_mask": padded_right([(one.labels != -100).long() for one in ordered], 0),
        "position_ids": positions([one.position_ids for one in ordered]),
        "pixel_values": torch.cat([item.patches for item in pictures]),
        "image_grid_thw": torch.tensor([item.grid_thw for item in pictures]),
    }


def sampled_groups(processor: Processor) -> list[list[EncodedSample]]:
    """Groups of four random answers, to prompts of different lengths with a picture each."""
    random = torch.Generator().manual_seed(5)
    groups = []
    for index in range(len(REWARDS)):
        asked = conversation(f"Locate {WORDS[index]}.", "", picture(index)).messages[:1]
        prompt = processor.encode(Conversation(asked))
        lengths = torch.randint(2, 9, (4,), generator=random).tolist()
        answers = [torch.randint(0, 300, (length,), generator=random) for length in lengths]
        groups.append([answered(prompt, answer.tolist()) for answer in answers])
    return groups


def their_grpo_batch(groups: list[list[EncodedSample]], image_pad: int) -> dict[str, object]:
    flat = [one for group in groups for one in group]
    prompts = [one.input_ids[: prompt_length(one)] for one in flat]
    answers = [one.input_ids[prompt_length(one) :] for one in flat]
    prompt_ids, completion_ids = padded_left(prompts, 0), padded_right(answers, 0)
    pictures = [item for one in flat for item in one.vision]
    kinds = torch.cat([(prompt_ids == image_pad).long(), torch.zeros_like(completion_ids)], dim=1)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": padded_left([torch.ones_like(one) for one in prompts], 0),
        "completion_ids": completion_ids,
        "completion_mask": padded_right([torch.ones_like(one) for one in answers], 0),
        "advantages": advantages(torch.tensor(REWARDS), scale="group").flatten(),
        "num_items_in_batch": torch.tensor(float(sum(len(one) for one in answers))),
        "pixel_values": torch.cat([item.patches for item in pictures]),
        "image_grid_thw": torch.tensor([item.grid_thw for item in pictures]),
        "num_images": [1] * len(flat),
        "mm_token_type_ids": kinds,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("trl")
    write_tiny_folder(path / "model")
    for name, seed in (("reference", 1), ("sampler", 2)):
        write_near(path / "model", path / name, seed)
    write_shard(path / "data" / "a.tar", [record(index) for index in range(40)])
    return path


def write_near(source: Path, target: Path, seed: int) -> None:
    """A model that differs a little from another: ratios of probabilities are then near 1, some of them clipped."""
    from finesight.model.weights import save_model

    model = load_model(source, dtype=torch.float32)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("model."):
                value.add_(torch.randn(value.shape, generator=random), alpha=0.004)
    target.mkdir()
    save_model(model, target)
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        (target / name).write_bytes((source / name).read_bytes())


@pytest.fixture(scope="module")
def theirs(folder) -> dict:
    """What TRL computes of all cases."""
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: run scripts/trl-venv.sh with an interpreter")
    processor = Processor.from_folder(folder / "model")
    recipe = sft_recipe(folder)
    trainer = pretrain.start(recipe)
    packs = trainer.packs()
    batches = [their_sft_batch(next(packs)[0].batch) for _ in range(STEPS)]
    sft = {
        "batches": batches,
        "scales": [lr_scale(step, recipe.schedule) for step in range(STEPS)],
        "lr": recipe.optim.group[0].lr,
        "betas": recipe.optim.betas,
        "max_grad_norm": recipe.optim.max_grad_norm,
    }
    groups = sampled_groups(processor)
    shape = {
        "answers": 4,
        "batch_size": 4 * len(groups),
        "max_completion_length": MOST_TOKENS,
        "batch": their_grpo_batch(groups, processor.model_config.special_tokens.image_pad),
    }
    preference = their_dpo_batch(pairs(processor))
    cases = {
        "sft": sft,
        "dpo": [{**case, "batch": preference} for case in DPO_CASES],
        "grpo": [{**case, **shape} for case in GRPO_CASES],
        "rewards": REWARDS,
    }
    torch.save(cases, folder / "cases.pt")
    worker = Path(__file__).with_name("trl_losses.py")
    run = subprocess.run(
        [PYTHON, worker, folder],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads((folder / "losses.json").read_text())


def pack_of(batch: PackedBatch, **more) -> TrainBatch:
    nothing = torch.empty(0, dtype=torch.int64)
    return TrainBatch(
        batch=batch,
        next_tokens=NextTokenTargets(nothing, nothing, nothing.float()),
        dense=DenseTargets.join([]),
        cursor={},
        num_samples=1,
        **more,
    )


def loss_and_norm(objective, model: VisionLanguageModel, packs: list[TrainBatch]):
    """Loss of an optimizer step over packs, norm of its gradient, and mean values for the log."""
    totals = Targets.of([objective], packs, Ranks()).totals
    loss, sums = torch.zeros(()), {}
    for pack in packs:
        found = objective(ForwardPass(model, pack))
        loss = loss + normalised(found, objective, totals)
        for name, one in found.values.items():
            total, number = sums.get(name, (0.0, 0.0))
            sums[name] = total + float(one.total), number + float(one.number)
    loss.backward()
    grads = [one.grad for one in model.parameters() if one.grad is not None]
    means = {name: total / number for name, (total, number) in sums.items()}
    return float(loss.detach()), float(torch.nn.utils.get_total_norm(grads)), means


def test_curve_of_supervised_training_is_that_of_trl(folder, theirs) -> None:
    """The tolerance covers sums in another order, which a hundred steps of AdamW amplify."""
    trainer = pretrain.start(sft_recipe(folder))
    trainer.run(report=lambda step, values: None)
    lines = (folder / "run" / "log.jsonl").read_text().splitlines()
    ours = [json.loads(line)["loss"] for line in lines][:STEPS]
    worst = max(abs(a - b) for a, b in zip(ours, theirs["sft"], strict=True))
    sys.stdout.write(
        f"SFT, {STEPS} steps from {ours[0]:.3f} to {ours[-1]:.3f}: {worst:.1e} apart\n"
    )
    assert ours[-1] < 0.7 * ours[0]
    assert worst < 1e-4


@pytest.mark.parametrize("index", range(len(DPO_CASES)))
def test_loss_of_preference_pairs_is_that_of_trl(folder, theirs, index) -> None:
    case, wanted = DPO_CASES[index], theirs["dpo"][index]
    processor = Processor.from_folder(folder / "model")
    model = load_model(folder / "model", dtype=torch.float32).train()
    reference = load_model(folder / "reference", dtype=torch.float32)
    objective = Preference(DpoSection(**case), reference)
    groups = pairs(processor)
    packs = [
        pack_of(batch, answers=answers)
        for batch, answers in map(pack_answers, (groups[:1], groups[1:]))
    ]
    loss, norm, values = loss_and_norm(objective, model, packs)
    assert loss == pytest.approx(wanted["loss"], abs=1e-5)
    assert norm == pytest.approx(wanted["norm"], rel=1e-4)
    for name in ("reward_margin", "reward_acc", "reward_chosen"):
        assert values[name] == pytest.approx(wanted[name], abs=1e-5), name


@pytest.mark.parametrize("index", range(len(GRPO_CASES)))
def test_loss_of_sampled_answers_is_that_of_trl(folder, theirs, index) -> None:
    case, wanted = GRPO_CASES[index], theirs["grpo"][index]
    config = GrpoSection(
        length=LENGTHS[case["loss"]],
        kl=case["beta"],
        temperature=case["temperature"],
        clip_low=case["epsilon"],
        clip_high=case["epsilon_high"],
        max_new_tokens=MOST_TOKENS,
        kl_correction=case.get("kl_correction", True),
    )
    model, reference, sampler = (
        load_model(folder / name, dtype=torch.float32) for name in ("model", "reference", "sampler")
    )
    objective = Policy(config, reference)
    scores = advantages(torch.tensor(REWARDS), scale="group")
    packs = []
    groups = sampled_groups(Processor.from_folder(folder / "model"))
    for chosen in (slice(0, 2), slice(2, 3)):
        batch, answers = pack_answers(groups[chosen])
        pack = pack_of(batch, answers=answers)
        targets = objective.targets(ForwardPass(sampler, pack), scores[chosen].flatten())
        packs.append(replace(pack, policy=targets))
    loss, norm, values = loss_and_norm(objective, model, packs)
    assert loss == pytest.approx(wanted["loss"], abs=1e-5)
    assert norm == pytest.approx(wanted["norm"], rel=1e-4)
    assert values["clipped"] == pytest.approx(wanted["clipped"], abs=1e-6)
    assert values["clipped"] > 0
    assert values.get("kl", 0.0) == pytest.approx(wanted["kl"], abs=1e-5)


def test_advantages_are_those_of_trl(theirs) -> None:
    ours = advantages(torch.tensor(REWARDS), scale="group").flatten().tolist()
    assert ours == pytest.approx(theirs["advantages"], abs=1e-6)


def test_the_prompt_is_computed_once(folder) -> None:
    groups = pairs(Processor.from_folder(folder / "model"))
    batch, _ = pack_answers(groups)
    whole = sum(one.input_ids.numel() for group in groups for one in group)
    assert batch.input_ids.numel() == sum(map(num_rows, groups)) < 0.65 * whole

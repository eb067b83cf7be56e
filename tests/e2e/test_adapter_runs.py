# SPDX-License-Identifier: Apache-2.0
"""Training with adapters: recipes that cannot work, several packs in a step, and export of broken runs."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from finesight.checkpoints import small
from finesight.checkpoints.decoder import import_decoder, open_decoder
from finesight.data.encode import TrainingEncoder
from finesight.data.loader import _packed
from finesight.data.mixture import without_targets
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError, WeightsError
from finesight.model.lora import lora_layers
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from finesight.train import export as exporting
from finesight.train import pretrain
from tests.conftest import build_tokenizer
from tests.e2e.test_train_adapters import FROZEN, _recipe, _said, _seen
from tests.support.gguf_files import random_decoder, write_gguf

ADAPTERS = {"match": "model.*.lora_?.weight", "algorithm": "adamw", "lr": 1e-2}
TOWER = {"match": "model.visual.*", "algorithm": "adamw", "lr": 2e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model_folder):
    path = tmp_path_factory.mktemp("adapter_runs")
    backend = build_tokenizer()
    decoder = random_decoder("llama", backend.get_vocab_size(with_added_tokens=True))
    write_gguf(path / "decoder.gguf", decoder, backend, "llama")
    import_decoder(open_decoder(path / "decoder.gguf"), tiny_model_folder, path / "base")
    write_shard(path / "seen" / "a.tar", [_seen(index) for index in range(9)])
    write_shard(path / "said" / "a.tar", [_said(index) for index in range(9)])
    return path


def recipe(folder, name, **changes):
    return _recipe(folder, folder / "base", folder / name, folder / "base", **changes)


@pytest.fixture(scope="module")
def joint(folder):
    trainer = pretrain.start(recipe(folder, "joint"))
    trainer.run(report=lambda step, values: None)
    return folder / "joint"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lora": {"targets": ["model.layers.*", "zz"]}}, "lora target 'zz' matches none"),
        ({"lora": {"targets": []}}, r"lora\.targets"),
        ({"data": {"characters": ""}}, "data.characters and data.objects are empty"),
        ({"optim": {"group": [FROZEN]}}, "every .* rule is frozen"),
        (
            {"optim": {"group": [ADAPTERS, TOWER, {**TOWER, "match": "*"}]}},
            r"loss\.language needs the decoder's own weights unchanged, but model\.embed_tokens",
        ),
        (
            {
                "optim": {"group": [{**TOWER, "match": "*embed_tokens*"}, FROZEN]},
                "loss": {"language": 0.0},
            },
            r"loss\.align needs .* model\.embed_tokens\.weight are trained",
        ),
    ],
)
def test_recipes_that_cannot_work_are_refused(changes, words, folder) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        pretrain.start(recipe(folder, "refused", **changes))
    assert len(raised.value.message) < 400
    assert not (folder / "refused").exists()


def test_two_packs_of_a_step_are_one_larger_pack(folder) -> None:
    """Values and weights after the step; one of the packs has no text of its own, so the counts differ."""
    settings = recipe(folder, "packs", loss={"tokens": 1.0, "language": 2.0, "align": 0.5})
    encoder = TrainingEncoder(settings.data, Processor.from_folder(folder / "base"))
    said = [without_targets(_said(index)) for index in range(3)]
    records = [_seen(0), said[0], _seen(1), _seen(2), *said[1:], _seen(4)]
    samples = [encoder.encode(one, np.random.default_rng(0)) for one in records]
    whole = [_packed(samples, {}, is_checked=True)]
    parts = [_packed(one, {}, is_checked=True) for one in (samples[:2], samples[2:])]
    found = []
    for packs in (whole, parts):
        trainer = pretrain.start(settings)
        torch.manual_seed(5)
        for layer in lora_layers(trainer.model).values():
            torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
        values = {
            name: float(one.total) / float(one.number) for name, one in trainer.step(packs).items()
        }
        found.append((values, trainer.model.state_dict()))
    (values, weights), (others, same) = found
    assert values["language"] > 0.01
    assert values.keys() == others.keys()
    for name, value in values.items():
        assert others[name] == pytest.approx(value, rel=1e-4), name
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, atol=1e-4, rtol=1e-4)


def test_gradient_checkpointing_is_the_same_step_with_adapters(folder) -> None:
    norms = []
    for is_on in (False, True):
        run = {"gradient_checkpointing": is_on}
        trainer = pretrain.start(recipe(folder, f"checked_{is_on}", run=run))
        norms.append(float(trainer.step(next(trainer.packs()))["grad_norm"].total))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_text_has_no_gradient_for_a_tower_that_is_trained_alone(folder) -> None:
    alone = {
        "optim": {"group": [TOWER, FROZEN]},
        "loss": {"language": 0.0, "align": 0.0},
        "data": {"source": [{"path": str(folder / "said")}]},
    }
    trainer = pretrain.start(recipe(folder, "alone", lora=None, **alone))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert float(trainer.step(next(trainer.packs()))["grad_norm"].total) == 0
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_objects_alone_can_be_aligned(folder) -> None:
    data = {"characters": "", "objects": ["cat"]}
    trainer = pretrain.start(recipe(folder, "objects", data=data))
    assert torch.isfinite(trainer.step(next(trainer.packs()))["align"].total)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("[[[", "is not TOML"),
        ('lora = "x"', r"has no \[lora\], but the run has adapters"),
        ("[lora]\nrank = 0", "rank = 0"),
        ("[lora]\nrnk = 1", "unknown key rnk"),
    ],
)
def test_a_run_whose_recipe_is_damaged_is_not_exported(content, words, joint, tmp_path) -> None:
    shutil.copytree(joint, tmp_path / "run")
    (tmp_path / "run" / "config.toml").unlink()
    if content is not None:
        (tmp_path / "run" / "config.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        exporting.export(tmp_path / "run", joint.parent / "base", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_adapters_is_exported_without_its_recipe(folder, tmp_path) -> None:
    groups = {"group": [TOWER, FROZEN]}
    plain = recipe(folder, "plain", optim=groups, lora=None, loss={"language": 0.0})
    trainer = pretrain.start(plain)
    trainer.run(report=lambda step, values: None)
    (folder / "plain" / "config.toml").unlink()
    exporting.export(folder / "plain", folder / "base", tmp_path / "out")
    load_model(tmp_path / "out")


def test_other_adapters_are_named_before_weights_are_compared(folder, joint) -> None:
    with pytest.raises(ConfigError, match=r"lora\.rank = 3, the recipe has 5"):
        pretrain.start(recipe(folder, "joint", lora={"rank": 5}))


def test_parts_hold_all_that_was_trained(folder, tmp_path) -> None:
    """Adapters of the tower are merged into it; trained weights of the decoder have no place in the parts."""
    both = recipe(folder, "both", lora={"targets": ["model.layers.*", "visual.blocks.*"]})
    trainer = pretrain.start(both)
    trainer.run(report=lambda step, values: None)
    exporting.export_parts(folder / "both", folder / "base", tmp_path / "parts")
    names = load_file(tmp_path / "parts" / "visual.safetensors").keys()
    assert not [name for name in names if "lora" in name]
    groups = {"group": [{**TOWER, "match": "*.norm.weight"}, ADAPTERS, FROZEN]}
    more = recipe(folder, "more", optim=groups, loss={"language": 0.0})
    trainer = pretrain.start(more)
    trainer.run(report=lambda step, values: None)
    with pytest.raises(DataError, match=r"has also trained model\.norm\.weight"):
        exporting.export_parts(folder / "more", folder / "base", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.fixture
def parts(folder, joint, tmp_path, monkeypatch):
    exporting.export_parts(joint, folder / "base", tmp_path / "parts")
    monkeypatch.setattr(small, "find_decoder", lambda: folder / "decoder.gguf")
    return tmp_path / "parts"


def test_two_processes_assemble_one_whole_folder(parts, tmp_path) -> None:
    """Both ask at the same time; one of them writes."""
    started: list[Path] = []
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(small.assembled, parts, cache=tmp_path / "cache", started=started.append)
            for _ in range(4)
        ]
        folders = {job.result() for job in jobs}
    assert len(folders) == len(started) == 1
    load_model(folders.pop())


def test_a_cache_that_cannot_be_written_is_named(parts, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be written") as raised:
        small.assembled(parts, cache=tmp_path / "file" / "cache")
    assert "XDG_CACHE_HOME" in raised.value.hint


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "assembled.json"])
def test_a_damaged_cache_is_made_again(name, parts, tmp_path) -> None:
    whole = small.assembled(parts, cache=tmp_path / "cache")
    content = (whole / name).read_bytes()
    (whole / name).write_bytes(content[: len(content) // 2])
    assert small.assembled(parts, cache=tmp_path / "cache") == whole
    assert (whole / name).read_bytes() == content


def test_the_tower_alone_is_in_its_file(folder, parts, tmp_path) -> None:
    path = parts / "visual.safetensors"
    save_file({**load_file(path), "model.norm.weight": torch.zeros(64)}, path)
    with pytest.raises(WeightsError, match=r"does not fit: it holds model\.norm\.weight"):
        small.assemble(parts, open_decoder(folder / "decoder.gguf"), tmp_path / "out")

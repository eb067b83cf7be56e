# SPDX-License-Identifier: Apache-2.0
"""A text decoder under a vision tower: aligned, trained with adapters, exported, assembled again, and read by peft."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from finesight.batch import pack
from finesight.checkpoints import small
from finesight.checkpoints.adapters import CONFIG, WEIGHTS
from finesight.checkpoints.decoder import import_decoder, open_decoder
from finesight.cli.app import run
from finesight.config.load import validate, write_recipe
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.record import Glyph, Record, Truth
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError, MissingWeights, WeightsError
from finesight.model.lora import lora_layers
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from finesight.train import export as exporting
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints, load_checkpoint
from finesight.train.recipe import PretrainRecipe
from tests.conftest import build_tokenizer
from tests.support.gguf_files import random_decoder, write_gguf

META = {"split": "train", "generator": "test", "seed": 0}


def _seen(index: int) -> Record:
    word = ("ab", "cat", "d1")[index % 3]
    picture = Image.new("RGB", (56, 28), "white")
    ImageDraw.Draw(picture).text((6, 8), word, fill="black")
    glyphs = tuple(Glyph(char, 9.0 + 6 * place, 14.0, place) for place, char in enumerate(word))
    return Record.of_picture(
        id=f"seen-{index}",
        image=np.array(picture),
        turns=(("Read all the text in the image.", word),),
        truth=Truth(glyphs=glyphs),
        meta=META,
    )


def _said(index: int) -> Record:
    turns = (
        Message("user", (TextPart(f"Say {index}."),)),
        Message("assistant", (TextPart("So."),)),
    )
    return Record(id=f"said-{index}", conversation=Conversation(turns), meta=META)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def gguf_file(folder) -> Path:
    backend = build_tokenizer()
    model = random_decoder("llama", backend.get_vocab_size(with_added_tokens=True))
    write_gguf(folder / "decoder.gguf", model, backend, "llama")
    return folder / "decoder.gguf"


@pytest.fixture(scope="module")
def base(folder, gguf_file, tiny_model_folder) -> Path:
    import_decoder(open_decoder(gguf_file), tiny_model_folder, folder / "base")
    return folder / "base"


@pytest.fixture(scope="module")
def shards(folder) -> Path:
    write_shard(folder / "seen" / "a.tar", [_seen(index) for index in range(9)])
    write_shard(folder / "said" / "a.tar", [_said(index) for index in range(9)])
    return folder


def _recipe(shards: Path, base: Path, out: Path, start: Path, **changes) -> PretrainRecipe:
    values = {
        "kind": "pretrain",
        "model": {"folder": str(base), "start_from": str(start)},
        "data": {
            "source": [
                {"path": str(shards / "seen")},
                {"path": str(shards / "said"), "learn": False},
            ],
            "pack_tokens": 256,
            "pack_patches": 256,
            "characters": "abcdt1",
        },
        "optim": {
            "group": [
                {"match": "model.*.lora_?.weight", "algorithm": "adamw", "lr": 1e-2},
                {"match": "model.visual.*", "algorithm": "adamw", "lr": 2e-3},
                {"match": "*", "algorithm": "frozen"},
            ]
        },
        "schedule": {"total_steps": 4, "warmup_steps": 1, "decay_steps": 2},
        "loss": {"tokens": 1.0, "language": 1.0, "align": 0.1},
        "lora": {"rank": 3, "alpha": 6.0, "targets": ["model.layers.*"]},
        "run": {
            "folder": str(out),
            "precision": "float32",
            "log_every": 1,
            "average_decay": 0.5,
        },
    }
    for section, table in changes.items():
        values[section] = table if table is None else values[section] | table
    return validate(
        {key: value for key, value in values.items() if value is not None},
        PretrainRecipe,
        where="test",
    )


def _train(recipe: PretrainRecipe) -> pretrain.Trainer:
    trainer = pretrain.start(recipe)
    trainer.run(report=lambda step, values: None)
    return trainer


@pytest.fixture(scope="module")
def aligned(folder, shards, base) -> Path:
    groups = {"group": [{"match": "model.visual.*", "algorithm": "adamw", "lr": 2e-3}, FROZEN]}
    recipe = _recipe(
        shards,
        base,
        folder / "aligned",
        base,
        optim=groups,
        loss={"tokens": 0.0, "language": 0.0, "align": 1.0},
        lora=None,
        schedule={"total_steps": 20},
    )
    _train(recipe)
    return folder / "aligned"


FROZEN = {"match": "*", "algorithm": "frozen"}


@pytest.fixture(scope="module")
def joint(folder, shards, base, aligned) -> Path:
    _train(_recipe(shards, base, folder / "joint", aligned))
    return folder / "joint"


def _log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_alignment_lowers_its_loss_and_trains_the_tower_alone(aligned, base) -> None:
    losses = [line["align"] for line in _log(aligned)]
    assert losses[-1] < 0.8 * losses[0]
    _, parts = load_checkpoint(checkpoints(aligned / "checkpoints")[-1])
    before = load_model(base).state_dict()
    for name, value in parts["weights"].items():
        is_tower = name.startswith("model.visual.")
        same = torch.equal(value.float(), before[name.removeprefix("model.")].float())
        assert same != is_tower or not value.any(), name
    assert all(name.startswith("model.visual.") for name in parts["average"])


def test_the_joint_stage_starts_with_new_adapters_and_logs_every_loss(
    folder, shards, base, aligned, joint
) -> None:
    trainer = pretrain.start(_recipe(shards, base, folder / "other", aligned))
    assert trainer.notes == [f"{aligned}: no adapters; 14 new ones start at zero"]
    first = _log(joint)[0]
    assert first["language"] == pytest.approx(0, abs=1e-5)
    assert {"tokens", "align", "language", "token_acc", "named"} <= first.keys()


def test_a_stopped_run_resumes_with_the_same_weights(folder, shards, base, aligned, joint) -> None:
    def recipe(**schedule):
        return _recipe(shards, base, folder / "twice", aligned, schedule=schedule)

    _train(recipe(total_steps=2, decay_steps=0))
    # the schedule of the first two steps is that of the unbroken run: warm-up and peak
    _train(recipe())
    whole, broken = (
        load_checkpoint(checkpoints(run / "checkpoints")[-1])[1]
        for run in (joint, folder / "twice")
    )
    for part in ("weights", "average"):
        assert whole[part].keys() == broken[part].keys()
        for name, value in whole[part].items():
            torch.testing.assert_close(value, broken[part][name], atol=0, rtol=0)


def test_other_adapters_cannot_resume(folder, shards, base, aligned, joint) -> None:
    recipe = _recipe(shards, base, joint, aligned, lora={"alpha": 3.0})
    with pytest.raises(ConfigError, match=r"lora\.alpha = 6\.0, the recipe has 3\.0"):
        pretrain.start(recipe)


def test_the_language_loss_needs_adapters_and_texts(shards, base, folder) -> None:
    with pytest.raises(ConfigError, match=r"loss\.language is 1 without \[lora\]"):
        _recipe(shards, base, folder / "none", base, lora=None)
    learned = {"source": [{"path": str(shards / "seen")}]}
    with pytest.raises(ConfigError, match=r"every source has learn = true: no text is compared"):
        _recipe(shards, base, folder / "none", base, data=learned)


def _sample(processor: Processor):
    part = ImagePart(source=_seen(1).picture)
    said = Conversation((Message("user", (part, TextPart("Read all the text in the image."))),))
    return processor.encode(said)


def _logits(model, sample):
    with torch.no_grad():
        return model.logits(model(pack([sample])))


def test_merged_export_and_assembled_parts_compute_as_the_run(
    folder, base, joint, gguf_file
) -> None:
    """The adapter is rounded to bfloat16 in the parts, the merged weights in both."""
    exporting.export(joint, base, folder / "merged")
    exporting.export_parts(joint, base, folder / "parts")
    small.assemble(folder / "parts", open_decoder(gguf_file), folder / "whole")
    sample = _sample(Processor.from_folder(folder / "whole"))
    run = _logits(exporting.averaged_model(joint, base), sample)
    merged = _logits(load_model(folder / "merged", dtype=torch.float32), sample)
    whole = _logits(load_model(folder / "whole", dtype=torch.float32), sample)
    plain = _logits(load_model(base, dtype=torch.float32), sample)
    spread = run.std()
    assert (plain - run).abs().mean() > 0.2 * spread  # the adapters changed something
    assert (merged - run).abs().mean() < 0.02 * spread
    assert (whole - run).abs().mean() < 0.02 * spread
    names = {path.name for path in (folder / "parts").iterdir()}
    assert {"adapter", "visual.safetensors", "preprocessor_config.json"} <= names
    assert not names & {"tokenizer.json", "model.safetensors"}


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_applies_the_adapter_as_we_do(folder, base, joint) -> None:
    """Text logits of transformers with the adapter by peft, and ours; float32 on both sides.

    Transformers gets the rope type of Qwen2.5-VL, whose positions of text alone are the same.
    """
    from peft import PeftModel
    from transformers import Qwen2_5_VLForConditionalGeneration

    exporting.export_parts(joint, base, folder / "for_peft")
    ours = exporting.averaged_model(joint, base)
    for layer in lora_layers(ours).values():  # the file is bfloat16
        for one in (layer.lora_A, layer.lora_B):
            one.weight.data = one.weight.data.to(torch.bfloat16).float()
    ours.float()
    shutil.copytree(base, folder / "of_text")
    config = folder / "of_text" / "config.json"
    config.write_text(config.read_text().replace('"mrope_raster"', '"mrope"'))
    theirs = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder / "of_text", dtype=torch.float32
    )
    adapted = PeftModel.from_pretrained(theirs, folder / "for_peft" / "adapter").eval()
    ids = list(range(7, 40))
    with torch.no_grad():
        wanted = adapted(input_ids=torch.tensor([ids])).logits[0]
    processor = Processor.from_folder(base)
    from dataclasses import replace

    sample = replace(
        processor.encode(Conversation((Message("user", (TextPart("x"),)),))),
        input_ids=torch.tensor(ids),
        labels=torch.full((len(ids),), -100),
        position_ids=torch.arange(len(ids)).expand(3, -1),
    )
    torch.testing.assert_close(_logits(ours, sample), wanted, atol=2e-4, rtol=1e-3)


def test_a_run_without_adapters_has_no_parts(folder, base, aligned) -> None:
    with pytest.raises(DataError, match="has no adapters to export"):
        exporting.export_parts(aligned, base, folder / "nothing")
    assert not (folder / "nothing").exists()


@pytest.fixture
def parts(folder, base, joint, tmp_path) -> Path:
    exporting.export_parts(joint, base, tmp_path / "parts")
    return tmp_path / "parts"


def test_the_model_is_assembled_once_and_again_when_bytes_are_lost(
    parts, gguf_file, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(small, "find_decoder", lambda: gguf_file)
    made: list[Path] = []
    first = small.assembled(parts, cache=tmp_path / "cache", started=made.append)
    assert made == [first]
    (parts / small.CARD).write_text("another text", encoding="utf-8")
    assert small.assembled(parts, cache=tmp_path / "cache", started=made.append) == first
    assert len(made) == 1
    weights = first / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    assert small.assembled(parts, cache=tmp_path / "cache", started=made.append) == first
    assert len(made) == 2
    load_model(first)
    (parts / "trained_for.txt").write_text("reading")  # other parts are another model
    assert small.assembled(parts, cache=tmp_path / "cache") != first


def test_a_missing_or_changed_decoder_is_named(monkeypatch, tmp_path) -> None:
    file = tmp_path / small.FILE
    file.write_bytes(b"other")
    entry = SimpleNamespace(name=small.FILE, locate=lambda: file)
    monkeypatch.setattr(small, "distribution", lambda name: SimpleNamespace(files=[entry]))
    with pytest.raises(WeightsError, match=f"has the SHA-256 .*, expected {small.SHA256}"):
        small.find_decoder()
    file.unlink()
    with pytest.raises(MissingWeights, match="has no SmolLM2"):
        small.find_decoder()


def test_without_the_package_the_decoder_comes_from_the_hub(monkeypatch, folder, gguf_file) -> None:
    """With a stand-in for the hub's library: the folder it returns, no library, and no network."""
    hub = folder / "hub"
    backend = build_tokenizer()
    model = random_decoder("llama", backend.get_vocab_size(with_added_tokens=True))
    model.save_pretrained(hub)
    backend.save(str(hub / "tokenizer.json"))
    monkeypatch.setattr(small, "PACKAGE", "no-such-package-of-ours")
    asked = []

    def download(name, allow_patterns):
        asked.append(name)
        return str(hub)

    library = SimpleNamespace(snapshot_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    found = small.open_small_decoder()
    assert asked == ["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert found.config() == open_decoder(gguf_file).config()

    def refuse(name, allow_patterns):
        raise OSError("no route to host")

    library.snapshot_download = refuse
    with pytest.raises(MissingWeights, match=r"not installed, and .*OSError: no route") as raised:
        small.open_small_decoder()
    assert "pip install --no-deps" in raised.value.hint
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingWeights, match="not installed") as raised:
        small.open_small_decoder()
    assert "download" not in raised.value.message


def test_a_run_starts_from_exported_parts(parts, folder, shards, base, joint) -> None:
    """They are rounded to bfloat16."""
    trainer = pretrain.start(_recipe(shards, base, folder / "from_parts", parts))
    wanted = exporting.averaged_model(joint, base).state_dict()
    found = trainer.model.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-2)
    other = _recipe(shards, base, folder / "other_scale", parts, lora={"alpha": 3.0})
    with pytest.raises(DataError, match=r"has the scale 2, those of the recipe \[1\.0\]"):
        pretrain.start(other)


def test_adapters_of_a_run_keep_their_scale(folder, shards, base, joint) -> None:
    """With another alpha, the same matrices would be added with another weight from the first step on."""
    pretrain.start(_recipe(shards, base, folder / "same_scale", joint))
    for number, lora in enumerate(({"alpha": 3.0}, {"rslora": True})):
        other = _recipe(shards, base, folder / f"other_{number}", joint, lora=lora)
        with pytest.raises(
            DataError, match=r"the run .*joint has the scale 2, those of the recipe"
        ):
            pretrain.start(other)


def test_parts_that_do_not_fit_are_refused(parts, gguf_file, tmp_path) -> None:
    decoder = open_decoder(gguf_file)
    config = json.loads((parts / "adapter" / CONFIG).read_text())
    for change, words in (
        ({"r": 4}, "has rank 3, adapter_config.json says 4"),
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "kind IA3"),
    ):
        (parts / "adapter" / CONFIG).write_text(json.dumps(config | change))
        with pytest.raises(WeightsError, match=words):
            small.assemble(parts, decoder, tmp_path / "out")
    (parts / "adapter" / CONFIG).write_text(json.dumps(config))
    whole = (parts / "adapter" / WEIGHTS).read_bytes()
    (parts / "adapter" / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated"):
        small.assemble(parts, decoder, tmp_path / "out")
    (parts / "adapter" / WEIGHTS).write_bytes(whole)
    shutil.copyfile(parts / "adapter" / WEIGHTS, parts / "visual.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        small.assemble(parts, decoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_exports_both(folder, shards, base, aligned, capsys) -> None:
    recipe = _recipe(shards, base, folder / "by_command", aligned, schedule={"total_steps": 3})
    write_recipe(recipe, folder / "recipe.toml")
    words = ["train", str(folder / "recipe.toml"), "--export", str(folder / "m")]
    assert run([*words, "--export-parts", str(folder / "p")]) == 0
    assert (folder / "m" / "model.safetensors").is_file()
    assert (folder / "p" / "adapter" / WEIGHTS).is_file()
    capsys.readouterr()


def test_the_import_command(folder, gguf_file, tiny_model_folder, capsys) -> None:
    words = ["import", str(gguf_file), "--tower", str(tiny_model_folder), "--max-pixels", "50176"]
    assert run([*words, "--out", str(folder / "i")]) == 0
    assert (
        json.loads((folder / "i" / "preprocessor_config.json").read_text())["max_pixels"] == 50176
    )
    assert run([*words, "--out", str(folder / "i")]) == 2
    assert "exists" in capsys.readouterr().err

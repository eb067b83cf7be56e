# SPDX-License-Identifier: Apache-2.0
"""Models in GGUF files compute as the checkpoint folders they were written from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager

import gguf
import pytest
import torch
from PIL import Image

from finesight.batch import pack
from finesight.checkpoints import gguf_model
from finesight.checkpoints.gguf_model import GgufSource, assembled_gguf
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError, FinesightError, MissingWeights, WeightsError
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from tests.conftest import TEXTS
from tests.support.gguf_files import random_decoder, write_gguf
from tests.support.gguf_models import write_llama_cpp, write_ollama

Kind = gguf.GGMLQuantizationType


@pytest.fixture(scope="module")
def conversation():
    pixels = torch.randint(0, 256, (84, 112, 3), generator=torch.Generator().manual_seed(0))
    picture = ImagePart(source=Image.fromarray(pixels.byte().numpy()))
    return Conversation((Message("user", (picture, TextPart("Read all the text."))),))


def logits_of(folder, conversation):
    model = load_model(folder, dtype=torch.float32)
    sample = Processor.from_folder(folder).encode(conversation)
    with torch.no_grad():
        return model.logits(model(pack([sample])))


@pytest.fixture(scope="module")
def wanted(tiny_model_folder, conversation):
    return logits_of(tiny_model_folder, conversation)


def source(folder, name="m.gguf", mmproj="mmproj-m.gguf", **more):
    return GgufSource(folder / name, mmproj and folder / mmproj, "the test's model", **more)


def assembled(made):
    with pytest.warns(UserWarning, match="reading the test's model, once"):
        return assembled_gguf(made, cache=made.model.parent / "cache")


def relative(found, wanted):
    """Error of the logits, relative to their spread."""
    return float((found - wanted).norm() / (wanted - wanted.mean()).norm())


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (Kind.F32, 1e-5),
        (Kind.F16, 2e-2),
        (Kind.BF16, 2e-2),
        (Kind.Q8_0, 5e-2),
        (Kind.Q4_1, 0.5),
        (Kind.Q4_0, 0.5),
    ],
)
def test_logits_of_llama_cpps_files(kind, most, tiny_model_folder, conversation, wanted, tmp_path):
    tower = Kind.F32 if kind == Kind.F32 else Kind.F16
    write_llama_cpp(
        tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf", kind=kind, tower=tower
    )
    folder = assembled(source(tmp_path))
    error = relative(logits_of(folder, conversation), wanted)
    assert error <= most
    if kind != Kind.F32:
        assert error > 1e-5  # the files were read, not the folder
    dtype = json.loads((folder / "config.json").read_text())["torch_dtype"]
    assert dtype == ("float32" if kind == Kind.F32 else "bfloat16")


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_0, Kind.Q4_1])
def test_values_are_those_of_the_quantisation(kind, tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf", kind=kind)
    found = load_model(assembled(source(tmp_path))).state_dict()
    stored = load_model(tiny_model_folder, dtype=torch.float32).state_dict()
    for name in ("model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight"):
        values = gguf.dequantize(gguf.quantize(stored[name].numpy(), kind), kind)
        assert torch.equal(found[name], torch.from_numpy(values).to(torch.bfloat16))
    name = "visual.blocks.0.attn.qkv.weight"
    assert torch.equal(found[name], stored[name].to(torch.bfloat16))


def test_logits_of_ollamas_file(tiny_model_folder, conversation, wanted, tmp_path):
    write_ollama(tiny_model_folder, tmp_path / "m.gguf")
    folder = assembled(source(tmp_path, mmproj=None, generation={"temperature": 0.1}))
    assert relative(logits_of(folder, conversation), wanted) < 2e-2
    assert json.loads((folder / "generation_config.json").read_text())["temperature"] == 0.1


def test_configuration_and_tokens_are_those_of_the_folder(tiny_model_folder, tmp_path):
    from finesight.config.model import ModelConfig

    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    write_ollama(tiny_model_folder, tmp_path / "o.gguf", kind=Kind.F32, tower=Kind.F32)
    theirs = Processor.from_folder(tiny_model_folder)
    for made in (source(tmp_path), source(tmp_path, "o.gguf", None)):
        folder = assembled(made)
        assert ModelConfig.from_folder(folder) == ModelConfig.from_folder(tiny_model_folder)
        ours = Processor.from_folder(folder)
        for name in ("image_mean", "image_std", "min_pixels", "max_pixels"):
            assert getattr(ours.config, name) == pytest.approx(
                getattr(theirs.config, name), abs=1e-7
            )
        for text in (*TEXTS, "[PAD420] <|im_start|> été 你好"):
            assert ours.tokenizer.encode(text) == theirs.tokenizer.encode(text)


def test_a_second_use_reads_nothing(tiny_model_folder, tmp_path, monkeypatch, recwarn):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    folder = assembled(source(tmp_path))
    monkeypatch.setattr(gguf_model, "_opened", None)
    assert assembled_gguf(source(tmp_path), cache=tmp_path / "cache") == folder
    monkeypatch.undo()
    (folder / "model.safetensors").write_bytes(b"")  # a cache that lost bytes is made again
    assert assembled(source(tmp_path)) == folder
    assert (folder / "model.safetensors").stat().st_size > 1000


def test_shards_are_written_one_by_one(tiny_model_folder, conversation, tmp_path, monkeypatch):
    from functools import partial

    from finesight.model import weights

    monkeypatch.setattr(
        gguf_model, "write_shards", partial(weights.write_shards, max_shard_bytes=100_000)
    )
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    folder = assembled(source(tmp_path))
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert (
        relative(logits_of(folder, conversation), logits_of(tiny_model_folder, conversation)) < 1e-5
    )


def test_the_vision_tower_is_found_beside_the_model(tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    with pytest.warns(UserWarning, match=r"\(0.0 GB, float32\); its licence: apache-2.0"):
        assert assembled_gguf(source(tmp_path, mmproj=None), cache=tmp_path / "cache").is_dir()
    (tmp_path / "mmproj-2.gguf").write_bytes((tmp_path / "mmproj-m.gguf").read_bytes())
    with pytest.raises(ConfigError, match="2 vision towers beside"):
        assembled_gguf(source(tmp_path, mmproj=None), cache=tmp_path / "other")
    for path in tmp_path.glob("mmproj*"):
        path.unlink()
    with pytest.raises(MissingWeights, match="language model alone"):
        assembled_gguf(source(tmp_path, mmproj=None), cache=tmp_path / "other")


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"projector": "qwen2vl_merger"}, ConfigError, "vision part of Qwen2-VL"),
        ({"projector": "gemma3"}, ConfigError, "vision part of another model"),
        ({"n_wa_pattern": None}, ConfigError, "has no value 'clip.vision.n_wa_pattern'"),
        ({"without": "v.blk.1.attn_k.bias"}, WeightsError, "no tensor 'v.blk.1.attn_k.bias'"),
        ({"without": "mm.2"}, WeightsError, r"no tensor 'mm\.2\.weight'"),
        ({"width": 128}, ConfigError, "rotary sections|width"),
        ({"splits": 3}, ConfigError, "one of 3 parts"),
    ],
)
def test_files_that_do_not_hold_the_model(changed, error, said, tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf", **changed)
    with pytest.raises(error, match=said), quiet():
        assembled_gguf(source(tmp_path), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@contextmanager
def quiet():
    """Without the note that a folder is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_other_architectures(tiny_backend, tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    llama = random_decoder("llama", tiny_backend.get_vocab_size())
    write_gguf(tmp_path / "l.gguf", llama, tiny_backend, "llama")
    with pytest.raises(ConfigError, match="architecture 'llama', expected qwen2vl or qwen25vl"):
        assembled_gguf(source(tmp_path, "l.gguf"), cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"architecture 'llama', expected a vision tower"):
        assembled_gguf(source(tmp_path, mmproj="l.gguf"), cache=tmp_path / "cache")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["m.gguf", "mmproj-m.gguf"])
def test_truncated_files(share, name, tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FinesightError) as caught:
        assembled_gguf(source(tmp_path), cache=tmp_path / "cache")
    assert name in caught.value.message
    assert not list((tmp_path / "cache").rglob("config.json"))


def test_damaged_headers_are_errors_that_name_the_file(tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    content = (tmp_path / "mmproj-m.gguf").read_bytes()
    generator = torch.Generator().manual_seed(5)
    messages = []
    for _ in range(60):
        damaged = bytearray(content)
        for place in torch.randint(8, 1500, (4,), generator=generator).tolist():
            damaged[place] ^= 0xFF
        (tmp_path / "mmproj-m.gguf").write_bytes(damaged)
        with quiet():
            try:
                assembled_gguf(source(tmp_path), cache=tmp_path / "cache")
            except FinesightError as error:
                messages.append(error.message)
    assert len(messages) > 30
    assert all("gguf" in each for each in messages)


def test_a_wrong_checksum(tiny_model_folder, tmp_path):
    write_ollama(tiny_model_folder, tmp_path / "m.gguf")
    made = source(tmp_path, mmproj=None, digests={tmp_path / "m.gguf": "0" * 64})
    with pytest.raises(WeightsError, match="has the SHA-256"), quiet():
        assembled_gguf(made, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("config.json"))


KILLED = """
import os, signal, sys
from pathlib import Path
from finesight.checkpoints import gguf_model
from finesight.model import weights

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

gguf_model.write_receipt = die
folder = Path(sys.argv[1])
source = gguf_model.GgufSource(folder / "m.gguf", None, "the test's model")
gguf_model.assembled_gguf(source, cache=folder / "cache")
"""


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_used(tiny_model_folder, tmp_path):
    write_ollama(tiny_model_folder, tmp_path / "m.gguf")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ), check=False
    )
    assert done.returncode == -signal.SIGKILL
    made = source(tmp_path, mmproj=None)
    left = list((tmp_path / "cache").rglob("config.json"))
    assert left  # it had been about to finish
    folder = assembled(made)
    assert load_model(folder)
    assert [path.name for path in (tmp_path / "cache/gguf").glob("*") if path.is_dir()] == [
        folder.name
    ]


def test_another_tower_beside_the_model_is_another_folder(tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    beside = source(tmp_path, mmproj=None)
    first = assembled(beside)
    assert assembled_gguf(source(tmp_path), cache=tmp_path / "cache") == first
    content = (tmp_path / "mmproj-m.gguf").read_bytes()
    (tmp_path / "mmproj-m.gguf").write_bytes(content[:-4] + b"\0\0\0\0")
    assert assembled(beside) != first
    (tmp_path / "mmproj-2.gguf").write_bytes(content)
    with pytest.raises(ConfigError, match="2 vision towers beside"):
        assembled_gguf(beside, cache=tmp_path / "cache")

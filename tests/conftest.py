# SPDX-License-Identifier: Apache-2.0
"""What many tests need: a small tokenizer, a small random model in a folder, drawn pictures.

Nothing is downloaded and nothing depends on the clock: every random number has a fixed seed.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from finesight.threads import prepare

prepare()  # before a test imports torch


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


def pytest_collection():
    gc.disable()  # thousands of tests and all of torch are walked through again and again, and nothing of it is garbage


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def update_golden(request) -> bool:
    """Whether golden files are written instead of compared."""
    return request.config.getoption("--update-golden")


QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 vocabularies cut text before BPE."""

TEXTS = (
    "Read all the text in the image. Locate the small red square, output its bbox coordinates.",
    '```json\n[\n\t{"bbox_2d": [43, 571, 209, 753], "label": "red square"}\n]\n```',
    "The given query happens in 64.0 - 72.0 seconds. You are a helpful assistant.",
)


def build_tokenizer():
    """A byte-level BPE of about 400 tokens, with the official control tokens by name."""
    import tokenizers
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers

    from finesight.text.special_tokens import ADDED_TEXT_TOKENS, SPECIAL_TOKENS

    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.add_special_tokens([AddedToken(n, normalized=False) for n in SPECIAL_TOKENS])
    backend.add_tokens([AddedToken(n, normalized=False) for n in ADDED_TEXT_TOKENS])
    return backend


def tiny_config(backend) -> dict:
    """A published-style `config.json`: 2 decoder layers, 4 vision blocks, windowed and full."""
    size = 64 * -(-backend.get_vocab_size() // 64)
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "bos_token_id": backend.token_to_id("<|endoftext|>"),
        "eos_token_id": backend.token_to_id("<|im_end|>"),
        "pad_token_id": backend.token_to_id("<|endoftext|>"),
        "vision_start_token_id": backend.token_to_id("<|vision_start|>"),
        "vision_end_token_id": backend.token_to_id("<|vision_end|>"),
        "vision_token_id": backend.token_to_id("<|vision_pad|>"),
        "image_token_id": backend.token_to_id("<|image_pad|>"),
        "video_token_id": backend.token_to_id("<|video_pad|>"),
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "max_position_embeddings": 4096,
        "max_window_layers": 2,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "sliding_window": 4096,
        "use_sliding_window": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "vocab_size": size,
        "vision_config": {
            "depth": 4,
            "hidden_act": "silu",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": 64,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1, 3],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
    }


PREPROCESSOR = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}


def write_tiny_folder(folder: Path, *, seed: int = 0) -> Path:
    """Write a whole checkpoint folder with random weights."""
    import torch

    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel
    from finesight.model.weights import save_model

    backend = build_tokenizer()
    config = tiny_config(backend)
    torch.manual_seed(seed)
    model = VisionLanguageModel(ModelConfig.from_hf(config)).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Wide, so that every layer matters and best tokens stand apart; norms near one.
            is_norm = (parameter.ndim == 1 and "norm" in name) or name.endswith("ln_q.weight")
            parameter.normal_(1.0 if is_norm else 0.0, 0.1 if is_norm else 0.15)
    save_model(model, folder)
    backend.save(str(folder / "tokenizer.json"))
    for name, content in (
        ("config.json", config),
        ("preprocessor_config.json", PREPROCESSOR),
        (
            "generation_config.json",
            {"eos_token_id": [config["eos_token_id"], config["pad_token_id"]]},
        ),
    ):
        (folder / name).write_text(json.dumps(content, indent=2))
    return folder


@pytest.fixture(scope="session")
def tiny_backend():
    """The `tokenizers` object behind `tiny_tokenizer`; treat as read-only."""
    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_hf_config(tiny_backend) -> dict:
    """The published-style `config.json` of the tiny model."""
    return tiny_config(tiny_backend)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A `Tokenizer` of about 400 tokens."""
    from finesight.text.tokenizer import Tokenizer

    return Tokenizer(build_tokenizer(), source="tiny tokenizer")


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory) -> Path:
    """A checkpoint folder as published ones are, with random weights."""
    return write_tiny_folder(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def picture():
    """112 x 84 pixels: a red square and a blue disc on white."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (112, 84), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((10, 12, 40, 42), fill="red")
    pen.ellipse((60, 30, 100, 70), fill="blue")
    return image


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory, picture) -> Path:
    """`picture` as a PNG."""
    path = tmp_path_factory.mktemp("pictures") / "shapes.png"
    picture.save(path)
    return path


@pytest.fixture(scope="session")
def video_file(tmp_path_factory) -> Path:
    """Two seconds of 10 frames per second, 112 x 84: a square that moves to the right."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("videos") / "moving.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 112, 84, "yuv420p"
        for index in range(20):
            pixels = np.full((84, 112, 3), 255, dtype=np.uint8)
            pixels[30:50, 4 * index : 4 * index + 20] = (255, 0, 0)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def answers(monkeypatch):
    """Let a responder answer all questions of the server's applications."""
    from finesight.server.asking import Asking

    def use(responder):
        monkeypatch.setattr(Asking, "respond", lambda _, asked, how: responder.respond(asked, how))

    return use

# SPDX-License-Identifier: Apache-2.0
"""GGUF files of a model hold its values, its shape and its tokenizer; what llama.cpp cannot compute is refused."""

from __future__ import annotations

import json
import shutil

import gguf
import numpy as np
import pytest
import torch

from finesight.checkpoints import gguf as reader
from finesight.checkpoints.export.gguf_file import checked_gguf_weights, encoded
from finesight.checkpoints.export.gguf_model import (
    token_limits,
    write_language_model,
    write_vision_tower,
)
from finesight.checkpoints.export.plain import plain_model
from finesight.errors import ConfigError, WeightsError
from finesight.model.weights import load_model

Kind = gguf.GGMLQuantizationType


def written(folder, out, weights="f16", model=None):
    """Both files, and how often progress was reported."""
    model = model or plain_model(folder)
    calls = []
    shared = {"name": "toy", "on_tensor": lambda done, total: calls.append((done, total))}
    write_language_model(model, folder, out / "m.gguf", weights, license_name="mit", **shared)
    write_vision_tower(model, folder, out / "v.gguf", weights, **shared)
    return gguf.GGUFReader(out / "m.gguf"), gguf.GGUFReader(out / "v.gguf"), calls


def values_of(file):
    return {
        each.name: gguf.dequantize(each.data, each.tensor_type).reshape(
            tuple(int(side) for side in reversed(each.shape))
        )
        for each in file.tensors
    }


def contents(file, key):
    return file.fields[key].contents()


def test_shape_and_tokenizer_are_stored(tiny_model_folder, tmp_path):
    language, vision, calls = written(tiny_model_folder, tmp_path)
    assert contents(language, "general.architecture") == "qwen2vl"
    assert contents(language, "qwen2vl.rope.dimension_sections") == [4, 6, 6, 0]
    assert contents(language, "qwen2vl.attention.head_count_kv") == 1
    assert contents(language, "general.license") == "mit"
    assert contents(language, "tokenizer.ggml.pre") == "qwen2"
    texts = contents(language, "tokenizer.ggml.tokens")
    config = load_model(tiny_model_folder).config
    assert len(texts) == config.text.vocab_size
    assert texts[config.special_tokens.image_pad] == "<|image_pad|>"
    assert texts[contents(language, "tokenizer.ggml.eos_token_id")] == "<|im_end|>"
    assert texts[-1].startswith("[PAD")
    types = contents(language, "tokenizer.ggml.token_type")
    assert (types[texts.index("<|im_end|>")], types[texts.index("<tool_call>")], types[-1]) == (
        3,
        4,
        5,
    )
    assert "<|vision_start|>" in contents(language, "tokenizer.chat_template")
    assert contents(vision, "clip.projector_type") == "qwen2.5vl_merger"
    assert contents(vision, "clip.vision.n_wa_pattern") == 2
    assert contents(vision, "clip.use_silu") is True
    assert contents(vision, "clip.vision.image_max_pixels") == 12845056
    assert (calls[0][0], calls[-1]) == (0, (len(vision.tensors),) * 2)


def test_values_are_those_of_the_model(tiny_model_folder, tmp_path):
    """In bfloat16, which the weights are rounded to before, matrices and vectors are equal."""
    model = plain_model(tiny_model_folder, dtype=torch.bfloat16)
    files = written(tiny_model_folder, tmp_path, "bf16", model)
    language, vision = (values_of(each) for each in files[:2])
    state = {name: value.float().numpy() for name, value in model.state_dict().items()}
    assert np.array_equal(
        language["blk.1.ffn_down.weight"], state["model.layers.1.mlp.down_proj.weight"]
    )
    assert np.array_equal(
        language["blk.0.attn_k.bias"], state["model.layers.0.self_attn.k_proj.bias"]
    )
    thirds = [vision[f"v.blk.3.attn_{each}.weight"] for each in "qkv"]
    assert np.array_equal(np.concatenate(thirds), state["visual.blocks.3.attn.qkv.weight"])
    frames = [vision["v.patch_embd.weight"], vision["v.patch_embd.weight.1"]]
    assert np.array_equal(np.stack(frames, axis=2), state["visual.patch_embed.proj.weight"])
    assert np.array_equal(vision["mm.2.bias"], state["visual.merger.mlp.2.bias"])
    assert (
        len(language) + len(vision) == len(state) + 1 + 4 * 2 * 2
    )  # a frame more, q, k and v apart


def test_our_reader_reads_the_language_model(tiny_model_folder, tmp_path, monkeypatch):
    written(
        tiny_model_folder, tmp_path, "bf16", plain_model(tiny_model_folder, dtype=torch.bfloat16)
    )
    monkeypatch.setattr(reader.GgufDecoder, "architectures", ("qwen2vl",))
    found = reader.GgufDecoder(tmp_path / "m.gguf")
    model = load_model(tiny_model_folder)
    ours = model.config.text
    of_decoder = {"mrope_section": found.config().mrope_section, "raster_positions": True}
    assert found.config() == ours.model_copy(update=of_decoder)
    text = "You are a helpful assistant. 42 <|im_end|>"
    import tokenizers

    wanted = tokenizers.Tokenizer.from_file(str(tiny_model_folder / "tokenizer.json"))
    assert found.tokenizer().encode(text).ids == wanted.encode(text).ids
    tensors = dict(found.tensors())
    state = model.state_dict()
    assert tensors.keys() == {name for name in state if not name.startswith("visual.")}
    for name, value in tensors.items():
        assert torch.equal(value, state[name].to(torch.bfloat16).float()), name


@pytest.mark.parametrize(
    ("weights", "kind", "steps"), [("q8_0", Kind.Q8_0, 254), ("q4_0", Kind.Q4_0, 15)]
)
def test_quantised_matrices_are_close(tiny_model_folder, tmp_path, weights, kind, steps):
    """Within half a step of a block's range, and a little for the rounding of the scale."""
    language, vision, _ = written(tiny_model_folder, tmp_path, weights)
    kinds = {each.name: each.tensor_type for each in language.tensors}
    assert kinds["blk.0.attn_q.weight"] == kind
    assert kinds["token_embd.weight"] == Kind.Q8_0
    assert kinds["blk.0.attn_norm.weight"] == kinds["blk.0.attn_q.bias"] == Kind.F32
    towers = {each.name: each.tensor_type for each in vision.tensors}
    assert towers["v.patch_embd.weight"] == Kind.F32
    assert towers["v.blk.0.ffn_down.weight"] == Kind.F16  # 48 columns
    assert towers["v.blk.0.ffn_up.weight"] == kind  # 32 columns
    weight = load_model(tiny_model_folder).state_dict()["model.layers.0.self_attn.q_proj.weight"]
    difference = values_of(language)["blk.0.attn_q.weight"] - weight.float().numpy()
    step = 2 * weight.float().reshape(-1, 32).abs().amax(1).max().item() / steps
    assert 0 < np.abs(difference).max() < 1.1 * step


def test_a_separate_output_head_is_stored(tiny_model_folder, tmp_path):
    folder = copy_of(tiny_model_folder, tmp_path, config={"tie_word_embeddings": False})
    model = load_model(tiny_model_folder)
    state = model.state_dict()
    state["lm_head.weight"] = state["model.embed_tokens.weight"] * 2
    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel

    untied = VisionLanguageModel(ModelConfig.from_folder(folder)).eval()
    untied.load_state_dict(state)
    language, _, _ = written(folder, tmp_path, "bf16", untied)
    values = values_of(language)
    assert np.array_equal(values["output.weight"], 2 * values["token_embd.weight"])


def copy_of(folder, tmp_path, *, config=None, tokenizer=None):
    """The folder with changed values."""
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    for name, changes in (("config.json", config), ("tokenizer.json", tokenizer)):
        if changes:
            content = json.loads((copy / name).read_text())
            for path, value in changes.items():
                *parents, last = path.split(".")
                place = content
                for each in parents:
                    place = place[each]
                place[last] = value
            (copy / name).write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vision_config.fullatt_block_indexes": [0, 3]}, "full attention in blocks"),
        ({"vision_config.fullatt_block_indexes": [1]}, "full attention in blocks"),
        ({"vision_config.window_size": 224}, "vision.window_size is 224"),
    ],
)
def test_a_tower_that_llama_cpp_cannot_compute_is_refused(
    tiny_model_folder, tmp_path, config, words
):
    folder = copy_of(tiny_model_folder, tmp_path, config=config)
    with pytest.raises(ConfigError, match=words):
        write_vision_tower(
            plain_model(folder),
            folder,
            tmp_path / "v.gguf",
            "f16",
            name="x",
            on_tensor=lambda *_: None,
        )
    assert not (tmp_path / "v.gguf").exists()


@pytest.mark.parametrize(
    ("tokenizer", "words"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "no name in llama.cpp"),
        ({"model.type": "Unigram"}, "expected BPE"),
        ({"decoder": None}, "is no tokenizer file"),
        ({"model.vocab.zzz": 5000}, "id 5000"),
    ],
)
def test_a_tokenizer_without_counterpart_is_refused(tiny_model_folder, tmp_path, tokenizer, words):
    folder = copy_of(tiny_model_folder, tmp_path, tokenizer=tokenizer)
    with pytest.raises(ConfigError, match=words):
        written(folder, tmp_path)


def test_yarn_is_stored_except_for_a_factor_of_its_own(tiny_model_folder, tmp_path):
    rope = {
        "type": "yarn",
        "mrope_section": [4, 6, 6],
        "factor": 4.0,
        "original_max_position_embeddings": 1024,
    }
    folder = copy_of(tiny_model_folder, tmp_path, config={"rope_scaling": rope})
    language, _, _ = written(folder, tmp_path)
    assert contents(language, "qwen2vl.rope.scaling.type") == "yarn"
    assert contents(language, "qwen2vl.rope.scaling.original_context_length") == 1024
    (tmp_path / "two").mkdir()
    other = copy_of(
        tiny_model_folder,
        tmp_path / "two",
        config={"rope_scaling": rope | {"attention_factor": 2.0}},
    )
    with pytest.raises(ConfigError, match="attention_factor"):
        written(other, tmp_path)


def test_raster_positions_are_refused(tiny_model_folder, tmp_path):
    rope = {"type": "mrope_raster", "mrope_section": [4, 6, 6]}
    folder = copy_of(tiny_model_folder, tmp_path, config={"rope_scaling": rope})
    with pytest.raises(ConfigError, match="has raster positions"):
        written(folder, tmp_path)


def test_a_value_beyond_float16_is_refused_but_fits_bfloat16():
    values = torch.full((1, 32), 1e6)
    for kind in (Kind.F16, Kind.Q8_0, Kind.Q4_0):
        with pytest.raises(WeightsError, match=r"1e\+06.*65504"):
            encoded("a", values, kind)
    assert np.allclose(gguf.dequantize(encoded("a", values, Kind.BF16), Kind.BF16), 1e6, rtol=2**-8)


def test_unknown_weights_are_named():
    with pytest.raises(ConfigError, match="q5_1"):
        checked_gguf_weights("q5_1")


def test_limits_are_in_visual_tokens(tiny_model_folder):
    config = load_model(tiny_model_folder).config
    assert token_limits(tiny_model_folder, config) == (4, 16384)

# SPDX-License-Identifier: Apache-2.0
"""Text decoders from GGUF files compute as the models they were written from."""

from __future__ import annotations

import json
import shutil

import gguf
import numpy as np
import pytest
import torch

from finesight.batch import pack
from finesight.checkpoints.decoder import import_decoder, open_decoder
from finesight.checkpoints.gguf import GgufDecoder
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.doctor.reference import load_reference
from finesight.errors import ConfigError, WeightsError
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from tests.conftest import TEXTS, build_tokenizer
from tests.support.gguf_files import random_decoder, write_gguf

Kind = gguf.GGMLQuantizationType


@pytest.fixture(scope="module")
def backend():
    return build_tokenizer()


@pytest.fixture(scope="module")
def decoders(backend):
    size = backend.get_vocab_size(with_added_tokens=True)
    return {each: random_decoder(each, size) for each in ("llama", "qwen2")}


def logits_of(folder, ids):
    model = load_model(folder, dtype=torch.float32)
    processor = Processor.from_folder(folder)
    said = Conversation((Message("user", (TextPart("x"),)),))
    sample = processor.encode(said)
    positions = torch.arange(len(ids)).expand(3, -1)
    batch = pack([_with(sample, ids, positions)])
    with torch.no_grad():
        return model.logits(model(batch))


def _with(sample, ids, positions):
    from dataclasses import replace

    return replace(
        sample,
        input_ids=torch.tensor(ids),
        labels=torch.full((len(ids),), -100),
        position_ids=positions,
    )


@pytest.mark.parity
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_logits_of_text_are_those_of_transformers(
    architecture, decoders, backend, tiny_model_folder, tmp_path
) -> None:
    """Both sides in float32; the imported weights are rounded to bfloat16, so the reference's are rounded, too."""
    reference = decoders[architecture]
    with torch.no_grad():
        for weight in reference.parameters():
            weight.copy_(weight.to(torch.bfloat16).float())
    write_gguf(tmp_path / "d.gguf", reference, backend, architecture)
    import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    ids = list(range(5, 60, 2))
    with torch.no_grad():
        wanted = reference(torch.tensor([ids])).logits[0]
    torch.testing.assert_close(logits_of(tmp_path / "out", ids), wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [Kind.F16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1])
def test_quantised_tensors_are_dequantised(kind, decoders, backend, tmp_path) -> None:
    """Values differ by at most half a step of the quantisation: a sixteenth of the range of a block of 32."""
    if kind == Kind.F16:
        model = random_decoder("llama", backend.get_vocab_size()).half()
        write_gguf(tmp_path / "d.gguf", model.float(), backend, "llama")
    else:
        write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", kind=kind)
    found = dict(GgufDecoder(tmp_path / "d.gguf").tensors())
    source = decoders["llama"].state_dict()
    for name in ("model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight"):
        blocks = source[name].reshape(-1, 32)
        step = (blocks.amax(1) - blocks.amin(1)).max() / 14
        assert (found[name] - source[name]).abs().max() <= step


def test_the_vocabulary_is_that_of_the_file(decoders, backend, tmp_path) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    found = GgufDecoder(tmp_path / "d.gguf").tokenizer()
    for text in (*TEXTS, "two  spaces\n\n1234 été 你好"):
        assert found.encode(text, add_special_tokens=False).ids == backend.encode(text).ids


def test_smollm_splits_digits(decoders, backend, tmp_path) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", pre="smollm")
    tokens = GgufDecoder(tmp_path / "d.gguf").tokenizer().encode("a 1234").tokens
    assert tokens[-4:] == ["1", "2", "3", "4"]


def test_unused_control_tokens_get_the_names_of_qwen(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    """A vocabulary with ChatML and thirteen control tokens of its own: these are renamed, in order of their ids."""
    text = backend.to_str()
    from finesight.checkpoints.decoder import _NEEDED_TOKENS

    for index, name in enumerate(_NEEDED_TOKENS):
        text = text.replace(name, f"<unused_{index:02}>")
    import tokenizers

    other = tokenizers.Tokenizer.from_str(text)
    other.add_special_tokens([f"<unused_{index:02}>" for index in range(len(_NEEDED_TOKENS))])
    write_gguf(tmp_path / "d.gguf", decoders["llama"], other, "llama")
    import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    processor = Processor.from_folder(tmp_path / "out")
    for index, name in enumerate(_NEEDED_TOKENS):
        assert processor.tokenizer.special_id(name) == other.token_to_id(f"<unused_{index:02}>")


def test_a_visual_token_starts_as_the_mean_letter(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    model = load_model(tmp_path / "out", dtype=torch.float32)
    merger = model.visual.merger.mlp[2]
    letters = [backend.encode(chr(code)).ids[0] for code in range(33, 127)]
    mean = model.model.embed_tokens.weight[letters].mean(0)
    assert not merger.weight.any()
    torch.testing.assert_close(merger.bias, mean, atol=2e-3, rtol=1e-2)  # bfloat16


def test_raster_positions_are_stored_and_used(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    """Other programs must refuse the folder: they would number the visual tokens as Qwen2.5-VL does."""
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "config.json").read_text())
    assert stored["rope_scaling"]["type"] == "mrope_raster"
    processor = Processor.from_folder(tmp_path / "out")
    assert processor.model_config.text.raster_positions
    picture = ImagePart(source=np.zeros((112, 112, 3), dtype=np.uint8))
    sample = processor.encode(Conversation((Message("user", (picture, TextPart("Read."))),)))
    assert len(sample.visual_index) == 16
    assert sample.position_ids[0].tolist() == list(range(len(sample.input_ids)))
    assert sample.position_ids[2].max() == sample.position_ids[0].max()
    assert len(set(sample.position_ids[1, sample.visual_index].tolist())) == 4
    with pytest.raises(ConfigError, match="its model has raster positions"):
        load_reference(tmp_path / "out", torch.float32)


def test_new_blocks_of_the_tower_change_nothing(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    """Up to the merger, whose last layer is zero anyway: the states before it are compared."""
    from finesight.config.model import ModelConfig

    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    decoder = GgufDecoder(tmp_path / "d.gguf")
    config = ModelConfig.from_folder(tiny_model_folder).vision
    every = config.full_attention_layers[0] + 1
    import_decoder(decoder, tiny_model_folder, tmp_path / "deep", extra_blocks=every)
    deep = load_model(tmp_path / "deep", dtype=torch.float32)
    assert deep.config.vision.depth == config.depth + every
    assert deep.config.vision.full_attention_layers[-1] == config.depth + every - 1
    for block in deep.visual.blocks[config.depth :]:
        assert not block.attn.proj.weight.any()
        assert not block.mlp.down_proj.weight.any()
        assert block.attn.qkv.weight.any()
    with pytest.raises(ConfigError, match="multiple of"):
        import_decoder(decoder, tiny_model_folder, tmp_path / "odd", extra_blocks=every + 1)
    assert not (tmp_path / "odd").exists()


@pytest.mark.parametrize("kept", [0, 3, 100, 4000, -40])
def test_a_truncated_file_is_an_error(kept, decoders, backend, tmp_path) -> None:
    path = tmp_path / "d.gguf"
    write_gguf(path, decoders["llama"], backend, "llama")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"d\.gguf is not a complete GGUF file"):
        GgufDecoder(path)


def test_a_file_of_another_kind_is_an_error(tmp_path) -> None:
    (tmp_path / "d.gguf").write_bytes(b"\x89PNG" + bytes(5000))
    with pytest.raises(WeightsError, match="not a complete GGUF file"):
        GgufDecoder(tmp_path / "d.gguf")
    with pytest.raises(WeightsError, match="none"):
        GgufDecoder(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"written_as": "gemma3"}, "architecture 'gemma3', expected llama or qwen2"),
        ({"pre": "tekken"}, "pre-tokenizer 'tekken'"),
        ({"tokenizer_model": "llama"}, "tokenizer of kind 'llama'"),
        ({"extra_tensor": "blk.0.ffn_gate_exps.weight"}, "ffn_gate_exps"),
        ({"extra_tensor": "blk.7.attn_q.weight"}, "attn_q.weight in .* has 4 rows for heads of 16"),
        ({"extra_tensor": "blk.0.attn_v.scale"}, "does not fit .* Unexpected key.*v_proj.scale"),
        ({"without": "output_norm.weight"}, "does not fit .* Missing key.*model.norm.weight"),
        ({"without": "token_embd.weight"}, "has no tensor 'token_embd.weight'"),
        (
            {"extra_tensor": "rope_freqs.weight", "extra_value": np.full(8, 2.0, np.float32)},
            "has scaled rotary frequencies",
        ),
        ({"num_heads": 0}, "num_attention_heads = 0, expected a positive number"),
        ({"num_heads": 3}, "hidden_size 64 does not divide by 3 heads"),
        ({"merges": ["zzq qqz"]}, "merges in .* do not fit its tokens: .*zzq"),
        ({"types": [3, 3]}, "tokens with .* types"),
        ({"tokens": ["er"], "types": [1]}, "token 'er' twice"),
        ({"tokens": ["zzq"], "types": [1]}, "tokens, but only .* embeddings"),
        ({"with_value": np.full((390, 64), np.nan, np.float32)}, "NaN or infinite"),
        ({"with_value": np.zeros(390, np.float32)}, r"embedding of shape \(390,\)"),
    ],
)
def test_what_cannot_be_imported_is_named(
    changed, words, decoders, backend, tiny_model_folder, tmp_path
) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", **changed)
    with pytest.raises((ConfigError, WeightsError), match=words) as raised:
        import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    assert raised.value.hint
    assert [each.name for each in tmp_path.iterdir()] == ["d.gguf"]


def test_a_qwen2_decoder_without_biases_is_incomplete(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["qwen2"], backend, "qwen2", without=".bias")
    with pytest.raises(WeightsError, match=r"Missing key.*q_proj\.bias"):
        import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")


def test_biases_of_a_llama_decoder_are_kept(decoders, backend, tmp_path) -> None:
    """Those of q are in the order of interleaved pairs, as its rows: 0, 8, 1, 9, ... of a head of 16."""
    stored = np.arange(64, dtype=np.float32).reshape(4, 2, 8).swapaxes(1, 2).reshape(64).copy()
    changed = {"extra_tensor": "blk.0.attn_q.bias", "extra_value": stored}
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", **changed)
    found = dict(GgufDecoder(tmp_path / "d.gguf").tensors())
    assert found["model.layers.0.self_attn.q_proj.bias"].tolist() == list(range(64))
    assert not found["model.layers.1.self_attn.q_proj.bias"].any()


def test_a_full_disk_leaves_nothing(
    decoders, backend, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    from finesight.model import shards

    def full(*_, **__):
        raise shards.SafetensorError("I/O error: No space left on device")

    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    monkeypatch.setattr(shards, "save_file", full)
    with pytest.raises(WeightsError, match=r"out cannot be written: .*No space left"):
        import_decoder(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["d.gguf"]


def test_the_pixel_budget_is_checked_and_found_in_every_layout(
    decoders, backend, tiny_model_folder, tmp_path
) -> None:
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    decoder = GgufDecoder(tmp_path / "d.gguf")
    with pytest.raises(ConfigError, match="max_pixels 784 is below the min_pixels 3136"):
        import_decoder(decoder, tiny_model_folder, tmp_path / "out", max_pixels=784)
    assert not (tmp_path / "out").exists()
    tower = tmp_path / "tower"
    shutil.copytree(tiny_model_folder, tower)
    older = json.loads((tower / "preprocessor_config.json").read_text())
    (tower / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"has no preprocessor_config\.json"):
        import_decoder(decoder, tower, tmp_path / "out")
    (tower / "processor_config.json").write_text(json.dumps({"image_processor": older}))
    import_decoder(decoder, tower, tmp_path / "out", max_pixels=50176)
    assert Processor.from_folder(tmp_path / "out").config.max_pixels == 50176


@pytest.mark.parity
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_folder_of_transformers_is_read_like_a_gguf_file(
    architecture, decoders, backend, tmp_path
) -> None:
    decoders[architecture].save_pretrained(tmp_path / "hf")
    backend.save(str(tmp_path / "hf" / "tokenizer.json"))
    write_gguf(tmp_path / "d.gguf", decoders[architecture], backend, architecture)
    folder, file = open_decoder(tmp_path / "hf"), open_decoder(tmp_path / "d.gguf")
    assert folder.config() == file.config()
    assert folder.added_tokens() == file.added_tokens()
    ours, theirs = dict(folder.tensors()), dict(file.tensors())
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=0, rtol=0)
    renamed = folder.tokenizer(lambda name: name.replace("<|im_end|>", "<|stop|>"))
    assert renamed.token_to_id("<|stop|>") == backend.token_to_id("<|im_end|>")
    assert renamed.encode(TEXTS[1]).ids == backend.encode(TEXTS[1]).ids


def test_a_folder_that_cannot_be_imported_is_named(decoders, backend, tmp_path) -> None:
    with pytest.raises(ConfigError, match="there is no decoder"):
        open_decoder(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        open_decoder(tmp_path)
    decoders["llama"].save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"has no tokenizer\.json"):
        open_decoder(tmp_path)
    backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(ConfigError, match="is not a BPE tokenizer"):
        open_decoder(tmp_path).added_tokens()
    config = tmp_path / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"rope_type": "default"', '"rope_type": "llama3"'))
    with pytest.raises(ConfigError, match="'llama3'"):
        open_decoder(tmp_path).config()
    for key, value in {"hidden_act": "gelu", "use_sliding_window": True}.items():
        config.write_text(json.dumps({**json.loads(text), key: value}))
        with pytest.raises(ConfigError, match=f"config.json has {key} = {value!r}, expected"):
            open_decoder(tmp_path).config()
    config.write_text(text.replace('"model_type": "llama"', '"model_type": "phi3"'))
    with pytest.raises(ConfigError, match="architecture 'phi3', expected llama or qwen2"):
        open_decoder(tmp_path)

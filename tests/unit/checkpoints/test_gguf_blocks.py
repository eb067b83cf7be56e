# SPDX-License-Identifier: Apache-2.0
"""Blocks of GGUF files become packed weights with the same values."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.checkpoints import gguf_blocks
from finesight.checkpoints.decoder import import_decoder
from finesight.checkpoints.gguf import GgufDecoder
from finesight.checkpoints.gguf_blocks import import_blocks, read_blocks
from finesight.checkpoints.packed import open_packed, read_receipt
from finesight.errors import ConfigError, WeightsError
from finesight.kernels.formats import pack, unpack
from finesight.model.packed import PackedLinear, packed_as
from finesight.model.weights import load_model
from tests.conftest import build_tokenizer
from tests.support.compiled import compiled
from tests.support.gguf_files import random_decoder, write_gguf

Kind = gguf.GGMLQuantizationType
KINDS = {Kind.Q8_0: "int8", Kind.Q4_0: "int4", Kind.Q4_1: "int4_min"}


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    compiled()


@pytest.fixture(scope="module")
def backend():
    return build_tokenizer()


@pytest.fixture(scope="module")
def decoders(backend):
    size = backend.get_vocab_size(with_added_tokens=True)
    return {each: random_decoder(each, size) for each in ("llama", "qwen2")}


@torch.inference_mode()
def logits(model):
    ids = torch.arange(5, 60, 2)
    plan = AttentionPlan.from_lengths([len(ids)], causal=True)
    positions = torch.arange(len(ids)).expand(3, -1)
    return model.logits(model(PackedBatch.from_tokens(ids, positions, plan))).float()


def linears(model):
    return {name: one for name, one in model.named_modules() if isinstance(one, PackedLinear)}


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_values_of_kept_blocks_are_those_of_the_file(
    architecture, kind, decoders, backend, tiny_model_folder, tmp_path
):
    """Bit by bit; the rows of q and k of llama files in the order of split halves."""
    write_gguf(tmp_path / "d.gguf", decoders[architecture], backend, architecture, kind=kind)
    decoder = GgufDecoder(tmp_path / "d.gguf")
    lines = import_blocks(decoder, tiny_model_folder, tmp_path / "out")
    model = open_packed(tmp_path / "out", None, attention="sdpa")
    exact = dict(decoder.tensors())
    assert packed_as(model) == KINDS[kind]
    found = linears(model)
    assert len(found) == 2 * 7 + 1
    for name, layer in found.items():
        wanted = exact.get(f"{name}.weight")
        if name == "lm_head.packed":
            wanted = exact[
                "lm_head.weight" if architecture == "qwen2" else "model.embed_tokens.weight"
            ]
        values = unpack(layer.weight, layer.out_features, layer.in_features)
        assert torch.equal(values, wanted), name
        if layer.bias is not None:
            assert torch.equal(layer.bias, exact[f"{name}.bias"])
    assert f"15 tensors in {kind.name} are kept as they are" in lines
    assert lines[0].startswith(f"1 tensors in {kind.name} are converted to bf16 for the look-up")


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_dequantised_weights(
    kind, decoders, backend, tiny_model_folder, tmp_path
):
    """The kernels round activations to 8 bits in groups of 32, an error of 1/254 of the largest of a group."""
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", kind=kind)
    decoder = GgufDecoder(tmp_path / "d.gguf")
    import_decoder(decoder, tiny_model_folder, tmp_path / "plain")
    import_blocks(decoder, tiny_model_folder, tmp_path / "kept")
    plain = load_model(tmp_path / "plain", dtype=torch.float32)
    exact = dict(decoder.tensors())
    with torch.no_grad():
        for name, value in plain.named_parameters():
            if name in exact:
                value.copy_(exact[name])
    kept = logits(open_packed(tmp_path / "kept", None, attention="sdpa"))
    wanted = logits(plain)
    assert float((kept - wanted).norm() / wanted.norm()) < 0.03


def test_the_extreme_codes_of_q8_0(tmp_path):
    """-128 is a code that other quantisers write."""
    codes = np.arange(-128, 128, dtype=np.int8).reshape(1, 8, 32)
    scales = np.full((1, 8, 1), 0.5, dtype=np.float16)
    raw = np.concatenate([scales.view(np.uint8), codes.view(np.uint8)], axis=2).reshape(1, -1)
    writer = gguf.GGUFWriter(tmp_path / "d.gguf", "llama")
    writer.add_tensor("a", raw, raw_dtype=Kind.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (tensor,) = gguf.GGUFReader(tmp_path / "d.gguf").tensors
    packed = pack(*read_blocks(tensor, None))
    assert unpack(packed, 1, 256).tolist() == [[each / 2 for each in range(-128, 128)]]
    states = torch.eye(256)
    layer = PackedLinear(packed, None, in_features=256, out_features=1)
    torch.testing.assert_close(layer(states), unpack(packed, 1, 256).T, atol=0.3, rtol=0)


def test_a_mixed_file_says_what_is_converted(
    decoders, backend, tiny_model_folder, tmp_path, monkeypatch
):
    """Files of llama.cpp keep some matrices with more bits."""
    kinds = {"attn_v": Kind.F16, "ffn_down": Kind.Q5_0, "attn_k": Kind.F32}
    quantise = gguf.quantize

    def mixed(writer, name, data, raw_dtype=None):
        chosen = next((kind for part, kind in kinds.items() if f"{part}.weight" in name), raw_dtype)
        if raw_dtype is None or chosen == raw_dtype:
            return add(writer, name, data, raw_dtype=raw_dtype)
        values = gguf.dequantize(data, raw_dtype)
        if chosen == Kind.F32:
            return add(writer, name, values)
        if chosen == Kind.F16:
            return add(writer, name, values.astype(np.float16))
        return add(writer, name, quantise(values, chosen), raw_dtype=chosen)

    add = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", mixed)
    write_gguf(tmp_path / "d.gguf", decoders["qwen2"], backend, "qwen2", kind=Kind.Q4_0)
    decoder = GgufDecoder(tmp_path / "d.gguf")
    assert import_blocks(decoder, tiny_model_folder, tmp_path / "out") == [
        "2 tensors in F16 are converted to bf16: blk.0.attn_v.weight, blk.1.attn_v.weight",
        "2 tensors in F32 are converted to bf16: blk.0.attn_k.weight, blk.1.attn_k.weight",
        "1 tensors in Q4_0 are converted to bf16 for the look-up of tokens: token_embd.weight",
        "9 tensors in Q4_0 are kept as they are",
        "2 tensors in Q5_0 are converted to int8: blk.0.ffn_down.weight, blk.1.ffn_down.weight",
    ]
    assert read_receipt(tmp_path / "out").weights == "int4"
    model = open_packed(tmp_path / "out", "int4", attention="sdpa")
    exact = dict(decoder.tensors())
    for name, most in {"self_attn.v_proj": 0.004, "mlp.down_proj": 0.01, "mlp.up_proj": 0}.items():
        layer = model.get_submodule(f"model.layers.1.{name}")
        values, wanted = unpack(layer.weight, layer.out_features, layer.in_features), exact
        wanted = exact[f"model.layers.1.{name}.weight"]
        assert float((values - wanted).norm() / wanted.norm()) <= most, name
    assert logits(model).isfinite().all()


def test_an_embedding_in_floats_is_also_the_head(
    decoders, backend, tiny_model_folder, tmp_path, monkeypatch
):
    add = gguf.GGUFWriter.add_tensor

    def plain_embedding(writer, name, data, raw_dtype=None):
        if name == "token_embd.weight":
            data, raw_dtype = gguf.dequantize(data, raw_dtype).astype(np.float16), None
        add(writer, name, data, raw_dtype=raw_dtype)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", plain_embedding)
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", kind=Kind.Q8_0)
    lines = import_blocks(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    assert lines == [
        "1 tensors in F16 are converted to bf16 for the look-up of tokens: token_embd.weight",
        "14 tensors in Q8_0 are kept as they are",
    ]
    model = open_packed(tmp_path / "out", None, attention="sdpa")
    embedding = model.model.embed_tokens.weight
    assert model.lm_head.packed.weight.data_ptr() == embedding.data_ptr()
    assert logits(model).isfinite().all()


def test_what_has_no_blocks_is_refused(decoders, backend, tiny_model_folder, tmp_path):
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama")
    with pytest.raises(ConfigError, match="has no matrix in Q8_0, Q4_0, Q4_1") as caught:
        import_blocks(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")
    assert "finesight quantize" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_scale_that_is_not_finite(decoders, backend, tiny_model_folder, tmp_path, monkeypatch):
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", kind=Kind.Q8_0)
    read = gguf_blocks.read_blocks

    def broken(tensor, order):
        blocks = read(tensor, order)
        if tensor.name == "blk.1.ffn_up.weight":
            blocks.scales[3, 1] = torch.inf
        return blocks

    monkeypatch.setattr(gguf_blocks, "read_blocks", broken)
    with pytest.raises(WeightsError, match=r"tensor blk.1.ffn_up.weight .* scales that are NaN"):
        import_blocks(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")


def test_a_file_without_a_tensor(decoders, backend, tiny_model_folder, tmp_path):
    write_gguf(
        tmp_path / "d.gguf",
        decoders["llama"],
        backend,
        "llama",
        kind=Kind.Q8_0,
        without="1.ffn_up.weight",
    )
    with pytest.raises(
        WeightsError, match=r"does not fit its configuration: .*layers.1.mlp.up_proj"
    ):
        import_blocks(GgufDecoder(tmp_path / "d.gguf"), tiny_model_folder, tmp_path / "out")


def test_blocks_are_added_to_the_tower(decoders, backend, tiny_model_folder, tmp_path):
    write_gguf(tmp_path / "d.gguf", decoders["llama"], backend, "llama", kind=Kind.Q8_0)
    decoder = GgufDecoder(tmp_path / "d.gguf")
    depth = load_model(tiny_model_folder).config.vision.depth
    every = load_model(tiny_model_folder).config.vision.full_attention_layers[0] + 1
    import_blocks(decoder, tiny_model_folder, tmp_path / "deep", extra_blocks=every)
    model = open_packed(tmp_path / "deep", None, attention="sdpa")
    assert model.config.vision.depth == depth + every
    assert not model.visual.blocks[depth].mlp.down_proj.weight.any()

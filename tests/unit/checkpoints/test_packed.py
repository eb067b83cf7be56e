# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.checkpoints import packed
from finesight.checkpoints.packed import (
    FILE,
    RECEIPT,
    is_packed_folder,
    load_packed,
    open_packed,
    read_receipt,
    rounds,
    write_packed,
)
from finesight.errors import ConfigError, FinesightError, MissingWeights, WeightsError
from finesight.kernels.formats import unpack
from finesight.model.packed import packed_as, packed_tensors
from finesight.model.shards import map_file
from finesight.model.weights import load_model
from tests.support.compiled import compiled
from tests.support.quantised_checkpoints import Scheme, wide_model, write


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    compiled()


@torch.inference_mode()
def logits(model):
    ids = torch.arange(12)
    plan = AttentionPlan.from_lengths([12], causal=True)
    return model.logits(model(PackedBatch.from_tokens(ids, ids.expand(3, -1), plan)))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_the_second_start_maps_what_the_first_one_packed(tiny_model_folder, tmp_path, weights):
    with pytest.warns(UserWarning, match=f"packing the weights of .* as {weights} to .*once"):
        first = load_packed(tiny_model_folder, weights, cache=tmp_path)
    second = load_packed(
        tiny_model_folder, weights, cache=tmp_path
    )  # a warning would fail the test
    assert packed_as(second) == weights
    assert not second.training
    assert torch.equal(logits(first), logits(second))
    assert not any(one.is_meta for one in packed_tensors(second).values())


@pytest.mark.parametrize("change", ["broken", "missing"])
def test_a_damaged_configuration_in_the_cache_is_written_again(tiny_model_folder, tmp_path, change):
    kept = kept_by(tiny_model_folder, tmp_path)
    config = kept / "config.json"
    config.write_text("{") if change == "broken" else config.unlink()
    with pytest.warns(UserWarning, match="config.json"):
        load_packed(tiny_model_folder, "int8", cache=tmp_path)
    load_packed(tiny_model_folder, "int8", cache=tmp_path)  # a warning would fail the test


def test_bfloat16_needs_no_cache(tiny_model_folder, tmp_path):
    model = load_packed(tiny_model_folder, "bf16", cache=tmp_path)
    assert packed_as(model) == "bf16"
    assert list(tmp_path.iterdir()) == []


def kept_by(tiny_model_folder, cache):
    with pytest.warns(UserWarning, match="packing"):
        load_packed(tiny_model_folder, "int8", cache=cache)
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


def shorten(folder):
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:-8])


def flip(folder):
    content = bytearray((folder / FILE).read_bytes())
    content[len(content) // 2] ^= 4
    (folder / FILE).write_bytes(content)


def lose(folder):
    (folder / FILE).unlink()


def exchange(folder):
    """Exchange two blocks of the weights, so that the sum of all words is the same."""
    content = bytearray((folder / FILE).read_bytes())
    size, there = 544, len(content) // 2
    start = len(content) // 4 // 8 * 8
    there = there // 8 * 8
    first, second = content[start : start + size], content[there : there + size]
    assert first != second
    content[start : start + size], content[there : there + size] = second, first
    (folder / FILE).write_bytes(content)


def another_version(folder):
    receipt = json.loads((folder / RECEIPT).read_text())
    (folder / RECEIPT).write_text(json.dumps({**receipt, "version": 0}))


def broken_receipt(folder):
    (folder / RECEIPT).write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shorten, "is damaged: size and checksum"),
        (flip, "is damaged: size and checksum"),
        (exchange, "is damaged: size and checksum"),
        (lose, "cannot be read"),
        (another_version, "has version 0, expected"),
        (broken_receipt, "is broken"),
    ],
)
def test_a_damaged_cache_is_packed_again(tiny_model_folder, tmp_path, damage, said):
    folder = kept_by(tiny_model_folder, tmp_path)
    whole = (folder / FILE).read_bytes()
    damage(folder)
    with pytest.warns(UserWarning, match=f"{said}.*packing the weights"):
        load_packed(tiny_model_folder, "int8", cache=tmp_path)
    assert (folder / FILE).read_bytes() == whole


def test_changed_weights_are_packed_again(tiny_model_folder, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for path in tiny_model_folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    cache = tmp_path / "cache"
    kept_by(copy, cache)
    state = (copy / "model.safetensors").stat()
    os.utime(copy / "model.safetensors", ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    with pytest.warns(UserWarning, match="packing"):
        load_packed(copy, "int8", cache=cache)
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 2


def test_a_cache_that_cannot_be_written(tiny_model_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be written") as caught:
        load_packed(tiny_model_folder, "int8", cache=tmp_path / "file")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_a_written_folder_is_a_model(tiny_model_folder, tmp_path):
    out = tmp_path / "packed"
    write_packed(tiny_model_folder, "int4", out)
    assert is_packed_folder(out)
    assert not is_packed_folder(tiny_model_folder)
    assert (out / "tokenizer.json").is_file()
    model = open_packed(out, None, attention="sdpa")
    with pytest.warns(UserWarning, match="packing"):
        expected = load_packed(tiny_model_folder, "int4", cache=tmp_path / "cache")
    assert torch.equal(logits(model), logits(expected))
    assert torch.equal(logits(load_packed(out, "int4")), logits(model))


def test_packed_weights_in_bfloat16_share_the_embedding(tiny_model_folder, tmp_path):
    write_packed(tiny_model_folder, "bf16", tmp_path / "packed")
    model = open_packed(tmp_path / "packed", "bf16", attention="sdpa")
    assert torch.equal(logits(model), logits(load_packed(tiny_model_folder, "bf16")))


def test_what_a_packed_folder_refuses(tiny_model_folder, tmp_path):
    out = tmp_path / "packed"
    write_packed(tiny_model_folder, "int4", out)
    with pytest.raises(ConfigError, match="are packed as int4, not int8"):
        open_packed(out, "int8", attention="sdpa")
    with pytest.raises(ConfigError, match="are packed already"):
        write_packed(out, "int8", tmp_path / "again")
    with pytest.raises(WeightsError, match="stored as U8"):
        load_model(out)


def test_a_configuration_of_another_model(tiny_model_folder, tmp_path):
    out = tmp_path / "packed"
    write_packed(tiny_model_folder, "int8", out)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "intermediate_size": 128}))
    with pytest.raises(FinesightError, match=r"gate_proj.weight has shape \(6, 2, 544\)"):
        open_packed(out, None, attention="sdpa")
    (out / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(WeightsError, match=r"lack model.layers.2"):
        open_packed(out, None, attention="sdpa")


def test_a_folder_of_an_earlier_version(tiny_model_folder, tmp_path):
    """A folder in the cache is replaced; one that a user wrote is an error that says what to do."""
    earlier = {"version": 1, "weights": "int8", "size_bytes": 100, "checksum": 12345}
    kept = kept_by(tiny_model_folder, tmp_path)
    (kept / RECEIPT).write_text(json.dumps(earlier))
    with pytest.raises(WeightsError, match="has version 1, expected 2") as caught:
        open_packed(kept, None, attention="sdpa")
    assert "finesight quantize" in caught.value.hint
    with pytest.warns(UserWarning, match="has version 1, expected 2; packing the weights"):
        load_packed(tiny_model_folder, "int8", cache=tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [kept]


def test_words_exchanged_anywhere_change_the_checksum(tmp_path):
    words = torch.arange(5000, dtype=torch.int64)
    path = tmp_path / "file"
    found = set()
    pairs = [(0, 0), (0, 1), (3, 7), (5, 1029), (4000, 4999), (0, 4999)]
    for one, other in pairs:
        changed = words.clone()
        changed[[one, other]] = words[[other, one]]
        path.write_bytes(changed.numpy().tobytes())
        found.add(packed._checksum(map_file(path)))
    assert len(found) == len(pairs)


def test_a_folder_that_another_process_wrote_meanwhile_stays(
    tiny_model_folder, tmp_path, monkeypatch
):
    out, write = tmp_path / "packed", packed._write

    def write_late(model, weights, folder):
        monkeypatch.setattr(packed, "_write", write)
        write_packed(tiny_model_folder, "int8", out)  # the other process
        write(model, weights, folder)

    monkeypatch.setattr(packed, "_write", write_late)
    with pytest.raises(WeightsError, match="another process wrote it meanwhile"):
        write_packed(tiny_model_folder, "int4", out)
    assert read_receipt(out).weights == "int8"
    assert list(tmp_path.iterdir()) == [out]


def test_folders_without_packed_weights(tiny_model_folder):
    with pytest.raises(MissingWeights, match="holds no packed weights"):
        read_receipt(tiny_model_folder)


def test_files_of_any_length_have_a_checksum(tmp_path):
    found = set()
    for count in range(1, 18):
        (tmp_path / "file").write_bytes(b"\x01" * count)
        found.add(packed._checksum(map_file(tmp_path / "file")))
    assert len({checksum for _, checksum in found}) == 17


@pytest.mark.parametrize(
    ("scheme", "weights", "most"),
    [
        (Scheme(group_size=128), "int4", 1e-3),
        (Scheme(method="gptq", is_symmetric=True), "int4", 1e-6),
        (Scheme(method="gptq", bits=8, is_symmetric=True), "int8", 1e-6),
    ],
)
def test_stored_codes_are_kept(tmp_path, scheme, weights, most):
    """Each packed weight is the stored one; the second start maps the same."""
    folder = tmp_path / "quantised"
    exact = write(wide_model(), folder, scheme)
    with (
        pytest.warns(UserWarning, match="packing"),
        pytest.warns(UserWarning, match="the stored codes of 14 layers are kept"),
    ):
        first = load_packed(folder, weights, cache=tmp_path / "kept")
    second = load_packed(folder, weights, cache=tmp_path / "kept")
    for model in (first, second):
        assert model.config.quantisation is None
        for name, value in exact.items():
            if name.endswith("_proj.weight") and name.startswith("model.layers."):
                layer = model.get_submodule(name.removesuffix(".weight"))
                found = unpack(layer.weight, layer.out_features, layer.in_features)
                assert float((found - value).norm() / value.norm()) < most, name


def test_what_is_rounded(tiny_model_folder, tmp_path):
    """Formats that a folder stores are not rounded: packed weights, codes of the same width, and bfloat16."""
    write(wide_model(), tmp_path / "codes")
    write_packed(tiny_model_folder, "int8", tmp_path / "packed")
    assert [rounds(tiny_model_folder, name) for name in ("bf16", "int8", "int4")] == [
        False,
        True,
        True,
    ]
    assert [rounds(tmp_path / "codes", name) for name in ("int8", "int4")] == [True, False]
    assert not rounds(tmp_path / "packed", "int8")


def test_codes_of_other_bits_are_rounded_anew(tmp_path):
    exact = write(wide_model(), tmp_path / "quantised")
    with (
        pytest.warns(UserWarning, match="packing"),
        pytest.warns(UserWarning, match="dequantised"),
    ):
        model = load_packed(tmp_path / "quantised", "int8", cache=tmp_path / "kept")
    layer = model.get_submodule("model.layers.0.mlp.up_proj")
    value = exact["model.layers.0.mlp.up_proj.weight"]
    found = unpack(layer.weight, layer.out_features, layer.in_features)
    assert float((found - value).norm() / value.norm()) < 0.01


@pytest.mark.parametrize("part", ["head", "tower"])
def test_codes_of_the_output_head_and_of_the_tower(tmp_path, part):
    model = wide_model()
    names = {
        "head": ("lm_head",),
        "tower": tuple(f"visual.blocks.{i}.attn.qkv" for i in range(len(model.visual.blocks))),
    }[part]
    scheme = Scheme(method="gptq", is_symmetric=True, skipped=())
    exact = write(model, tmp_path / "quantised", scheme, also=names)
    with (
        pytest.warns(UserWarning, match="packing"),
        pytest.warns(UserWarning, match="the stored codes of 14 layers are kept"),
    ):
        load_packed(tmp_path / "quantised", "int4", cache=tmp_path / "kept")
    found = load_packed(tmp_path / "quantised", "int4", cache=tmp_path / "kept")
    if part == "head":
        layer = found.lm_head.packed
        values = unpack(layer.weight, layer.out_features, layer.in_features)
        assert float((values - exact["lm_head.weight"]).norm() / values.norm()) < 0.01
    else:
        assert found.visual.blocks[0].attn.qkv.weight.dtype == torch.float32
        for name in names:
            weight = found.get_submodule(name).weight
            assert torch.equal(weight, exact[f"{name}.weight"].float())

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from finesight.errors import ConfigError, MissingWeights, ShapeMismatch, WeightsError
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import INDEX, SINGLE, load_model, published_name, save_model
from tests.support.model_cases import randomize, small_config


def build(**text):
    network = VisionLanguageModel(small_config(**text))
    randomize(network)
    return network


@pytest.fixture
def model():
    return build()


@pytest.fixture
def folder(model, tmp_path):
    save_model(model, tmp_path)
    return tmp_path


@pytest.fixture
def sharded(model, tmp_path):
    save_model(model, tmp_path, max_shard_bytes=200_000)
    return tmp_path


def rewrite(folder, change):
    """Change the tensors of a folder with one file."""
    tensors = load_file(folder / SINGLE)
    change(tensors)
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})


def assert_same(loaded, model):
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("max_shard_bytes", [10**9, 100_000])
def test_what_is_saved_is_loaded(tmp_path, tied, max_shard_bytes):
    model = build(tie_word_embeddings=tied)
    save_model(model, tmp_path, max_shard_bytes=max_shard_bytes)
    assert (tmp_path / INDEX).exists() == (max_shard_bytes == 100_000)
    loaded = load_model(tmp_path)
    assert_same(loaded, model)
    assert loaded.config == model.config
    assert not loaded.training


def test_shards_are_within_their_limit_and_indexed_once(sharded):
    index = json.loads((sharded / INDEX).read_text())
    shards = sorted(sharded.glob("*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == [shard.name for shard in shards]
    sizes = [sum(t.nbytes for t in load_file(shard).values()) for shard in shards]
    assert max(sizes) <= 200_000
    assert len(sizes) > 2
    assert sum(sizes) == index["metadata"]["total_size"]


def test_conversion_on_the_way(folder, model):
    loaded = load_model(folder, dtype=torch.bfloat16)
    assert_same(loaded, model)
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}


def test_the_dtype_of_the_configuration_counts_unless_told(folder, model):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "bfloat16"}))
    assert load_model(folder).dtype == torch.bfloat16
    assert load_model(folder, dtype=torch.float32).dtype == torch.float32


def test_training_a_loaded_model_never_changes_the_file(folder):
    before = (folder / SINGLE).read_bytes()
    loaded = load_model(folder)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert (folder / SINGLE).read_bytes() == before


def test_saving_over_the_folder_a_model_was_loaded_from(sharded, model):
    loaded = load_model(sharded)
    save_model(loaded, sharded)
    assert_same(loaded, model)
    assert_same(load_model(sharded), model)
    names = sorted(path.name for path in sharded.iterdir())
    assert names == ["config.json", "model.safetensors"], "shards of the longer save are gone"


def test_a_failed_save_leaves_nothing(model, tmp_path):
    model.visual.to(torch.bfloat16)
    with pytest.raises(WeightsError, match="2 dtypes"):
        save_model(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("stored", "released"),
    [
        ("visual.blocks.0.norm1.weight", "visual.blocks.0.norm1.weight"),
        ("model.visual.blocks.0.norm1.weight", "visual.blocks.0.norm1.weight"),
        ("model.language_model.norm.weight", "model.norm.weight"),
        ("language_model.model.norm.weight", "model.norm.weight"),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("language_model.norm.weight", "model.norm.weight"),
        ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_every_prefix_leads_to_the_released_name(stored, released):
    assert published_name(stored) == released


def test_constants_of_old_versions_are_passed_over(folder, model):
    rewrite(folder, lambda t: t.update({"visual.rotary_pos_emb.inv_freq": torch.ones(4)}))
    assert_same(load_model(folder), model)


def test_tensors_that_are_not_aligned(folder, model):
    """The format allows a header of any length."""
    tensors = load_file(folder / SINGLE)
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = bytes(tensor.contiguous().view(torch.uint8).flatten().tolist())
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4 + 1)
    (folder / SINGLE).write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert_same(load_model(folder), model)


def test_a_tied_model_may_store_the_same_head_but_no_other(tmp_path):
    model = build(tie_word_embeddings=True)
    save_model(model, tmp_path)
    rewrite(
        tmp_path, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    )
    assert_same(load_model(tmp_path), model)
    rewrite(tmp_path, lambda t: t["lm_head.weight"].mul_(2))
    with pytest.raises(WeightsError, match=r"other than the embedding"):
        load_model(tmp_path)


def test_an_untied_model_needs_its_head(folder):
    rewrite(folder, lambda t: t.pop("lm_head.weight"))
    with pytest.raises(MissingWeights, match=r"lacks lm_head\.weight"):
        load_model(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_that_are_not_finite_name_their_tensor(folder, value, dtype):
    name = "model.layers.1.mlp.up_proj.weight"

    def spoil(tensors):
        tensors[name][3, 4] = value

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match=rf"{name}.*1 of 6144 numbers"):
        load_model(folder, dtype=dtype)


def test_large_finite_numbers_whose_sum_overflows_are_fine(folder):
    def enlarge(tensors):
        tensors["model.embed_tokens.weight"].fill_(3e38)

    rewrite(folder, enlarge)
    assert load_model(folder).model.embed_tokens.weight[0, 0].item() == pytest.approx(3e38)


def test_missing_tensors_are_named_and_counted(folder):
    def drop(tensors):
        for name in [n for n in tensors if "layers.2" in n]:
            del tensors[name]

    rewrite(folder, drop)
    with pytest.raises(
        MissingWeights, match=r"model\.layers\.2\..* and 7 more, out of 93"
    ) as error:
        load_model(folder)
    assert "config.json" in error.value.hint


def test_a_superfluous_tensor_is_named(folder):
    rewrite(folder, lambda t: t.update({"model.layers.3.extra": torch.ones(1)}))
    with pytest.raises(WeightsError, match=r"holds model\.layers\.3\.extra"):
        load_model(folder)


def test_a_misshapen_tensor_is_named_with_both_shapes(folder):
    rewrite(folder, lambda t: t.update({"visual.blocks.0.attn.proj.weight": torch.ones(32, 16)}))
    with pytest.raises(ShapeMismatch, match=r"attn\.proj\.weight.*\(32, 16\).*\(32, 32\)"):
        load_model(folder)


def test_two_names_for_one_tensor(folder):
    rewrite(folder, lambda t: t.update({"model.visual.merger.ln_q.weight": torch.ones(32)}))
    with pytest.raises(WeightsError, match=r"two tensors are visual\.merger\.ln_q\.weight"):
        load_model(folder)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_shard_is_named(sharded, kept):
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=f"{shard.name} is truncated"):
        load_model(sharded)


def test_a_shard_with_bytes_behind_its_end(sharded):
    shard = sorted(sharded.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises(WeightsError, match="longer than its header says"):
        load_model(sharded)


def test_a_missing_shard_is_named(sharded):
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(MissingWeights, match=f"{shard.name} is missing"):
        load_model(sharded)


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        # A name that occurs twice: the second one was taken without a word.
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
        b'"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
        b'"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
        b'["a"]',
        b'{"a": 3}',
    ],
)
def test_a_broken_header(folder, header):
    (folder / SINGLE).write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(WeightsError, match=r"model\.safetensors has a broken safetensors header"):
        load_model(folder)


def test_quantised_tensors_are_refused(folder):
    rewrite(folder, lambda t: t.update({"lm_head.weight": torch.ones(160, 64, dtype=torch.int8)}))
    with pytest.raises(WeightsError, match=r"lm_head\.weight.*stored as I8"):
        load_model(folder)


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"[]",
        b'{"weight_map": 3}',
        b'{"metadata": {}}',
        b"\xff\xfe",
        b'{"weight_map": {"a": [1]}}',
    ],
)
def test_a_broken_index(sharded, index):
    (sharded / INDEX).write_bytes(index)
    with pytest.raises(WeightsError, match="is not an index"):
        load_model(sharded)


def change_index(folder, change):
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


def test_an_index_that_leaves_the_folder(sharded):
    change_index(sharded, lambda names: names.update({"lm_head.weight": "../other.safetensors"}))
    with pytest.raises(WeightsError, match=r"'\.\./other\.safetensors'"):
        load_model(sharded)


def test_an_index_that_points_at_the_wrong_shard(sharded):
    first = sorted(sharded.glob("*.safetensors"))[0].name
    change_index(sharded, lambda names: names.update({"lm_head.weight": first}))
    with pytest.raises(MissingWeights, match=r"places lm_head\.weight in shards that do not hold"):
        load_model(sharded)


def test_an_index_that_forgets_a_tensor(sharded):
    change_index(sharded, lambda names: names.pop("visual.merger.ln_q.weight"))
    with pytest.raises(WeightsError, match=r"visual\.merger\.ln_q\.weight, which .* does not name"):
        load_model(sharded)


def test_shards_without_an_index_are_read_together(sharded, model):
    (sharded / INDEX).unlink()
    assert_same(load_model(sharded), model)


def test_the_same_tensor_in_two_files(sharded):
    (sharded / INDEX).unlink()
    first = sorted(sharded.glob("*.safetensors"))[0]
    (sharded / "again.safetensors").write_bytes(first.read_bytes())
    with pytest.raises(WeightsError, match=r"is in again\.safetensors and in model-00001"):
        load_model(sharded)


def test_pickles_are_never_opened(folder):
    (folder / SINGLE).rename(folder / "pytorch_model.bin")
    with pytest.raises(MissingWeights, match=r"only pytorch_model\.bin") as error:
        load_model(folder)
    assert "can run code" in error.value.hint


def test_an_adapter_beside_the_weights_is_never_passed_over(folder):
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="LoRA adapter beside it"):
        load_model(folder)


def test_a_folder_without_weights_or_configuration(folder, tmp_path):
    (folder / SINGLE).unlink()
    with pytest.raises(MissingWeights, match="holds no safetensors file"):
        load_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config\.json is not a file"):
        load_model(folder)


def test_names_of_the_output_head_are_released_names(folder):
    rewrite(folder, lambda t: t.update({"language_model.lm_head.weight": t.pop("lm_head.weight")}))
    assert load_model(folder).lm_head is not None

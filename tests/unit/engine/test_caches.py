# SPDX-License-Identifier: Apache-2.0
"""Blocks, visual tokens and drafts, each on its own."""

from __future__ import annotations

import math

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.engine.block_pool import BlockKeys, BlockPool
from finesight.engine.engine import Engine
from finesight.engine.feature_cache import FeatureCache
from finesight.engine.lookup import draft
from finesight.engine.options import EngineOptions
from finesight.errors import ConfigError, EngineError


def test_a_block_is_reused_only_when_nothing_is_empty_and_the_oldest_first():
    pool = BlockPool(3, 4)
    first, second = pool.take(), pool.take()
    assert (first, second) == (0, 1)
    pool.publish(first, b"first")
    pool.publish(second, b"second")
    pool.release([first])
    pool.release([second])
    assert pool.take() == 2
    assert pool.find([b"first"]) == [0]
    assert pool.take() == 0
    assert pool.find([b"first"]) == []
    assert pool.find([b"second"]) == [1]
    pool.share([1])
    assert pool.take() is None
    assert pool.num_free == 0


def test_a_shared_block_is_free_when_its_last_user_is_gone():
    pool = BlockPool(2, 4)
    block = pool.take()
    pool.publish(block, b"k")
    pool.share([block])
    pool.release([block])
    assert pool.num_free == 1
    pool.release([block])
    assert pool.num_free == 2


SHAPES = {"a": (2, 5), "b": (2, 5), "c": (2, 5), "huge": (100, 100)}


def conversation(picture, text="What is this? And what is that over there, behind the tree?"):
    return Conversation((Message("user", (ImagePart(source=picture), TextPart(text))),))


def keys_of(processor, *args) -> list[bytes]:
    sample = processor.encode(conversation(*args))
    tokens = sample.input_ids.tolist()
    return BlockKeys(sample, 8).up_to(tokens, len(tokens))


def test_keys_depend_on_pixels_and_on_all_tokens_before(processor, picture):
    same, again = keys_of(processor, picture), keys_of(processor, picture)
    other = keys_of(processor, picture.rotate(180))
    longer = keys_of(processor, picture, "What is this? And what is that over here?")
    assert same == again
    sample = processor.encode(conversation(picture))
    first_visual = int(sample.visual_index[0]) // 8
    assert [a == b for a, b in zip(same, other, strict=True)].index(False) == first_visual
    assert not set(same[first_visual:]) & set(other[first_visual:])
    shared = sum(a == b for a, b in zip(same, longer, strict=False))
    assert first_visual < shared < len(longer)


def test_keys_after_a_cut_are_those_of_the_new_tokens(processor, picture):
    sample = processor.encode(conversation(picture))
    tokens = sample.input_ids.tolist()
    keys = BlockKeys(sample, 8)
    before = keys.up_to(tokens, len(tokens))
    changed = [*tokens[:20], *(5 for _ in tokens[20:])]
    keys.cut(20)
    after = keys.up_to(changed, len(changed))
    assert after[:2] == before[:2]
    assert not set(after[2:]) & set(before[2:])


def test_the_least_recently_used_visual_tokens_are_dropped():
    cache = FeatureCache(max_bytes=2 * 40)
    rows = {name: torch.full((2, 5), float(index)) for index, name in enumerate("abc")}
    cache.put("a", rows["a"])
    cache.put("b", rows["b"])
    assert cache.get("a", SHAPES["a"]) is not None
    cache.put("c", rows["c"])
    assert cache.get("b", SHAPES["b"]) is None
    assert torch.equal(cache.get("a", SHAPES["a"]), rows["a"])
    assert cache.num_bytes == 80
    cache.put("huge", torch.zeros(100, 100))
    assert cache.get("huge", SHAPES["huge"]) is None
    assert cache.num_bytes == 80


def test_visual_tokens_in_a_folder_outlive_the_cache(tmp_path):
    rows = torch.randn(3, 4)
    FeatureCache(0, tmp_path / "seen").put("a", rows)
    assert torch.equal(FeatureCache(0, tmp_path / "seen").get("a", (3, 4)), rows)


@pytest.mark.parametrize("damage", ["truncated", "empty", "rows", "width", "nan"])
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    rows = torch.randn(3, 4)
    cache = FeatureCache(0, tmp_path)
    other = {"rows": torch.randn(2, 4), "width": torch.randn(3, 5), "nan": rows / 0}
    cache.put("a", other.get(damage, rows))
    (file,) = tmp_path.rglob("*.safetensors")
    if damage in ("truncated", "empty"):
        file.write_bytes(file.read_bytes()[: 20 if damage == "truncated" else 0])
    assert cache.get("a", (3, 4)) is None
    cache.put("a", rows)
    assert torch.equal(cache.get("a", (3, 4)), rows)


def test_models_that_share_a_folder_do_not_share_visual_tokens(
    tiny_model_folder, picture, tmp_path
):
    from finesight.model.weights import load_model
    from finesight.processor.processor import Processor

    processor = Processor.from_folder(tiny_model_folder)
    options = EngineOptions(vision_cache_folder=tmp_path)
    found = []
    for change in (0.0, 0.5):
        model = load_model(tiny_model_folder).float()
        with torch.no_grad():
            model.visual.merger.mlp[2].bias.add_(change)
        engine = Engine(model, processor, options=options)
        reply = engine.respond([conversation(picture)], Sampling(max_new_tokens=2, logprobs=0))[0]
        found.append(reply.logprobs[0].logprob)
    assert found[0] != found[1]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_given_up_and_named(tmp_path):
    (tmp_path / "seen").write_text("a file")
    cache = FeatureCache(100, tmp_path / "seen")
    with pytest.warns(UserWarning, match="cannot be stored in .*seen"):
        cache.put("a", torch.zeros(1, 1))
    cache.put("b", torch.zeros(1, 1))  # says it once
    assert cache.get("a", (1, 1)) is not None


def test_a_second_engine_finds_the_visual_tokens_in_the_folder(says, processor, picture, tmp_path):
    options = EngineOptions(vision_cache_folder=tmp_path)
    for calls in (1, 0):
        model = says("fine")
        Engine(model, processor, options=options).respond([conversation(picture)], Sampling())
        assert model.vision_calls == calls


@pytest.mark.parametrize(
    ("tokens", "most", "expected"),
    [
        ([7, 8, 9, 4, 7, 8], 4, [9, 4, 7, 8]),
        ([7, 8, 9, 4, 7, 8], 1, [9]),
        ([1, 2, 3, 5, 9, 2, 3, 6, 1, 2, 3], 1, [5]),  # three tokens match before two
        ([1, 2, 3, 1, 2, 4, 1, 2], 1, [4]),  # the last occurrence
        ([1, 2, 3], 4, []),
        ([1], 4, []),
        ([7, 8, 9, 7, 8], 0, []),
    ],
)
def test_drafts_follow_the_last_occurrence_of_the_newest_tokens(tokens, most, expected):
    assert draft(tokens, most) == expected


def test_drafts_save_forward_passes_and_change_nothing(says, processor, question):
    text = "<tr><td>12</td><td>34</td></tr>" * 12
    passes = []
    for draft_tokens in (0, 6):
        model = says(text)
        engine = Engine(model, processor, options=EngineOptions(draft_tokens=draft_tokens))
        reply = engine.respond([question], Sampling(loop_guard=False))[0]
        assert (reply.text, reply.finish_reason) == (text, "stop")
        passes.append(len(model.batches))
        usage = reply.usage
        assert usage.accepted_tokens <= usage.drafted_tokens
        assert usage.completion_tokens == len(model.batches) + usage.accepted_tokens
    assert passes[1] < 0.4 * passes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_waiting": 0}, "max_waiting is 0"),
        ({"kv_cache_gb": -1.0}, "kv_cache_gb is -1"),
        ({"kv_cache_gb": math.nan}, "kv_cache_gb is nan"),
        (
            {"vision_cache_mb": math.inf},
            "vision_cache_mb is inf; it must be at least 0, and finite",
        ),
        ({"max_sequences": 9, "max_step_tokens": 8}, "less than the 9 of max_sequences"),
        ({"deterministic": True, "draft_tokens": 2}, "excludes draft_tokens = 2"),
    ],
)
def test_options_that_cannot_work_are_refused(says, processor, options, words):
    with pytest.raises(ConfigError, match=words):
        Engine(says("x"), processor, options=EngineOptions(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kv_cache_gb": 1e-6}, r"room for \d+ tokens of 512 bytes; a block has 32"),
        ({"deterministic": True, "max_step_tokens": 33}, "it must be a multiple of 32"),
    ],
)
def test_a_cache_that_cannot_work_is_refused_before_the_first_answer(
    says, processor, question, options, words
):
    engine = Engine(says("x"), processor, options=EngineOptions(**options))
    with pytest.raises(ConfigError, match=words):
        engine.respond([question], Sampling())


def test_vectors_have_unit_length_and_pooling_counts(tiny_model_folder, picture):
    from finesight import load

    engine = load(tiny_model_folder).engine
    found = {
        pooling: engine.embed(
            [conversation(picture), conversation(picture.rotate(180))], pooling=pooling
        )
        for pooling in ("last", "mean")
    }
    for vectors in found.values():
        for vector in vectors:
            assert len(vector) == engine.model.config.text.hidden_size
            assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)
        assert vectors[0] != vectors[1]
    assert found["last"] != found["mean"]
    with pytest.raises(ConfigError, match="pooling is 'max'"):
        engine.embed([], pooling="max")


def test_a_cache_in_a_file_gives_the_same_answer_and_leaves_nothing(
    tiny_model_folder, picture, tmp_path
):
    from finesight import load

    sampling = Sampling(max_new_tokens=8, logprobs=2)
    asked = [conversation(picture)]
    plain = load(tiny_model_folder).respond(asked, sampling)[0]
    options = EngineOptions(kv_cache_folder=tmp_path / "kv", kv_cache_gb=0.01)
    model = load(tiny_model_folder, engine=options)
    filed = model.respond(asked, sampling)[0]
    assert (filed.token_ids, filed.logprobs) == (plain.token_ids, plain.logprobs)
    assert list((tmp_path / "kv").iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    broken = load(tiny_model_folder, engine=EngineOptions(kv_cache_folder=tmp_path / "file"))
    with pytest.raises(EngineError, match=r"KV cache of [\d,]+ bytes cannot be made in"):
        broken.respond(asked, sampling)


def test_a_cache_in_int8_is_half_as_large_and_nearly_as_exact(tiny_model_folder, picture):
    from finesight import load

    sampling = Sampling(max_new_tokens=8, logprobs=2)
    exact, small = (
        load(tiny_model_folder, dtype="float32", engine=EngineOptions(kv_cache_dtype=dtype))
        for dtype in ("auto", "int8")
    )
    expected = exact.respond([conversation(picture)], sampling)[0]
    found = small.respond([conversation(picture)], sampling)[0]
    assert found.token_ids[0] == expected.token_ids[0]
    assert found.logprobs[0].logprob != expected.logprobs[0].logprob
    assert found.logprobs[0].logprob == pytest.approx(expected.logprobs[0].logprob, abs=0.02)
    sizes = [each.engine._started()[0]._runner._kv.num_bytes for each in (exact, small)]
    assert sizes[1] < 0.3 * sizes[0]  # a quarter of float32, and the scales

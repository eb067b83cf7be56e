# SPDX-License-Identifier: Apache-2.0
"""Requests of one batch with different LoRA adapters are answered as if each was alone with a merged model."""

from __future__ import annotations

import threading

import pytest
import torch
from PIL import Image

from finesight.checkpoints.adapters import load_adapters, merge_adapter
from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.errors import ConfigError
from finesight.model.adapters import MOST_MIXED_ROWS
from finesight.model.packed import pack_weights
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from tests.support.adapter_folders import TOWER, write_adapter

NAMES = (None, "one", "two")
SAMPLING = Sampling(max_new_tokens=12, temperature=0.0, logprobs=3)


@pytest.fixture(scope="module")
def base(tiny_model_folder):
    return tiny_model_folder


@pytest.fixture(scope="module")
def folders(base, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    return {
        "one": write_adapter(base, root / "one", seed=1),
        "two": write_adapter(base, root / "two", seed=2, targets=(*TOWER, "model.layers.0.*")),
    }


@pytest.fixture(scope="module")
def asked():
    def picture(seed):
        pixels = torch.randint(0, 256, (56, 84, 3), generator=torch.Generator().manual_seed(seed))
        return ImagePart(source=Image.fromarray(pixels.byte().numpy()))

    texts = ("What is this?", "Read all the text in the image. Where is the red square?")
    return [
        Conversation((Message("user", (picture(seed), TextPart(texts[seed % 2]))),))
        for seed in range(2)
    ]


def engine_of(base, folders, **options):
    return Engine(
        load_model(base, dtype=torch.float32),
        Processor.from_folder(base),
        options=EngineOptions(**options),
        adapters=load_adapters(folders, base),
    )


def merged_engine(base, folder):
    model = load_model(base, dtype=torch.float32)
    if folder is not None:
        model.load_state_dict(merge_adapter(model.state_dict(), folder))
    return Engine(model, Processor.from_folder(base))


def requests(asked):
    return [
        Request(conversation=each, sampling=SAMPLING, adapter=name)
        for each in asked
        for name in NAMES
    ]


def answers(engine, wanted):
    return [reply for _, reply in sorted(engine.run(wanted), key=lambda pair: pair[0])]


def assert_equal(found, wanted, tolerance=1e-5):
    for one, other in zip(found, wanted, strict=True):
        assert one.token_ids == other.token_ids
        scores = [[each.logprob for each in reply.logprobs] for reply in (one, other)]
        torch.testing.assert_close(*map(torch.tensor, scores), atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def alone(base, folders, asked):
    """Replies of models into which the adapters were merged, one request at a time."""
    engines = {name: merged_engine(base, folders.get(name)) for name in NAMES}
    found = [
        engines[each.adapter].respond([each.conversation], SAMPLING)[0] for each in requests(asked)
    ]
    texts = {tuple(each.token_ids) for each in found}
    assert len(texts) == len(found)  # every adapter changes every answer
    return found


@pytest.mark.parametrize("max_sequences", [1, 6])
def test_two_adapters_and_the_base_in_one_batch(base, folders, asked, alone, max_sequences):
    engine = engine_of(base, folders, max_sequences=max_sequences)
    assert_equal(answers(engine, requests(asked)), alone)
    # Again, from the caches of prefixes and visual tokens.
    again = answers(engine, requests(asked))
    assert_equal(again, alone)


def test_a_prefix_is_shared_within_an_adapter_only(base, folders, asked):
    engine = engine_of(base, folders)
    used = []
    for name in (None, "one", "two", "one"):
        request = Request(conversation=asked[1], sampling=SAMPLING, adapter=name)
        used.append(engine.submit(request).reply().usage.cached_tokens)
    assert used[:3] == [0, 0, 0]
    assert used[3] > 0


def test_visual_tokens_are_shared_unless_an_adapter_changes_the_tower(base, folders, asked):
    engine = engine_of(base, folders)
    calls = []
    encode = engine.model.encode_vision
    engine.model.encode_vision = lambda vision: calls.append(1) or encode(vision)
    counts = []
    for name in NAMES:
        engine.submit(Request(conversation=asked[0], sampling=SAMPLING, adapter=name)).reply()
        counts.append(len(calls))
    assert counts == [1, 1, 2]


def test_drafts_and_steps_that_are_too_long_to_be_mixed(base, folders, asked, alone):
    long = [
        Conversation((Message("user", (TextPart("red square " * MOST_MIXED_ROWS),)),)),
        *asked,
    ]
    engine = engine_of(base, folders, max_sequences=9, max_step_tokens=4096, draft_tokens=3)
    found = answers(engine, [*requests(asked), *requests(long[:1])])
    assert_equal(found[: len(alone)], alone)
    for name, reply in zip(NAMES, found[len(alone) :], strict=True):
        wanted = merged_engine(base, folders.get(name)).respond(long[:1], SAMPLING)
        assert_equal([reply], wanted)


def test_scores_and_embeddings(base, folders, asked):
    engine = engine_of(base, folders)
    said = Conversation((*asked[0].messages, Message("assistant", (TextPart("A red square."),))))
    for name in NAMES:
        merged = merged_engine(base, folders.get(name))
        found = [engine.score([said], adapter=name), engine.embed([said], adapter=name)]
        wanted = [merged.score([said]), merged.embed([said])]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(torch.tensor(one), torch.tensor(other), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("weights", ["bf16", "int8", "int4"])
def test_packed_weights_keep_their_rounding_under_an_adapter(base, folders, asked, weights):
    """In a batch as alone; and the base beside adapters is the packed model without any."""

    def packed(adapters):
        model = load_model(base, dtype=torch.float32)
        pack_weights(model, weights)
        return Engine(
            model,
            Processor.from_folder(base),
            options=EngineOptions(max_sequences=6),
            adapters=load_adapters(adapters, base),
        )

    engine, plain = packed(folders), packed({})
    together = answers(engine, requests(asked))
    single = [answers(engine, [each])[0] for each in requests(asked)]
    assert_equal(together, single, tolerance=3e-2)
    base_only = [each for each in requests(asked) if each.adapter is None]
    assert_equal(
        [reply for reply, each in zip(single, requests(asked), strict=True) if not each.adapter],
        answers(plain, base_only),
        tolerance=3e-2,
    )
    assert len({tuple(each.token_ids) for each in single}) == len(single)


def test_an_unknown_adapter(base, folders, asked):
    engine = engine_of(base, folders)
    with pytest.raises(ConfigError, match="there is no adapter 'three'") as caught:
        engine.submit(Request(conversation=asked[0], adapter="three"))
    assert "there are one, two" in caught.value.hint
    with pytest.raises(ConfigError, match="there is no adapter 'one'") as caught:
        merged_engine(base, None).submit(Request(conversation=asked[0], adapter="one"))
    assert "none is loaded" in caught.value.hint


def test_an_adapter_of_another_base(base, folders, tmp_path):
    import json
    import shutil

    other = tmp_path / "other"
    shutil.copytree(base, other)
    config = json.loads((other / "config.json").read_text())
    config["intermediate_size"] = 64
    (other / "config.json").write_text(json.dumps(config))
    from finesight.errors import WeightsError

    with pytest.raises(WeightsError, match=r"matrices of shapes .* the model has \(64, 64\)"):
        load_adapters({"one": folders["one"]}, other)
    with pytest.raises(ConfigError, match="has the name of the model, one"):
        load_adapters({"one": folders["one"]}, base, model_name="one")


def test_a_pass_with_an_adapter_does_not_change_those_of_other_threads(base, folders):
    engine = engine_of(base, folders)
    decoder = engine.model.model
    decoder.fused = fused = object()
    seen = []
    with engine.adapters.applied([("one", 3)]):
        thread = threading.Thread(target=lambda: seen.append((decoder.is_adapted(), decoder.fused)))
        thread.start()
        thread.join()
        assert (decoder.is_adapted(), decoder.fused) == (True, fused)
    assert (decoder.is_adapted(), decoder.fused) == (False, fused)
    assert seen == [(False, fused)]

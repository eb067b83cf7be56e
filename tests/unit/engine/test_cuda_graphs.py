# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs of decoding steps, with a capture that repeats the recorded function on the CPU."""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.engine import core as core_module
from finesight.engine import cuda_graphs
from finesight.engine.cuda_graphs import StepGraphs, can_capture, graph_sizes
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.model.adapters import Adapters
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.lora import add_lora
from finesight.model.weights import load_model


class FakeCapture:
    """Keeps functions; a replay computes one again and writes to the tensor of its first result, as a graph does."""

    def __init__(self) -> None:
        self.num_captures = 0
        self.replayed: list[int] = []

    def __call__(self, run):
        self.num_captures += 1
        result = run()

        def replay():
            self.replayed.append(len(result))
            result.copy_(run())

        return replay, result


@pytest.fixture
def network(tiny_model_folder):
    model = load_model(tiny_model_folder).float()
    decoder = model.model
    decoder.fused = GpuDecoder(decoder.layers, decoder.norm, model.config.text, "sdpa")
    return model


@pytest.fixture
def captured(monkeypatch):
    """Engines of this test capture graphs, with the fake one."""
    capture = FakeCapture()
    monkeypatch.setattr(core_module, "can_capture", lambda model, options: options.cuda_graphs)
    monkeypatch.setattr(cuda_graphs, "CudaCapture", lambda device: capture)
    return capture


def request(text: str, *parts: ImagePart, **options) -> Request:
    message = Message("user", (*parts, TextPart(text)))
    return Request(conversation=Conversation((message,)), sampling=Sampling(logprobs=3, **options))


@pytest.fixture
def requests(picture):
    shown = ImagePart(source=picture)
    return [
        request("What is this?", max_new_tokens=9),
        request("Compare the two.", shown, shown, max_new_tokens=14),
        request("Read it.", shown, max_new_tokens=12, temperature=0.8, seed=3),
        request("Say a word, and another one: red square, red square, red", max_new_tokens=20),
        request("Say it again.", max_new_tokens=7, repetition_penalty=1.3),
    ]


def answers(network, processor, requests, **options) -> dict[int, Reply]:
    engine = Engine(network, processor, options=EngineOptions(**options))
    found = dict(engine.run(requests))
    engine.close()
    assert all(isinstance(reply, Reply) for reply in found.values()), found
    return found


def same(found: dict[int, Reply], expected: dict[int, Reply]) -> None:
    for index, reply in expected.items():
        assert found[index].token_ids == reply.token_ids
        for one, other in zip(found[index].logprobs, reply.logprobs, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-5)


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 4)), (64, (1, 2, 4, 8, 16, 32, 64)), (5000, None)],
)
def test_sizes_are_powers_of_two(most, sizes):
    found = graph_sizes(most)
    assert found == (sizes or (1, 2, 4, 8, 16, 32, 64, 128, 256))


@pytest.mark.parametrize("max_sequences", [1, 3, 5])
def test_answers_are_those_without_graphs(network, processor, requests, captured, max_sequences):
    expected = answers(network, processor, requests, max_sequences=max_sequences, cuda_graphs=False)
    assert captured.num_captures == 0
    found = answers(network, processor, requests, max_sequences=max_sequences)
    same(found, expected)
    assert set(captured.replayed) <= set(graph_sizes(max_sequences))
    assert captured.num_captures == len(set(captured.replayed))
    assert len(captured.replayed) > 8  # steps that also have a prompt run without


def test_steps_that_check_drafts_use_the_graphs(
    network, processor, requests, captured, monkeypatch
):
    expected = answers(network, processor, requests, max_sequences=2, cuda_graphs=False)
    whole = [
        [*requests[index].encode(processor).input_ids.tolist(), *reply.token_ids]
        for index, reply in expected.items()
    ]

    def guess(token_ids, most):
        """Two tokens that are right, and one that is not."""
        known = next((each for each in whole if each[: len(token_ids)] == token_ids), token_ids)
        return [*known[len(token_ids) : len(token_ids) + 2], 0][:most]

    monkeypatch.setattr(core_module, "draft", guess)
    found = answers(network, processor, requests, max_sequences=2, draft_tokens=3)
    same(found, expected)
    drafted = sum(reply.usage.drafted_tokens for reply in found.values())
    assert 0 < sum(reply.usage.accepted_tokens for reply in found.values()) < drafted
    assert max(captured.replayed) > 2  # rows of drafts


def test_preempted_and_deterministic_engines(network, processor, requests, captured):
    long = [request(f"{word} " * 20, max_new_tokens=40) for word in ("one", "two", "three", "go")]
    expected = answers(network, processor, long, cuda_graphs=False, prefix_cache=False)
    tight = answers(
        network, processor, long, max_sequences=4, kv_cache_gb=1.5e-4, max_step_tokens=64
    )
    same(tight, expected)
    captured.replayed.clear()
    exact = answers(
        network, processor, long, max_sequences=4, deterministic=True, max_step_tokens=64
    )
    same(exact, expected)
    assert set(captured.replayed) == {1}


def test_no_sequence_gets_the_block_of_the_padding(network, processor, captured):
    options = EngineOptions(max_sequences=3, kv_cache_gb=1.5e-4)
    core = core_module.Core(network, options, lambda *told: None, Adapters(network))
    eager = EngineOptions(kv_cache_gb=1.5e-4, cuda_graphs=False)
    plain = core_module.Core(network, eager, lambda *told: None, Adapters(network))
    assert core.pool.num_blocks == plain.pool.num_blocks
    assert core._runner._kv.num_blocks == core.pool.num_blocks + 1
    assert plain._runner._kv.num_blocks == plain.pool.num_blocks


def test_left_over_rows_change_no_other_block(network, processor, captured):
    """Three rows in a graph of four: only the slots of the rows and the scratch block are written."""
    one = [request("What is this?", max_new_tokens=6) for _ in range(3)]
    engine = Engine(network, processor, options=EngineOptions(max_sequences=3, prefix_cache=False))
    core, _ = engine._started()
    kv = core._runner._kv
    kv.keys.fill_(7.0)
    list(engine.run(one))
    engine.close()
    assert 4 in captured.replayed
    is_written = (kv.keys != 7.0).flatten(2).any(-1).any(0)
    assert is_written[-1]
    num_tokens = sum(len(each.encode(processor).input_ids) + 6 for each in one)
    assert is_written.sum() <= 1 + sum(-(-num_tokens // kv.block_size) for _ in one)


def test_replaced_weights_make_new_graphs(network, processor, requests, captured):
    engine = Engine(network, processor, options=EngineOptions(prefix_cache=False))
    first = engine.respond([requests[0].conversation], requests[0].sampling)[0]
    num_captures = captured.num_captures
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["model.layers.0.mlp.down_proj.weight"].mul_(-3)
    network.load_state_dict(state, assign=True)
    other = Engine(network, processor, options=EngineOptions(cuda_graphs=False))
    expected = other.respond([requests[0].conversation], requests[0].sampling)[0]
    again = engine.respond([requests[0].conversation], requests[0].sampling)[0]
    assert captured.num_captures > num_captures
    assert expected.token_ids != first.token_ids
    assert again.token_ids == expected.token_ids
    engine.close()
    other.close()


def test_adapters_run_without_graphs(network, processor, requests, captured):
    add_lora(network, ["model.layers.*.mlp.up_proj"], rank=2, alpha=4, seed=0)
    expected = answers(network, processor, requests[:2], cuda_graphs=False)
    same(answers(network, processor, requests[:2]), expected)
    assert captured.num_captures == 0


def test_without_memory_for_a_graph_steps_run_without(network, processor, requests, captured):
    def capture(run):
        if run().shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")
        return captured(run)

    cuda_graphs.CudaCapture = lambda device: capture  # undone by `captured`
    expected = answers(network, processor, requests, max_sequences=5, cuda_graphs=False)
    with pytest.warns(
        UserWarning, match="no CUDA graph of (4|8) rows could be captured.*out of memory"
    ) as told:
        found = answers(network, processor, requests, max_sequences=5)
    same(found, expected)
    assert 1 <= max(captured.replayed) <= 2
    assert len(told) <= 2
    assert "More" not in str(told[0].message)


def test_what_cannot_be_recorded_runs_without_graphs(network, processor, requests, captured):
    def capture(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    cuda_graphs.CudaCapture = lambda device: capture  # undone by `captured`
    expected = answers(network, processor, requests, max_sequences=2, cuda_graphs=False)
    with pytest.warns(UserWarning, match="more than 0 rows run without graphs") as told:
        found = answers(network, processor, requests, max_sequences=2)
    same(found, expected)
    assert len(told) == 1


def test_which_engines_capture(network):
    class OnCuda(type(network)):
        device = torch.device("cuda")

    options = EngineOptions()
    assert not can_capture(network, options)  # on the CPU
    network.__class__ = OnCuda
    assert can_capture(network, options)
    assert not can_capture(network, EngineOptions(cuda_graphs=False))
    assert not can_capture(network, EngineOptions(kv_cache_dtype="int8"))
    network.model.fused = None
    assert not can_capture(network, options)


@torch.inference_mode()
def test_a_step_of_too_many_rows_has_no_graph(network, processor, requests):
    core = core_module.Core(network, EngineOptions(), lambda *told: None, Adapters(network))
    graphs = StepGraphs(network, core._runner._kv, 2, FakeCapture())
    assert graphs._graph(3) is None
    assert graphs._graph(2) is not None
    network.model.fused = None
    assert graphs._graph(2) is None

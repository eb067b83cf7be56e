# SPDX-License-Identifier: Apache-2.0
"""The grid of ranks, and what one process alone does without it. Runs of two ranks: tests/e2e/test_ranks.py."""

import pytest
import torch
from torch import nn

from finesight.config.sizes import named_config
from finesight.errors import ConfigError, DataError
from finesight.train import random_state
from finesight.train.ema import copy_with
from finesight.train.parallel import ParallelSection, Ranks, check_heads, join


def test_sizes_that_are_not_the_number_of_ranks_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"data 1 x shard 4 x tensor 2 x sequence 1 = 8 ranks"
    ) as error:
        join(ParallelSection(shard=4, tensor=2), "cpu")
    assert "torchrun --nproc-per-node 8 -m finesight train" in error.value.hint
    assert join(ParallelSection(), "cpu") == Ranks()


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"tensor": 4}, "tensor x parallel.sequence = 4, but the model has 2 key-value heads"),
        ({"tensor": 2, "sequence": 2}, "= 4, but the model has 2 key-value heads"),
        ({"sequence": 3}, "= 3, but the model has 16 query heads"),
    ],
)
def test_heads_that_cannot_be_divided_are_refused(sizes, said) -> None:
    with pytest.raises(ConfigError, match=said):
        check_heads(ParallelSection(**sizes), named_config("3b"))


@pytest.mark.parametrize(("size", "most"), [("3b", 2), ("7b", 4), ("72b", 8)])
def test_published_sizes_can_be_divided_by_their_key_value_heads(size, most) -> None:
    for axis in ("tensor", "sequence"):
        check_heads(ParallelSection(**{axis: most}), named_config(size))


def test_ranks_that_share_a_pack_have_its_index() -> None:
    sizes = ParallelSection(data=2, shard=3, sequence=2, tensor=2)
    ranks = [Ranks(sizes=sizes, rank=rank) for rank in range(sizes.num_ranks)]
    assert ranks[0].num_packs == 6
    assert [one.pack_index for one in ranks] == [rank // 4 for rank in range(24)]
    assert sum(one.counts for one in ranks) == 6


def test_one_process_alone_agrees_with_itself() -> None:
    assert Ranks().sums([1.5, 2.0]) == [1.5, 2.0]
    assert Ranks().gathered("x") == ["x"]
    with pytest.raises(RuntimeError, match="gloo"), Ranks().watched():
        raise RuntimeError("gloo: connection closed")


def test_a_lost_connection_names_this_rank() -> None:
    ranks = Ranks(rank=3, mesh=object())  # type: ignore[arg-type]  # a grid is there
    with (
        pytest.raises(DataError, match="rank 3 has lost the connection to another rank"),
        ranks.watched(),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    with pytest.raises(RuntimeError, match="shape"), ranks.watched():
        raise RuntimeError("shape '[2]' is invalid")


def test_random_numbers_go_on_after_a_resume() -> None:
    torch.manual_seed(5)
    stored = {name: state.clone() for name, state in random_state.current(0).items()}
    expected = torch.rand(3)
    random_state.restore(stored, rank=0, step=7)
    assert torch.equal(torch.rand(3), expected)
    random_state.restore(stored, rank=1, step=7)  # a rank that the stored run did not have
    first = torch.rand(3)
    random_state.restore(stored, rank=1, step=7)
    assert torch.equal(torch.rand(3), first)
    assert not torch.equal(first, expected)
    random_state.restore({}, rank=0, step=7)  # of an earlier version
    assert not torch.equal(torch.rand(3), first)


def test_a_copy_for_evaluation_shares_its_weights() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    given = {name: torch.full_like(value, 2.0) for name, value in module.named_parameters()}
    copied = copy_with(module, given)
    assert copied[0].weight.data_ptr() == given["0.weight"].data_ptr()
    assert copied[1].running_mean is module[1].running_mean
    assert not copied.training
    assert not any(value.requires_grad for value in copied.parameters())
    assert module.training

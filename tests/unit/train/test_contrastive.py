# SPDX-License-Identifier: Apache-2.0
"""Contrastive loss: values by hand, equal texts, the gradient cache in one process and on two ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample, pack
from finesight.config.model import TextConfig
from finesight.data.captions import Captions
from finesight.errors import ConfigError
from finesight.train.contrastive import Contrastive, ContrastiveSection, TextTower, Vectors
from finesight.train.objective import Losses

WIDTH = 16
TEXT = TextConfig(
    vocab_size=50,
    hidden_size=WIDTH,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    tie_word_embeddings=True,
    mrope_section=(2, 1, 1),
)


def sample(tokens: list[int]) -> EncodedSample:
    """A text whose second half is a target."""
    ids = torch.tensor(tokens)
    labels = ids.clone()
    labels[: len(tokens) // 2] = IGNORE_INDEX
    return EncodedSample(
        input_ids=ids,
        labels=labels,
        position_ids=torch.arange(len(tokens)).expand(3, -1),
        rope_delta=0,
        visual_index=ids[:0],
    )


@dataclass
class Pack:
    """A pack of pairs of a text and a picture of the given numbers of visual tokens."""

    captions: Captions | None


@dataclass
class Pass:
    pack: Pack
    visual_tokens: Tensor
    embedding: Tensor


def passes(groups, embedding, *, seed=0) -> list[Pass]:
    """One pass for each group of (caption tokens, number of visual tokens)."""
    random = torch.Generator().manual_seed(seed)
    found = []
    for group in groups:
        owners = [index for index, (_, count) in enumerate(group) for _ in range(count)]
        captions = Captions(
            batch=pack([sample(tokens) for tokens, _ in group]),
            samples=torch.arange(len(group)),
            picture_samples=torch.tensor(owners),
        )
        visual = torch.randn(len(owners), WIDTH, generator=random)
        found.append(Pass(Pack(captions), visual.requires_grad_(), embedding))
    return found


GROUPS = [
    [([5, 6, 7], 3), ([9, 8], 1)],
    [([5, 7, 6, 1], 2), ([4], 4), ([11, 12], 2)],
]


def contrastive(form="softmax", layers=1) -> Contrastive:
    section = ContrastiveSection(form=form, width=8, text_layers=layers)
    return Contrastive(TEXT, section, 1.0, seed=3)


@pytest.fixture
def embedding() -> Tensor:
    return torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(1), requires_grad=True)


def total(objective, given: list[Pass]) -> tuple[Tensor, list[Losses]]:
    objective.begin_step(given)
    found = [objective(one) for one in given]
    return torch.stack([one.sums["contrastive"] for one in found]).sum(), found


def joined(given: list[Pass]) -> Pass:
    """The same pairs in one pack."""
    shifted, texts, start = [], [], 0
    for one in given:
        captions = one.pack.captions
        shifted.append(captions.picture_samples + start)
        start += len(captions.samples)
        texts += [
            captions.batch.input_ids[captions.batch.sample_ids == i] for i in captions.samples
        ]
    captions = Captions(
        pack([sample(each.tolist()) for each in texts]), torch.arange(start), torch.cat(shifted)
    )
    visual = torch.cat([one.visual_tokens for one in given])
    return Pass(Pack(captions), visual, given[0].embedding)


def gradients(objective, given, embedding) -> list[Tensor]:
    loss, _ = total(objective, given)
    wanted = [*objective.parameters(), embedding]
    return [loss.detach(), *torch.autograd.grad(loss, wanted)]


def test_softmax_of_three_pairs_by_hand() -> None:
    objective = contrastive()
    eye = torch.eye(3, 8)
    texts = torch.stack([eye[0], (eye[0] + eye[1]) / math.sqrt(2), eye[2]])
    with torch.no_grad():
        objective.log_scale.fill_(0.0)
    rows = objective._losses(Vectors(eye, texts, torch.arange(3)))
    h = 1 / math.sqrt(2)
    scores = [[1, h, 0], [0, h, 0], [0, 0, 1]]
    for index, found in enumerate(rows.tolist()):
        row, column = scores[index], [line[index] for line in scores]
        own = scores[index][index]
        wanted = [math.log(sum(map(math.exp, each))) - own for each in (row, column)]
        assert found == pytest.approx(sum(wanted) / 2, abs=1e-6)


def test_sigmoid_of_two_pairs_by_hand() -> None:
    objective = contrastive("sigmoid")
    with torch.no_grad():
        objective.log_scale.fill_(math.log(2.0))
        objective.bias.fill_(-1.0)
    pictures = torch.eye(2, 8)
    rows = objective._losses(Vectors(pictures, pictures, torch.arange(2)))
    own, other = math.log(1 + math.exp(-(2 - 1))), math.log(1 + math.exp(-1))
    assert rows.tolist() == pytest.approx([own + other] * 2, abs=1e-6)


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_an_equal_text_of_another_picture_is_not_wrong(form) -> None:
    objective = contrastive(form)
    pictures = torch.nn.functional.normalize(
        torch.randn(3, 8, generator=torch.Generator().manual_seed(2)), dim=1
    )
    texts = pictures[[0, 0, 2]]
    both = objective._losses(Vectors(pictures, texts, torch.tensor([7, 7, 9])))
    alone = objective._losses(Vectors(pictures[[0, 2]], texts[[0, 2]], torch.tensor([7, 9])))
    # the picture beside it still competes for the text of the third
    assert both[0] <= alone[0] + objective._losses(Vectors(pictures, texts, torch.arange(3)))[0]
    different = objective._losses(Vectors(pictures, texts, torch.arange(3)))
    assert both[0] < different[0]


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
@pytest.mark.parametrize("layers", [0, 1])
def test_several_packs_are_one_large_pack(form, layers, embedding) -> None:
    """Loss and gradients of the gradient cache, in float32: the sums are added in another order."""
    objective = contrastive(form, layers)
    given = passes(GROUPS, embedding)
    found = gradients(objective, given, embedding)
    wanted = gradients(objective, [joined(given)], embedding)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert any(one.abs().sum() > 0 for one in found[1:])


def test_gradients_reach_the_visual_tokens(embedding) -> None:
    given = passes(GROUPS, embedding)
    loss, _ = total(contrastive(), given)
    for one in torch.autograd.grad(loss, [one.visual_tokens for one in given]):
        assert one.abs().sum(1).min() > 0


def test_the_share_of_pictures_that_pick_their_text(embedding) -> None:
    objective = contrastive()
    given = passes(GROUPS, embedding)
    _, found = total(objective, given)
    whole = objective(joined(given)).values["picked"]
    assert sum(one.values["picked"].total for one in found) == whole.total
    assert sum(one.values["picked"].number for one in found) == whole.number == 5


def test_a_single_pair_is_refused(embedding) -> None:
    with pytest.raises(ConfigError, match="1 pair of a picture and a text"):
        contrastive().begin_step(passes([[([5, 6], 2)]], embedding))


def test_a_pack_without_a_pair_has_no_loss(embedding) -> None:
    given = Pass(Pack(None), torch.zeros(0, WIDTH), embedding)
    objective = contrastive()
    assert objective.num_targets(given.pack) == {"contrastive": 0.0}
    assert objective(given).sums == {}


def test_texts_do_not_depend_on_their_pack(embedding) -> None:
    tower = TextTower(TEXT, 2)
    texts = [sample([1, 2, 3]), sample([4]), sample([5, 6, 7, 8])]
    together = tower(embedding, pack(texts))
    alone = torch.cat([tower(embedding, pack([one])) for one in texts])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_captions_are_the_targets_of_samples_with_pictures() -> None:
    with_picture = replace(sample([1, 2, 3, 4]), visual_index=torch.tensor([0, 1]))
    without = sample([5, 6])
    batch = pack([with_picture, without, with_picture])
    samples = [
        replace(with_picture, vision=("a picture",)), without, replace(with_picture, vision=("a picture",)),
    ]  # fmt: skip
    found = Captions.of(batch, samples)
    assert found is not None
    assert found.samples.tolist() == [0, 2]
    assert found.batch.input_ids.tolist() == [3, 4, 3, 4]
    assert found.picture_samples.tolist() == [0, 0, 1, 1]
    assert Captions.of(pack([without]), [without]) is None


def _rank(rank: int, store: str, results) -> None:
    """Gradients of one rank for its own group of pairs; rank 1 of three has none."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{store}", world_size=3, rank=rank)
    table = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(1), requires_grad=True)
    given = passes(GROUPS, table)
    own = {0: given[:1], 1: [], 2: given[1:]}[rank]
    objective = contrastive("sigmoid")
    objective.begin_step(own)
    if own:
        loss = objective(own[0]).sums["contrastive"]
        found = [loss.detach(), *torch.autograd.grad(loss, [*objective.parameters(), table])]
        results.put([one.numpy() for one in found])
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.no_cover
def test_the_gradients_of_all_ranks_add_up_to_those_of_one_process(embedding, tmp_path) -> None:
    context = mp.get_context("spawn")
    results = context.Queue()
    ranks = [
        context.Process(target=_rank, args=(i, str(tmp_path / "store"), results)) for i in range(3)
    ]
    for one in ranks:
        one.start()
    parts = [results.get(timeout=120) for _ in range(2)]
    for one in ranks:
        one.join()
        assert one.exitcode == 0
    wanted = gradients(contrastive("sigmoid"), [joined(passes(GROUPS, embedding))], embedding)
    for *shares, whole in zip(*parts, wanted, strict=True):
        summed = torch.as_tensor(shares[0] + shares[1])
        torch.testing.assert_close(summed, whole, atol=1e-5, rtol=1e-5)

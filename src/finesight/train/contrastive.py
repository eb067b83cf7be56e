# SPDX-License-Identifier: Apache-2.0
"""Contrastive training of the vision tower: a picture is near its own text and far from the texts of other pictures.

It is the first stage of a tower that starts from random weights. Pictures keep their native resolution: the vector of a
picture is the mean of its visual tokens, whatever their number. A text is read by a small causal transformer on the
decoder's token embedding, or, with 0 layers, is the mean of these embeddings.

Every picture is compared with every text of the optimizer step, in all packs and on all ranks. The memory holds the
activations of one pack only: vectors of all packs are computed without gradients, then the gradient of the loss for
each vector, and then each pack once more with gradients (gradient cache).

Legend: C pairs of a pack, B pairs of a step, E width of the vectors, D width of the decoder, M visual tokens.
Source: Radford et al. 2021 (arXiv 2103.00020), softmax; Zhai et al. 2023 (arXiv 2303.15343), sigmoid; Gao et al. 2021
(arXiv 2101.06983), gradient cache.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from finesight.batch import PackedBatch
from finesight.config.model import TextConfig
from finesight.config.settings import Settings
from finesight.data.loader import TrainBatch
from finesight.errors import ConfigError
from finesight.model.language import TextLayer
from finesight.model.layers import RMSNorm
from finesight.model.rope import text_rotary
from finesight.train.meters import Sum
from finesight.train.objective import ForwardPass, Losses, WholeStep

_MAX_SCALE = math.log(100.0)
"""Limit of the logarithm of the scale of the scores, as in CLIP."""


class ContrastiveSection(Settings):
    """Comparison of pictures with texts."""

    form: Literal["softmax", "sigmoid"] = Field(
        "sigmoid",
        description="softmax: each picture chooses among all texts and each text among all pictures (CLIP); sigmoid: "
        "each pair is right or wrong by itself (SigLIP)",
    )
    width: int = Field(256, ge=8, description="width of the compared vectors")
    text_layers: int = Field(
        4,
        ge=0,
        description="layers of the text tower, of the decoder's width; 0 takes the mean of the token embeddings",
    )


class Vectors(NamedTuple):
    """Vectors of the pairs of one pack or of a whole step.

    Attributes:
        pictures: float32[C, E], of unit length.
        texts: float32[C, E], of unit length.
        captions: int64[C], equal for equal texts.
    """

    pictures: Tensor
    texts: Tensor
    captions: Tensor


class Contrastive(nn.Module, WholeStep):
    """Contrastive loss between pictures and their texts.

    Args:
        text: shape of the decoder.
        settings: form of the loss and size of the text tower.
        weight: weight of the loss.
        seed: of the initial weights.
    """

    name = "contrastive"

    def __init__(
        self, text: TextConfig, settings: ContrastiveSection, weight: float, *, seed: int
    ) -> None:
        super().__init__()
        self.parts = {"contrastive": weight}
        self._form = settings.form
        is_softmax = settings.form == "softmax"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.text_tower = TextTower(text, settings.text_layers)
            self.picture_norm = RMSNorm(text.hidden_size, text.rms_norm_eps)
            self.picture_head = nn.Linear(text.hidden_size, settings.width, bias=False)
            self.text_head = nn.Linear(text.hidden_size, settings.width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07 if is_softmax else 10.0)))
        if not is_softmax:  # a bias of all scores does not change a softmax
            self.bias = nn.Parameter(torch.tensor(-10.0))
        self._step = deque[_Gradients]()

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Number of pairs of a picture and a text."""
        return {"contrastive": float(0 if pack.captions is None else len(pack.captions.samples))}

    def begin_step(self, passes: Sequence[ForwardPass]) -> None:
        """Compute the gradient of the loss for every vector of the step, if it has more than one pack.

        Args:
            passes: forward passes of all packs of the step that have pairs, in the order in which they are called.

        Raises:
            ConfigError: the step has a single pair, which can be compared with nothing.
        """
        self._step.clear()
        found: list[Vectors] = []
        with torch.no_grad():
            for one in passes:
                if one.pack.captions is None:
                    _ = one.visual_tokens  # another rank has pairs, and all run the tower
                else:
                    found.append(self.vectors(one))
        every, first = _all_ranks(self._joined(found))
        if len(every.captions) == 1:
            raise ConfigError(
                "an optimizer step has 1 pair of a picture and a text, and nothing to compare it with",
                hint="raise data.pack_tokens or run.accumulate",
            )
        if len(found) > 1 or (found and len(every.captions) > len(found[0].captions)):
            self._step.extend(self._gradients(found, every, first))

    def forward(self, forward: ForwardPass) -> Losses:
        """Loss `contrastive`; for the log `picked`, the share of pictures whose own text is the nearest."""
        if forward.pack.captions is None:
            _ = forward.visual_tokens  # as in `begin_step`
            return Losses({})
        own = self.vectors(forward)
        if not self._step:
            rows = self._losses(own)
            return Losses({"contrastive": rows.sum()}, {"picked": _picked(own, own, first=0)})
        stored = self._step.popleft()
        products = (own.pictures * stored.pictures).sum() + (own.texts * stored.texts).sum()
        for value, gradient in zip(self._shared(), stored.shared, strict=True):
            products = products + value * gradient
        # its value is the loss of the pack, its gradient that of the stored vectors
        loss = products - products.detach() + stored.loss
        return Losses({"contrastive": loss}, {"picked": stored.picked})

    def vectors(self, forward: ForwardPass) -> Vectors:
        """Vectors of the pairs of a pack, C > 0."""
        visual, captions = forward.visual_tokens, forward.pack.captions
        assert visual is not None
        assert captions is not None
        is_paired = captions.picture_samples >= 0
        owners, number = captions.picture_samples[is_paired], len(captions.samples)
        sums = visual.new_zeros(number, visual.shape[1], dtype=torch.float32)
        sums = sums.index_add(0, owners, visual[is_paired].float())
        means = sums / owners.bincount(minlength=number)[:, None]
        texts = self.text_tower(forward.embedding, captions.batch)
        return Vectors(
            functional.normalize(self.picture_head(self.picture_norm(means)).float(), dim=-1),
            functional.normalize(self.text_head(texts).float(), dim=-1),
            _fingerprints(captions.batch),
        )

    def _shared(self) -> list[Tensor]:
        """The scalars that all pairs share."""
        return [self.log_scale] if self._form == "softmax" else [self.log_scale, self.bias]

    def _losses(self, step: Vectors) -> Tensor:
        """float32[B], the loss of each pair of a step: of its picture with all texts, and of its text."""
        scores = step.pictures @ step.texts.T * self.log_scale.clamp(max=_MAX_SCALE).exp()
        is_own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        is_equal = (step.captions[:, None] == step.captions) & ~is_own
        if self._form == "sigmoid":
            signs = is_own.float() * 2 - 1
            wrong = -functional.logsigmoid(signs * (scores + self.bias))
            return wrong.masked_fill(is_equal, 0.0).sum(1)
        scores = scores.masked_fill(is_equal, -torch.inf)  # an equal text is not wrong
        own = torch.arange(len(scores), device=scores.device)
        to_texts = functional.cross_entropy(scores, own, reduction="none")
        return (to_texts + functional.cross_entropy(scores.T, own, reduction="none")) / 2

    def _joined(self, packs: Sequence[Vectors]) -> Vectors:
        """Vectors of all packs of this rank, which may have none."""
        empty = self.log_scale.new_zeros(0, self.picture_head.out_features)
        no_captions = torch.zeros(0, dtype=torch.int64, device=empty.device)
        parts = zip(Vectors(empty, empty, no_captions), *packs, strict=True)
        return Vectors(*(torch.cat(part) for part in parts))

    def _gradients(
        self, packs: Sequence[Vectors], step: Vectors, first: int
    ) -> Iterator[_Gradients]:
        """Gradients of the loss of the whole step for the vectors of each pack of this rank, from row `first` on."""
        leaves = Vectors(
            step.pictures.detach().requires_grad_(), step.texts.detach().requires_grad_(), step.captions
        )  # fmt: skip
        with torch.enable_grad():
            rows = self._losses(leaves)
            pictures, texts, *shared = torch.autograd.grad(
                rows.sum(), [leaves.pictures, leaves.texts, *self._shared()]
            )
        for one in packs:
            own = slice(first, first + len(one.captions))
            # every pack of every rank has the gradient of the whole step, and those of the packs are added up
            share = len(one.captions) / len(step.captions)
            yield _Gradients(
                pictures=pictures[own],
                texts=texts[own],
                shared=[value * share for value in shared],
                loss=rows[own].detach().sum(),
                picked=_picked(one, step, first=first),
            )
            first += len(one.captions)


class TextTower(nn.Module):
    """Reads texts with the decoder's token embedding and some layers of its own.

    Args:
        config: shape of the decoder.
        num_layers: number of layers; with 0 a text is the mean of its token embeddings.
    """

    def __init__(self, config: TextConfig, num_layers: int) -> None:
        super().__init__()
        self._config = config
        self.layers = nn.ModuleList(TextLayer(config, index, "sdpa") for index in range(num_layers))
        for layer in self.layers:
            _start(layer, num_layers)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, embedding: Tensor, batch: PackedBatch) -> Tensor:
        """`[C, D]`, one vector for each text: its last state, which has read all of it, or the mean.

        Args:
            embedding: `[V, D]`, the token embedding.
            batch: texts.
        """
        states = functional.embedding(batch.input_ids, embedding)
        ends = batch.attention.cu_seqlens_q.long()
        if not len(self.layers):
            sums = states.new_zeros(len(ends) - 1, states.shape[1])
            sums = sums.index_add(0, batch.sample_ids, states)
            return self.norm(sums / ends.diff()[:, None])  # type: ignore[no-any-return]  # nn.Module call
        rotary = text_rotary(batch.position_ids, self._config)
        for layer in self.layers:
            states = layer(states, rotary, batch.attention, None)
        return self.norm(states[ends[1:] - 1])  # type: ignore[no-any-return]  # nn.Module call


class _Gradients(NamedTuple):
    """Gradients of the loss of a step for one pack, and the pack's share of the loss."""

    pictures: Tensor
    texts: Tensor
    shared: list[Tensor]
    loss: Tensor
    picked: Sum


def _start(layer: nn.Module, num_layers: int) -> None:
    """Initial weights of a layer: normal, smaller where a matrix adds to the residual stream."""
    for name, value in layer.named_parameters():
        if value.ndim == 2:
            is_output = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(value, std=0.02 / math.sqrt(2 * num_layers) if is_output else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(value)


def _fingerprints(texts: PackedBatch) -> Tensor:
    """int64[C], a hash of the tokens of each text, equal on all ranks."""
    starts = texts.attention.cu_seqlens_q.long()[:-1]
    place = torch.arange(len(texts.input_ids), device=starts.device) - starts[texts.sample_ids]
    mixed = (texts.input_ids + 1) * 0x9E3779B97F4A7C1 * (2 * place + 1)  # wraps around
    mixed = mixed ^ (mixed >> 29)
    return torch.zeros_like(starts).index_add_(0, texts.sample_ids, mixed)


def _picked(own: Vectors, step: Vectors, *, first: int) -> Sum:
    """Pictures of a pack whose nearest text of the step is their own or an equal one."""
    with torch.no_grad():
        nearest = (own.pictures @ step.texts.T).argmax(1)
        own_captions = step.captions[first : first + len(own.captions)]
        return Sum((step.captions[nearest] == own_captions).sum(), float(len(own_captions)))


def _all_ranks(own: Vectors) -> tuple[Vectors, int]:
    """Vectors of all ranks, by rank, and the row of this rank's first; every rank calls it, also without a pair."""
    if not (dist.is_available() and dist.is_initialized()):
        return own, 0
    count = torch.tensor([len(own.captions)], device=own.captions.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    numbers = [int(one) for one in counts]
    return Vectors(*(_gathered(part, numbers) for part in own)), sum(numbers[: dist.get_rank()])


def _gathered(part: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows of all ranks, which may have different numbers of them."""
    padded = part.new_zeros(max(counts), *part.shape[1:])
    padded[: len(part)] = part
    found = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(found, padded)
    return torch.cat([one[:count] for one, count in zip(found, counts, strict=True)])

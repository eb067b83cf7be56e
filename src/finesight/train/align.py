# SPDX-License-Identifier: Apache-2.0
"""Alignment of the vision tower with a pre-trained decoder.

Each visual token learns, by squared error, a vector made of the decoder's own token embeddings: of the characters drawn
in its cell, or of the name of the object over its centre. A decoder that is never trained on pictures then reads a
visual token as a mixture of familiar tokens. Without this step, the decoder ignores pictures for a long time, because
its language prior already predicts much of an answer.

    target = m + gain * (sum of w (e - m) over the tokens) / sqrt(sum of w^2 over the tokens)

where e is a token's embedding and m the mean embedding of the printable ASCII characters. A blank cell's target is m.
Centring matters: all embeddings share a large common part, next to which single letters hardly differ. The weight w
falls from each character of a cell to the next. A sum with equal weights has no order: a decoder then wrote the letters
of a cell twice or in the wrong order.

Legend: M visual tokens, D decoder width, K character slots per cell, C character classes, N object classes; R and O as
in `finesight.data.dense`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.checkpoints.decoder import mean_letter
from finesight.data.dense import CHAR_SLOTS, OTHER, DenseTargets, DenseVocabulary
from finesight.data.loader import TrainBatch
from finesight.text.tokenizer import Tokenizer
from finesight.train.meters import Sum
from finesight.train.objective import ForwardPass, Losses

_GAIN = 1.5
"""How far a target is from the mean, relative to a token embedding.

With 1, the tower learns more slowly; with 2, an untrained decoder copies fewer letters (.49 against .58 with 1).
"""

_NEXT_WEIGHT = 0.7
"""Weight of a character of a cell, relative to the one before it."""


class Alignment:
    """Squared error between visual tokens and targets made of token embeddings.

    The error is in units of the mean squared distance of a letter's target from the mean: 1 is the error of a tower
    that puts the mean embedding everywhere.

    The embeddings are those at the first call: the decoder's embedding must be frozen.

    Args:
        tokenizer: the decoder's vocabulary.
        vocabulary: classes of the characters and objects in the dense targets.
        weight: weight of the loss.
    """

    name = "alignment"

    def __init__(self, tokenizer: Tokenizer, vocabulary: DenseVocabulary, weight: float) -> None:
        self.parts = {"align": weight}
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._table: ClassEmbeddings | None = None

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Number of cells whose characters or object are known."""
        return {"align": float(len(_known_cells(pack.dense)))}

    def __call__(self, forward: ForwardPass) -> Losses:
        """Loss `align`; for the log `named`, the share of cells with letters whose nearest letter is their first."""
        visual, dense = forward.visual_tokens, forward.pack.dense
        if visual is None:
            return Losses({})
        table = self.table(forward.embedding)
        cells = _known_cells(dense)
        error = visual[cells].float() - table.targets(dense)[cells]
        loss = error.square().sum() / table.unit
        return Losses({"align": loss}, {"named": table.named(visual.detach().float(), dense)})

    def table(self, embedding: Tensor) -> ClassEmbeddings:
        """Embeddings of the classes, made at the first call.

        Args:
            embedding: `[V, D]`, the decoder's token embedding.
        """
        if self._table is None:
            self._table = ClassEmbeddings.build(embedding, self._tokenizer, self._vocabulary)
        return self._table


@dataclass(frozen=True, slots=True)
class ClassEmbeddings:
    """Token embeddings of the classes of dense targets, centred.

    Attributes:
        mean: float32[D], mean embedding of the printable ASCII characters.
        characters: float32[C, D], sum over the tokens of each character.
        lengths: float32[C], number of its tokens.
        objects: float32[N, D], sum over the tokens of each name, divided by the root of their number.
        unit: mean squared distance of a character's target from the mean.
    """

    mean: Tensor
    characters: Tensor
    lengths: Tensor
    objects: Tensor
    unit: float

    @classmethod
    def build(
        cls, embedding: Tensor, tokenizer: Tokenizer, vocabulary: DenseVocabulary
    ) -> ClassEmbeddings:
        """Embeddings of the classes of a vocabulary; blank, other and background are zero.

        Args:
            embedding: `[V, D]`.
            tokenizer: its vocabulary.
            vocabulary: the classes.
        """
        table = embedding.detach().float()
        mean = mean_letter(table, tokenizer)
        spelled = [tokenizer.encode(char) for char in vocabulary.characters]
        # with the space before it, as a name is written within an answer
        named = [tokenizer.encode(f" {name}") for name in vocabulary.objects]
        characters, lengths = _sums(table - mean, [[], [], *spelled])
        objects, words = _sums(table - mean, [[], *named])
        norms = characters[2:].square().sum(1)
        return cls(
            mean=mean,
            characters=characters,
            lengths=lengths,
            objects=objects / words.clamp(min=1).sqrt()[:, None],
            unit=_GAIN**2 * (float(norms.mean()) if len(norms) else 1.0),
        )

    def targets(self, dense: DenseTargets) -> Tensor:
        """float32[M, D], the target of every visual token; cells without truth get the mean."""
        sums = self.mean.new_zeros(dense.num_cells, len(self.mean))
        counts = self.mean.new_zeros(dense.num_cells)
        owners = dense.text_cells[dense.slots // CHAR_SLOTS]
        weights = _NEXT_WEIGHT ** (dense.slots % CHAR_SLOTS).to(self.mean.dtype)
        sums.index_add_(0, owners, weights[:, None] * self.characters[dense.characters])
        counts.index_add_(0, owners, weights.square() * self.lengths[dense.characters])
        found = sums / torch.where(counts > 0, counts, 1.0).sqrt()[:, None]
        found.index_add_(0, dense.object_cells, self.objects[dense.objects])
        return self.mean + _GAIN * found

    @torch.no_grad()
    def named(self, visual: Tensor, dense: DenseTargets) -> Sum:
        """Cells with letters whose nearest letter is their first, by the scalar product."""
        if len(self.characters) == OTHER + 1:
            return Sum(0.0, 0.0)
        is_first = (dense.characters > OTHER) & (dense.slots % CHAR_SLOTS == 0)
        cells = dense.text_cells[dense.slots[is_first] // CHAR_SLOTS]
        scores = (visual[cells] - self.mean) @ self.characters[OTHER + 1 :].T
        nearest = scores.argmax(1) + OTHER + 1
        return Sum((nearest == dense.characters[is_first]).sum(), float(len(cells)))


def _sums(embedding: Tensor, tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """`[C, D]`, sum of the embeddings of each class, and `[C]`, the number of its tokens."""
    ids, lengths = (
        torch.tensor(values, dtype=torch.int64, device=embedding.device)
        for values in ([index for each in tokens for index in each], [len(each) for each in tokens])
    )
    owners = torch.repeat_interleave(lengths)
    sums = embedding.new_zeros(len(tokens), embedding.shape[1])
    sums.index_add_(0, owners, embedding[ids])
    return sums, lengths.float()


def _known_cells(dense: DenseTargets) -> Tensor:
    """Visual tokens whose characters or object are known, ascending."""
    return torch.cat([dense.text_cells, dense.object_cells]).unique()  # type: ignore[no-any-return]  # torch leaves it untyped

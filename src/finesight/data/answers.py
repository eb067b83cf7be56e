# SPDX-License-Identifier: Apache-2.0
"""Packs of several answers to one prompt: pairs of a better and a worse answer, or a group of sampled answers.

The prompt, with its pictures, is in the pack once: `AttentionPlan.shared` lets every answer attend to it. Only
attention is computed for each answer; projections, feed-forward layers and the vision tower see the prompt once.

Legend: A answers of a pack, R target tokens of all answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.batch import IGNORE_INDEX, EncodedSample, PackedBatch, pack_vision
from finesight.errors import LayoutError

__all__ = [
    "AnswerTargets",
    "PolicyTargets",
    "answered",
    "num_rows",
    "pack_answers",
    "prompt_length",
]


@dataclass(frozen=True, slots=True)
class AnswerTargets:
    """Target tokens of the answers of a pack, answer by answer.

    Attributes:
        rows: int64[R], the row of the hidden states that predicts each target; the first of each answer is the last
            row of its prompt.
        targets: int64[R].
        answers: int64[R], the answer that each target belongs to, ascending.
        lengths: float32[A], targets of each answer.
    """

    rows: Tensor
    targets: Tensor
    answers: Tensor
    lengths: Tensor

    @classmethod
    def none(cls) -> AnswerTargets:
        """Those of a pack without answers."""
        nothing = torch.empty(0, dtype=torch.int64)
        return cls(nothing, nothing, nothing, nothing.float())


@dataclass(frozen=True, slots=True)
class PolicyTargets:
    """What the loss of sampled answers (`finesight.train.policy`) needs beside their tokens.

    Attributes:
        advantages: float32[A].
        sampled: float32[R], log-probability of each token by the model that sampled it.
        reference: float32[R], by the reference model; empty if the loss has no divergence from it.
        values: sum and number of values for the log, by name, such as rewards; on one pack of a round.
    """

    advantages: Tensor
    sampled: Tensor
    reference: Tensor
    values: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def prompt_length(sample: EncodedSample) -> int:
    """Number of tokens before the first target.

    Raises:
        LayoutError: the sample has no target, or it begins with one.
    """
    targets = torch.nonzero(sample.labels != IGNORE_INDEX)
    if not len(targets) or not int(targets[0]):
        raise LayoutError(
            "a sample of a preference pair or of a group of answers needs a prompt and an answer",
            hint="end the conversation with an assistant message that is a target",
        )
    return int(targets[0])


def answered(prompt: EncodedSample, token_ids: Sequence[int]) -> EncodedSample:
    """A prompt that ends with the start of an answer, with the tokens of the answer as targets.

    Args:
        prompt: from `Processor.encode` with a generation prompt.
        token_ids: tokens of the answer, with its end token if it has one.
    """
    ids = torch.tensor(token_ids, dtype=torch.int64)
    first = prompt.input_ids.numel() + prompt.rope_delta
    positions = torch.arange(first, first + len(ids)).expand(3, -1)
    nothing = torch.full_like(prompt.input_ids, IGNORE_INDEX)
    return replace(
        prompt,
        input_ids=torch.cat([prompt.input_ids, ids]),
        labels=torch.cat([nothing, ids]),
        position_ids=torch.cat([prompt.position_ids, positions], dim=1),
    )


def num_rows(group: Sequence[EncodedSample]) -> int:
    """Rows of a group in a pack."""
    prompt = _shared_length(group)
    return prompt + sum(sample.input_ids.numel() - prompt for sample in group)


def pack_answers(groups: Sequence[Sequence[EncodedSample]]) -> tuple[PackedBatch, AnswerTargets]:
    """Pack groups of samples with the same prompt, pictures included.

    Args:
        groups: samples of each prompt, in order; the pictures are those of the first sample of the group.

    Returns:
        The pack, whose labels are all -100 and whose `sample_ids` number the groups, and the targets of the answers.

    Raises:
        LayoutError: there is no group, a sample has no target, or the prompts of a group differ in or before a picture.
    """
    if not groups:
        raise LayoutError("cannot pack 0 groups of answers")
    row = _Row()
    for group in groups:
        row.add(group)
    items = [item for group in groups for item in group[0].vision]
    input_ids = torch.cat(row.input_ids)
    batch = PackedBatch(
        input_ids=input_ids,
        labels=torch.full_like(input_ids, IGNORE_INDEX),
        position_ids=torch.cat(row.position_ids, dim=1),
        attention=AttentionPlan.shared(row.lengths),
        sample_ids=torch.repeat_interleave(
            torch.arange(len(groups)), torch.tensor([num_rows(group) for group in groups])
        ),
        visual_index=torch.cat(row.visual_index),
        vision=pack_vision(items) if items else None,
    )
    lengths = [one.numel() for one in row.targets]
    targets = AnswerTargets(
        rows=torch.cat(row.rows),
        targets=torch.cat(row.targets),
        answers=torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)),
        lengths=torch.tensor(lengths, dtype=torch.float32),
    )
    return batch, targets


class _Row:
    """The pack under construction."""

    def __init__(self) -> None:
        self.input_ids: list[Tensor] = []
        self.position_ids: list[Tensor] = []
        self.visual_index: list[Tensor] = []
        self.lengths: list[tuple[int, list[int]]] = []
        self.rows: list[Tensor] = []
        self.targets: list[Tensor] = []
        self._num_rows = 0

    def add(self, group: Sequence[EncodedSample]) -> None:
        first = group[0]
        prompt = _shared_length(group)
        self.visual_index.append(first.visual_index + self._num_rows)
        self._append(first, slice(0, prompt))
        last = self._num_rows - 1
        continuations: list[int] = []
        for sample in group:
            labels = sample.labels[prompt:]
            within = torch.nonzero(labels != IGNORE_INDEX).squeeze(1)
            # The row before a target predicts it; before the first token of the answer that is the prompt's last.
            before = torch.where(within == 0, last, self._num_rows + within - 1)
            self.rows.append(before)
            self.targets.append(labels[within])
            continuations.append(labels.numel())
            self._append(sample, slice(prompt, None))
        self.lengths.append((prompt, continuations))

    def _append(self, sample: EncodedSample, part: slice) -> None:
        ids = sample.input_ids[part]
        self.input_ids.append(ids)
        self.position_ids.append(sample.position_ids[:, part])
        self._num_rows += ids.numel()


def _shared_length(group: Sequence[EncodedSample]) -> int:
    """Number of first tokens that all samples of a group share, none of them a target.

    It is less than the prompt where the last token of a prompt depends on the answer, as a line break does before an
    answer that begins with one.
    """
    first = group[0]
    shared = min(prompt_length(sample) for sample in group)
    for sample in group[1:]:
        same = sample.input_ids[:shared] == first.input_ids[:shared]
        shared = int(same.long().cumprod(0).sum())
    for sample in group:
        places = sample.visual_index
        if places.numel() != first.visual_index.numel() or bool((places >= shared).any()):
            raise LayoutError(
                f"answers of one group share {shared} tokens, but a picture or video comes after them",
                hint="encode all answers of a group with the same conversation before them",
            )
    if not shared:
        raise LayoutError("answers of one group have different prompts from the first token on")
    return shared

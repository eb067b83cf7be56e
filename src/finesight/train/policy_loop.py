# SPDX-License-Identifier: Apache-2.0
"""The training loop over rounds of sampled answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from finesight.batch import EncodedSample
from finesight.data.answers import answered, num_rows, pack_answers
from finesight.data.dense import DenseTargets
from finesight.data.loader import TrainBatch
from finesight.data.next_token import next_token_targets
from finesight.errors import DataError
from finesight.model.vl import VisionLanguageModel
from finesight.train.loop import Trainer
from finesight.train.objective import ForwardPass
from finesight.train.optim import OptimConfig
from finesight.train.parallel import Ranks
from finesight.train.policy import Policy
from finesight.train.recipe import RunSection
from finesight.train.rewards import Prompt
from finesight.train.rollout_page import write_latest
from finesight.train.rollouts import (
    Rollouts,
    Round,
    cursor_of,
    position,
    split_steps,
    with_logprobs,
)
from finesight.train.schedule import ScheduleConfig

_Part = list[tuple[int, EncodedSample]]
"""Answers to one prompt: their numbers in the round, and the prompt with each of them."""


class PolicyTrainer(Trainer):
    """A training run whose packs are answers that the model itself has sampled.

    Args:
        model: the network, in float32 on the run's device.
        objective: the loss.
        rollouts: samples answers.
        pack_tokens: most tokens of a pack.
        optim: rules over the names of all weights.
        schedule: learning-rate schedule.
        run: device, precision, checkpoints, log and evaluations.
        saves_frozen: as of `Trainer`.
        ranks: as of `Trainer`; one process alone, whose answers no other rank has.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        objective: Policy,
        rollouts: Rollouts,
        *,
        pack_tokens: int,
        optim: OptimConfig,
        schedule: ScheduleConfig,
        run: RunSection,
        saves_frozen: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(
            model,
            [objective],
            None,
            optim=optim,
            schedule=schedule,
            run=run,
            saves_frozen=saves_frozen,
            ranks=ranks,
        )
        self._objective = objective
        self._rollouts = rollouts
        self._pack_tokens = pack_tokens

    @property
    def pack_tokens(self) -> int:
        """Most tokens of a pack."""
        return self._pack_tokens

    @property
    def was_stopped(self) -> bool:
        """Whether `stop` was called: then no further round is sampled."""
        return self._stop_asked

    def packs(self) -> Iterator[list[TrainBatch]]:
        """Packs of each optimizer step; a round is sampled when the steps before it are done.

        Raises:
            DataError: a round has no answer to learn from, or it cannot be stored or read.
        """
        number, done, start = position(self.state.cursor)
        if not self.state.step:
            self._rollouts.forget()
        while not self.was_stopped and self.schedule_step < self.schedule.total_steps:
            prompts = self._rollouts.prompts(start)
            steps = self._round(number, prompts, is_begun=done > 0)
            after = prompts[-1].cursor
            for index in range(done, len(steps)):
                is_last = index + 1 == len(steps)
                cursor = (
                    cursor_of(number + 1, 0, after)
                    if is_last
                    else cursor_of(number, index + 1, start)
                )
                yield [replace(pack, cursor=cursor) for pack in steps[index]]
            number, done, start = number + 1, 0, after

    def check_data(self) -> None:
        """Draw the prompts at the current position."""
        self._rollouts.prompts(position(self.state.cursor)[2])

    def _round(
        self, number: int, prompts: list[Prompt], *, is_begun: bool
    ) -> list[list[TrainBatch]]:
        """Packs of the steps of a round, which is read if it is stored, and otherwise sampled and stored."""
        current = self._rollouts.read(number, prompts)
        if current is None and is_begun:
            raise DataError(
                f"a step of round {number} is done, but its answers are not in {self._rollouts.folder}",
                hint="restore the file, or start a new run from this one",
            )
        if current is not None:
            return self._steps(current)[0]
        found = self._rollouts.sample(self.model, number, prompts)
        steps, logprobs = self._steps(found)
        done = with_logprobs(found, logprobs)
        self._rollouts.store(done)
        write_latest(self._rollouts.folder / "latest.html", done)
        return steps

    def _steps(self, current: Round) -> tuple[list[list[TrainBatch]], dict[int, list[float]]]:
        """Packs of each step, and the log-probabilities of the answers by their number in the round."""
        config = self._rollouts.config
        logprobs: dict[int, list[float]] = {}
        steps: list[list[TrainBatch]] = []
        groups = [*self._groups(current)]
        for chosen in split_steps(groups, config.steps):
            parts = [part for group in chosen for part in self._parts(group)]
            packs = []
            for members in self._filled(parts):
                pack = self._pack(members, current)
                logprobs |= _rows(pack, members)
                packs.append(pack)
            if packs:
                steps.append(packs)
        if not steps:
            raise DataError(
                f"round {current.number} has no answer to learn from: all reached grpo.max_new_tokens = "
                f"{config.max_new_tokens}",
                hint="raise it, or set grpo.skip_truncated = false",
            )
        first = steps[0][0]
        assert first.policy is not None
        logged = replace(first, policy=replace(first.policy, values=current.values()))
        return [[logged, *steps[0][1:]], *steps[1:], *steps * (config.passes - 1)], logprobs

    def _groups(self, current: Round) -> Iterator[_Part]:
        """Answers of each prompt that are learned from."""
        number = 0
        for group in current.groups():
            prompt = self._rollouts.encoded(current.prompts[group[0].prompt])
            numbered = list(enumerate(group, start=number))
            number += len(group)
            skips = self._rollouts.config.skip_truncated
            part = [
                (index, answered(prompt, each.token_ids))
                for index, each in numbered
                if not (skips and each.finish_reason == "length")
            ]
            if part:
                yield part

    def _parts(self, group: _Part) -> Iterator[_Part]:
        """The group in parts that fit a pack."""
        part: _Part = []
        for one in group:
            if part and _size([*part, one]) > self._pack_tokens:
                yield part
                part = []
            part.append(one)
        yield part

    def _filled(self, parts: Sequence[_Part]) -> Iterator[list[_Part]]:
        """Parts of each pack."""
        ready: list[_Part] = []
        for part in parts:
            if ready and sum(map(_size, [*ready, part])) > self._pack_tokens:
                yield ready
                ready = []
            ready.append(part)
        if ready:
            yield ready

    def _pack(self, parts: Sequence[_Part], current: Round) -> TrainBatch:
        """A pack with its targets; log-probabilities that are not stored are computed."""
        batch, answers = pack_answers([[sample for _, sample in part] for part in parts])
        chosen = [current.answers[index] for part in parts for index, _ in part]
        pack = TrainBatch(
            batch=batch,
            next_tokens=next_token_targets(batch),
            dense=DenseTargets.join([]),
            cursor={},
            num_samples=len(chosen),
            records=tuple(dict.fromkeys(each.record for each in chosen)),
            answers=answers,
        )
        known = [each.logprobs for each in chosen if each.logprobs is not None]
        sampled = None
        if len(known) == len(chosen):
            sampled = torch.tensor([value for row in known for value in row], device=self._device)
        scores = torch.tensor([each.advantage for each in chosen], device=self._device)
        dtype = getattr(torch, self.settings.precision)
        with torch.autocast(self._device.type, dtype=dtype, enabled=dtype != torch.float32):
            forward = ForwardPass(self.model, pack.to(self._device))
            targets = self._objective.targets(forward, scores, sampled)
        return replace(pack, policy=targets)


def _size(part: _Part) -> int:
    return num_rows([sample for _, sample in part])


def _rows(pack: TrainBatch, parts: Sequence[_Part]) -> dict[int, list[float]]:
    """Log-probabilities of the tokens of each answer of a pack, by the number of the answer."""
    assert pack.answers is not None
    assert pack.policy is not None
    lengths = pack.answers.lengths.int().tolist()
    rows = pack.policy.sampled.float().cpu().split(lengths)
    numbers = [index for part in parts for index, _ in part]
    return {index: row.tolist() for index, row in zip(numbers, rows, strict=True)}

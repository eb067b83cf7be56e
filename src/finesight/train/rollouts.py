# SPDX-License-Identifier: Apache-2.0
"""Rounds of policy optimisation: sample answers, reward them, and learn from them.

A round samples a group of answers to each of some prompts with the current weights, and splits them into optimizer
steps. Its answers are stored in the folder of the run before the first of these steps, with their log-probabilities:

    runs/<name>/rollouts/00000012.jsonl   a line for each answer: prompt, truth, answer, tokens, rewards, advantage
    runs/<name>/rollouts/latest.html      some prompts of the newest round

A resumed run reads the rounds it finds, so it repeats the steps of an uninterrupted run exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finesight import files
from finesight.batch import EncodedSample
from finesight.conversation import Conversation, Reply
from finesight.data.mixture import Cursor
from finesight.data.record import text_of
from finesight.errors import DataError, FinesightError
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.sampling import Sampling
from finesight.train.policy import GrpoSection, advantages
from finesight.train.rewards import (
    Prompt,
    PromptConfig,
    Prompts,
    Reward,
    rewards_of,
    weighted,
)

Generate = Callable[
    [VisionLanguageModel, Sequence[tuple[Conversation, Sampling]]],
    list[Reply | FinesightError],
]
"""Answers each conversation with its own sampling, or says why it cannot."""

FOLDER = "rollouts"


@dataclass(frozen=True, slots=True)
class RolloutFunctions:
    """What samples and rewards answers; handed in, because training imports neither engine nor evaluation.

    Attributes:
        generate: answers with the current weights.
        rewards: all rewards by name.
    """

    generate: Generate
    rewards: Mapping[str, Reward]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One sampled answer, as it is stored.

    Attributes:
        prompt: number of its prompt in the round.
        record: id of the record.
        question: text of the last message before the answer.
        truth: the right answer.
        answer: the sampled text.
        token_ids: its tokens.
        finish_reason: why it ended.
        rewards: 0 to 1, by name.
        reward: their weighted mean.
        advantage: relative to the other answers to the prompt.
        logprobs: of its tokens, by the model that sampled them; empty for an answer that is not learned from.
    """

    prompt: int
    record: str
    question: str
    truth: str
    answer: str
    token_ids: list[int]
    finish_reason: str
    rewards: dict[str, float]
    reward: float
    advantage: float = 0.0
    logprobs: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The prompts of a round and their answers.

    Attributes:
        number: from 0.
        prompts: in the order in which they were drawn.
        answers: sampled answers of all prompts, prompt by prompt.
        failed: answers that could not be sampled.
    """

    number: int
    prompts: list[Prompt]
    answers: list[Sampled]
    failed: int = 0

    def values(self) -> dict[str, tuple[float, float]]:
        """Sum and number of values for the log."""
        answers = self.answers
        found: dict[str, tuple[float, float]] = {}
        pairs = [("reward", each.reward) for each in answers]
        pairs += [(f"reward_{name}", v) for each in answers for name, v in each.rewards.items()]
        pairs += [("answer_tokens", float(len(each.token_ids))) for each in answers]
        pairs += [("truncated", float(each.finish_reason == "length")) for each in answers]
        pairs += [
            ("undecided", float(not any(e.advantage for e in group))) for group in self.groups()
        ]
        for name, value in pairs:
            total, number = found.get(name, (0.0, 0.0))
            found[name] = total + value, number + 1
        if self.failed:
            found["failed"] = float(self.failed), 1.0
        return found

    def groups(self) -> list[list[Sampled]]:
        """Answers of each prompt that has any."""
        groups: dict[int, list[Sampled]] = {}
        for each in self.answers:
            groups.setdefault(each.prompt, []).append(each)
        return list(groups.values())


class Rollouts:
    """Samples and stores the rounds of a run.

    Args:
        folder: of the run.
        config: numbers of prompts and answers, and sampling.
        data: sources of prompts.
        processor: of the model.
        functions: sample and reward answers.

    Raises:
        DataError: a source has no data, or it is corrupt.
    """

    def __init__(
        self,
        folder: Path,
        config: GrpoSection,
        data: PromptConfig,
        processor: Processor,
        functions: RolloutFunctions,
    ) -> None:
        self.folder = folder / FOLDER
        self.config = config
        self.processor = processor
        self._data = data
        self._prompts = Prompts(data.source, seed=data.seed, processor=processor)
        self._functions = functions

    def forget(self) -> None:
        """Delete the rounds of an earlier run that saved no checkpoint."""
        for path in self.folder.glob("*.jsonl"):
            path.unlink()

    def prompts(self, start: Cursor) -> list[Prompt]:
        """The prompts of the round that begins at a position."""
        return list(islice(self._prompts.stream(start), self.config.prompts))

    def read(self, number: int, prompts: list[Prompt]) -> Round | None:
        """A stored round; None if it is not stored.

        Raises:
            DataError: it cannot be read, or it is of other prompts.
        """
        path = self._path(number)
        if not path.is_file():
            return None
        hint = "delete it; the answers of this round are then sampled again"
        try:
            lines = path.read_bytes().splitlines()  # those of a text also end at U+2028
            answers = [Sampled(**json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read: {error}", hint=hint) from error
        for each in answers:
            known = prompts[each.prompt].record.id if each.prompt < len(prompts) else "none"
            if each.record != known:
                raise DataError(
                    f"{path} has answers to {each.record!r}, the recipe draws {known!r}", hint=hint
                )
        return Round(number, prompts, answers)

    def sample(self, model: VisionLanguageModel, number: int, prompts: list[Prompt]) -> Round:
        """Sample and reward a group of answers to each prompt; log-probabilities are still missing.

        Raises:
            DataError: no answer could be sampled.
        """
        config = self.config
        asked = [
            (prompt.conversation, self._sampling(number, index, place))
            for index, prompt in enumerate(prompts)
            for place in range(config.answers)
        ]
        replies = self._functions.generate(model, asked)
        errors = [each for each in replies if isinstance(each, FinesightError)]
        answers: list[Sampled] = []
        for index, prompt in enumerate(prompts):
            group = replies[index * config.answers : (index + 1) * config.answers]
            answers += self._rewarded(index, prompt, [r for r in group if isinstance(r, Reply)])
        if not answers:
            raise DataError(
                f"round {number}: none of {len(replies)} answers could be sampled: "
                f"{errors[0].message if errors else 'they are empty'}",
                hint=errors[0].hint if errors else "",
            )
        return Round(number, prompts, answers, failed=len(errors))

    def store(self, done: Round) -> None:
        """Write a round, atomically.

        Raises:
            DataError: it cannot be written.
        """
        lines = [json.dumps(asdict(each), ensure_ascii=False) for each in done.answers]
        files.write_text(
            self._path(done.number), "\n".join(lines) + "\n", error=DataError, parents=True
        )

    def encoded(self, prompt: Prompt) -> EncodedSample:
        """The prompt up to the start of the answer, as the engine encodes it."""
        return self.processor.encode(prompt.conversation)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.jsonl"

    def _sampling(self, number: int, prompt: int, place: int) -> Sampling:
        entropy = np.random.SeedSequence((self._data.seed, number, prompt, place))
        return Sampling(
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=int(entropy.generate_state(1)[0]),
            loop_guard=False,  # its end is not one that the model chose
        )

    def _rewarded(self, index: int, prompt: Prompt, replies: Sequence[Reply]) -> list[Sampled]:
        """The answers of a group with rewards and advantages; a single one has nothing to be compared with."""
        weights = self._data.source[prompt.source].rewards
        replies = [reply for reply in replies if reply.token_ids]
        if len(replies) < 2:
            return []
        found = [rewards_of(reply, prompt, weights, self._functions.rewards) for reply in replies]
        totals = [weighted(each, weights) for each in found]
        scores = advantages(torch.tensor([totals]), scale=self.config.scale)[0].tolist()
        return [
            Sampled(
                prompt=index,
                record=prompt.record.id,
                question=text_of(prompt.conversation.messages[-1]),
                truth=prompt.truth,
                answer=reply.text,
                token_ids=list(reply.token_ids),
                finish_reason=reply.finish_reason,
                rewards=each,
                reward=total,
                advantage=score,
            )
            for reply, each, total, score in zip(replies, found, totals, scores, strict=True)
        ]


def with_logprobs(done: Round, values: Mapping[int, list[float]]) -> Round:
    """The round with log-probabilities of the answers with these numbers."""
    answers = [replace(each, logprobs=values.get(index)) for index, each in enumerate(done.answers)]
    return replace(done, answers=answers)


def position(cursor: Mapping[str, Any]) -> tuple[int, int, Cursor]:
    """Number of the round, steps of it that are done, and the position of its prompts."""
    if not cursor:
        return 0, 0, Cursor()
    start = Cursor(cursor["drawn"], list(cursor["taken"]))
    return int(cursor["round"]), int(cursor["done"]), start


def cursor_of(number: int, done: int, start: Cursor) -> dict[str, Any]:
    """Inverse of `position`."""
    return {"round": number, "done": done, "drawn": start.drawn, "taken": list(start.taken)}


def split_steps(groups: Sequence[list[Any]], steps: int) -> Iterator[list[list[Any]]]:
    """The groups in as many nearly equal parts as there are steps, without empty ones."""
    bounds = [len(groups) * step // steps for step in range(steps + 1)]
    for first, last in pairwise(bounds):
        if last > first:
            yield list(groups[first:last])

# SPDX-License-Identifier: Apache-2.0
"""Rejection sampling: answers of a model that agree with the truth become training data.

Several answers to each question are drawn from a `Responder`. Right ones are kept for supervised training, the best and
a wrong one make a preference pair, and what is dropped is counted by reason. The folder of a round:

    recipe.toml            the resolved recipe and the name of the model
    sft/00000003.tar       kept answers of a block of questions
    dpo/00000003.tar       its pairs
    counts/00000003.json   its numbers, written last: a block with this file is complete

A block is made whole or not at all, so after a kill the same command makes the missing blocks and nothing twice.

Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.3, rejection sampling.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from finesight import files
from finesight.config.load import read_toml, write_recipe
from finesight.config.settings import Settings
from finesight.conversation import Conversation, Reply
from finesight.data.record import Record, text_of
from finesight.data.shards import ShardSet, index_path, write_shard
from finesight.errors import ConfigError, DataError, FinesightError, RecordInvalid
from finesight.processor.processor import Processor
from finesight.responder import Responder
from finesight.sampling import Sampling
from finesight.train.answer_checks import REASONS, fault
from finesight.train.kept_answers import (
    Judged,
    different,
    kept_record,
    other_pictures,
    pair_record,
)
from finesight.train.rewards import Prompt, Reward, RewardedSource, prompt_of, rewards_of, weighted

Change = Callable[[Conversation], Conversation]

_DIGITS = 8


class SampleSource(RewardedSource):
    """One folder of shards with questions and their true answers."""

    path: Path = Field(description="folder of shards")


class SampleRecipe(Settings):
    """A round of rejection sampling."""

    kind: Literal["sample"] = Field(description="kind of recipe")
    source: tuple[SampleSource, ...] = Field(
        min_length=1, description="questions with the rewards of their answers"
    )
    answers: int = Field(8, ge=1, description="answers drawn for each question")
    keep: float = Field(
        1.0, gt=0, le=1, description="least reward of a right answer; others are wrong"
    )
    most_kept: int = Field(1, ge=1, description="most answers of a question that are kept")
    pair_gap: float = Field(
        0.5, gt=0, le=1, description="least difference of the rewards of a preference pair"
    )
    picture: Literal["blank", "other", "none"] = Field(
        "blank",
        description="a right answer is dropped if a right one also comes with another picture: a blank one, or other, "
        "that of another question of the block; none checks nothing",
    )
    max_new_tokens: int = Field(1024, ge=1, description="most tokens of an answer")
    max_kept_tokens: int | None = Field(
        None, ge=1, description="longest answer that is kept, in tokens; None takes max_new_tokens"
    )
    temperature: float = Field(1.0, gt=0, description="of sampling")
    top_p: float = Field(1.0, gt=0, le=1, description="of sampling")
    block: int = Field(64, ge=1, description="questions of a shard, asked together")
    most: int | None = Field(None, ge=1, description="most questions; None asks all")
    seed: int = Field(0, ge=0, description="seed of the answers")


class Sampler:
    """Draws the answers of a round and writes what is kept.

    Args:
        recipe: of the round.
        responder: the model.
        model: its name; a round is continued with the same model only.
        processor: of the model, for the sizes of pictures.
        rewards: all rewards by name.
        blanked: replaces the pictures and videos of a conversation by blank ones.
    """

    def __init__(
        self,
        recipe: SampleRecipe,
        responder: Responder,
        *,
        model: str,
        processor: Processor,
        rewards: Mapping[str, Reward],
        blanked: Change,
    ) -> None:
        self._recipe = recipe
        self._responder = responder
        self._model = model
        self._processor = processor
        self._rewards = rewards
        self._blanked = blanked
        self._sets = [ShardSet(source.path) for source in recipe.source]

    def run(self, out: Path, *, progress: Callable[[int, int], None]) -> Counter[str]:
        """Make the missing blocks of a round.

        Args:
            out: folder of the round.
            progress: called with the number of blocks that are complete, and of all blocks.

        Returns:
            Numbers of the whole round: `questions`, `answers`, `kept`, `pairs`, `no answer` (questions without a true
            answer) and the reasons of `answer_checks`.

        Raises:
            ConfigError: the folder has a round of another recipe or model.
            DataError: a file cannot be read or written, another process works in the folder, or no question of a
                block can be answered.
        """
        out.mkdir(parents=True, exist_ok=True)
        with files.lock(out / "sample.lock", error=DataError):
            self._begin(out)
            blocks = list(self._blocks())
            total: Counter[str] = Counter()
            for number, block in enumerate(blocks):
                progress(number, len(blocks))
                done = out / "counts" / f"{number:0{_DIGITS}d}.json"
                if not done.is_file():
                    counts = self._make(out, number, block)
                    files.write_json(done, counts, error=DataError, parents=True)
                total.update(_counts(done))
            progress(len(blocks), len(blocks))
            return total

    def _begin(self, out: Path) -> None:
        """Write the recipe, or compare it with that of the round that is continued."""
        path, model = out / "recipe.toml", out / "model.txt"
        wanted = self._recipe.model_dump(mode="json", exclude_none=True)
        if path.is_file() and model.is_file():
            before = read_toml(path)
            changed = [key for key in wanted | before if before.get(key) != wanted.get(key)]
            if changed or model.read_text(encoding="utf-8") != self._model:
                raise ConfigError(
                    f"{out} has a round with another {', '.join(changed) or 'model'}",
                    hint="continue it with its own recipe and model, or choose another folder",
                )
            return
        with files.whole_file(path, error=DataError) as draft:
            write_recipe(self._recipe, draft)
        files.write_text(model, self._model, error=DataError)

    def _blocks(self) -> Iterator[list[tuple[int, int]]]:
        """Sources and numbers of the records of each block."""
        places = [
            (source, index) for source, each in enumerate(self._sets) for index in range(len(each))
        ][: self._recipe.most]
        for first in range(0, len(places), self._recipe.block):
            yield places[first : first + self._recipe.block]

    def _make(self, out: Path, number: int, block: Sequence[tuple[int, int]]) -> Counter[str]:
        """Ask the questions of a block and write its shards."""
        counts = Counter({"questions": len(block)})
        prompts: list[Prompt] = []
        for source, index in block:
            try:
                record = self._sets[source][index]
                prompts.append(prompt_of(record, self._processor, source=source))
            except RecordInvalid:
                counts["no answer"] += 1
        judged = self._judged(number, prompts, counts)
        judged = self._looking(prompts, judged)
        kept: list[Record] = []
        pairs: list[Record] = []
        for prompt, answers in zip(prompts, judged, strict=True):
            counts.update(each.reason for each in answers if each.reason is not None)
            right = [each for each in answers if each.reason is None]
            right = different(right)[: self._recipe.most_kept]
            kept += [kept_record(prompt, each, place) for place, each in enumerate(right)]
            if right and (worse := self._worse(right[0], answers)) is not None:
                pairs.append(pair_record(prompt, right[0], worse))
        counts.update({"kept": len(kept), "pairs": len(pairs)})
        for name, records in (("sft", kept), ("dpo", pairs)):
            shard = out / name / f"{number:0{_DIGITS}d}.tar"
            if records:
                write_shard(shard, records)
            else:  # an earlier start, killed in this block, may have kept some
                shard.unlink(missing_ok=True)
                index_path(shard).unlink(missing_ok=True)
        return counts

    def _judged(
        self, number: int, prompts: Sequence[Prompt], counts: Counter[str]
    ) -> list[list[Judged]]:
        """Answers to each prompt with their rewards, best first."""
        judged: list[list[Judged]] = [[] for _ in prompts]
        for place in range(self._recipe.answers if prompts else 0):
            seed = (self._recipe.seed * 1_000_003 + number) * self._recipe.answers + place
            seed %= 2**31
            replies = self._asked([prompt.conversation for prompt in prompts], seed)
            errors = [each for each in replies if isinstance(each, FinesightError)]
            if len(errors) == len(replies):
                raise DataError(
                    f"block {number}: none of {len(replies)} questions could be answered: {errors[0].message}",
                    hint=errors[0].hint,
                )
            for prompt, reply, found in zip(prompts, replies, judged, strict=True):
                if isinstance(reply, FinesightError):
                    counts["failed"] += 1
                    continue
                counts["answers"] += 1
                found.append(self._judge(prompt, reply, seed))
        for found in judged:
            found.sort(key=lambda each: (-each.reward, len(each.reply.token_ids)))
        return judged

    def _asked(
        self, conversations: Sequence[Conversation], seed: int
    ) -> list[Reply | FinesightError]:
        """Replies, or the error of a conversation that cannot be answered."""
        sampling = Sampling(
            max_new_tokens=self._recipe.max_new_tokens,
            temperature=self._recipe.temperature,
            top_p=self._recipe.top_p,
            seed=seed,
        )
        try:
            return list(self._responder.respond(conversations, sampling))
        except FinesightError as error:
            if len(conversations) == 1:
                return [error]
        return [reply for each in conversations for reply in self._asked([each], seed)]

    def _judge(self, prompt: Prompt, reply: Reply, seed: int) -> Judged:
        reply = reply if reply.media else replace(reply, media=prompt.media)
        weights = self._recipe.source[prompt.source].rewards
        reward = weighted(rewards_of(reply, prompt, weights, self._rewards), weights)
        most = self._recipe.max_kept_tokens or self._recipe.max_new_tokens
        reason = fault(reply, _question(prompt), prompt.truth, most_tokens=most)
        if reason is None and reward < self._recipe.keep:
            reason = "wrong"
        return Judged(reply, reward, reason, seed)

    def _looking(self, prompts: Sequence[Prompt], judged: list[list[Judged]]) -> list[list[Judged]]:
        """The answers; right ones are dropped where the picture does not matter.

        It does not if the same text, or another right answer, comes with another picture.
        """
        if self._recipe.picture == "none":
            return judged
        others = other_pictures(prompts) if self._recipe.picture == "other" else {}
        result = []
        for index, (prompt, answers) in enumerate(zip(prompts, judged, strict=True)):
            best = next((each for each in answers if each.reason is None), None)
            changed: Conversation | None = None
            if best is not None and prompt.media:
                changed = (
                    others.get(index)
                    if self._recipe.picture == "other"
                    else self._blanked(prompt.conversation)
                )
            blind = self._asked([changed], best.seed)[0] if best and changed else None
            if isinstance(blind, Reply):
                is_right = self._judge(prompt, blind, 0).reason is None
                answers = [_without_use(each, blind.text, is_right) for each in answers]
            result.append(answers)
        return result

    def _worse(self, best: Judged, answers: Sequence[Judged]) -> Judged | None:
        """The answer of least reward that is enough below the best, and says something."""
        others = [
            each
            for each in answers
            if each.reason not in (None, "empty", "too long", "repeating")
            and best.reward - each.reward >= self._recipe.pair_gap
        ]
        return min(others, key=lambda each: each.reward, default=None)


def _without_use(answer: Judged, blind: str, is_right: bool) -> Judged:
    """A right answer is dropped if that to another picture is right as well, or has the same text."""
    is_same = is_right or answer.reply.text.split() == blind.split()
    return replace(answer, reason="picture-ignoring") if not answer.reason and is_same else answer


def _question(prompt: Prompt) -> str:
    return "\n".join(text_of(message) for message in prompt.conversation.messages)


def _counts(path: Path) -> Counter[str]:
    try:
        return Counter(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            hint="delete it; the same command makes this block again",
        ) from error


def table(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Rows for the user: what was asked, kept and dropped."""
    names = ("questions", "no answer", "answers", "kept", "pairs", *REASONS)
    return [(name, counts.get(name, 0)) for name in names]

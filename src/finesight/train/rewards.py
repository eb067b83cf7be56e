# SPDX-License-Identifier: Apache-2.0
"""Prompts with a computable reward: the sources of a recipe, the prompt of a record, and the reward of an answer.

The rewards themselves are handed in by name (`finesight.evals.rewards`): this layer does not import the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.conversation import Conversation, MediaRecord, Reply
from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.places import written
from finesight.data.record import Record, text_of
from finesight.errors import ConfigError, RecordInvalid
from finesight.processor.processor import Processor

RewardName = Literal["exact", "numeric", "count", "cer", "iou", "time_iou", "teds", "schema"]
"""A reward of `finesight.evals.rewards`."""

Reward = Callable[[Reply, str, Mapping[str, Any]], float]
"""`(reply, truth, meta)` to 0..1."""


class RewardedSource(Settings):
    """The rewards of the answers of a source, whose last answers are the truth."""

    rewards: dict[RewardName, float] = Field(
        description="weight of each reward of its answers; the reward of an answer is the weighted mean, 0 to 1"
    )

    @model_validator(mode="after")
    def _is_rewarded(self) -> Self:
        if not self.rewards or any(weight <= 0 for weight in self.rewards.values()):
            raise ConfigError(
                f"the rewards of a source are {self.rewards}, expected weights above 0",
                hint="for example rewards = { iou = 1.0 }",
            )
        return self


class PromptSource(SourceConfig, RewardedSource):
    """One folder of shards with prompts."""

    @model_validator(mode="after")
    def _is_learned(self) -> Self:
        if not self.learn:
            raise ConfigError(
                f"{self.path} has learn = false, but sampled answers are learned from",
                hint="leave learn out, or the source",
            )
        return self


class PromptConfig(Settings):
    """Prompts of policy optimisation, and the size of packs."""

    source: tuple[PromptSource, ...] = Field(
        min_length=1, description="folders of shards with their rewards"
    )
    pack_tokens: int = Field(2048, ge=64, description="most tokens of a pack, text and visual")
    seed: int = Field(0, description="seed of the order of prompts and of the sampled answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question with its truth.

    Attributes:
        record: where it is from.
        conversation: the messages up to the question.
        truth: the right answer, with its places in pixels of the resized picture.
        source: index of its source.
        media: one record per picture or video.
        cursor: position in the stream of prompts after it.
    """

    record: Record
    conversation: Conversation
    truth: str
    source: int
    media: tuple[MediaRecord, ...] = ()
    cursor: Cursor = field(default_factory=Cursor)


class Prompts:
    """The prompts of the sources of a recipe.

    Args:
        sources: folders, weights and rewards.
        seed: of the order.
        processor: of the model that answers.

    Raises:
        DataError: a source has no data, or it is corrupt.
    """

    def __init__(self, sources: Sequence[PromptSource], *, seed: int, processor: Processor) -> None:
        self._mixture = Mixture(sources, seed=seed)
        self._processor = processor

    def stream(self, start: Cursor) -> Iterator[Prompt]:
        """Prompts from a position on, without end.

        Raises:
            RecordInvalid: a record has no last question with an answer.
        """
        for draw, cursor in self._mixture.draws(start):
            record, _ = self._mixture.read(draw)
            found = prompt_of(record, self._processor, source=draw.source)
            yield replace(found, cursor=cursor)


def prompt_of(record: Record, processor: Processor, *, source: int) -> Prompt:
    """The last question of a record, or the first of independent ones, and its truth.

    Args:
        record: a checked record.
        processor: of the model that answers; places are written for its resize.
        source: index of the source of the record.

    Raises:
        RecordInvalid: there is no question with an answer.
    """
    messages = record.conversation.messages
    asked = [index for index, message in enumerate(messages) if message.role == "user"]
    chosen = asked[:1] if record.any_order else asked[-1:]
    if not chosen or chosen[0] + 1 == len(messages):
        raise RecordInvalid(f"record {record.id!r} has no question with an answer")
    asking = replace(record.conversation, messages=messages[: chosen[0] + 1])
    media = processor.plan_media(asking)
    shown = written(messages, record.places, [item.resize for item in media])
    return Prompt(
        record=record,
        conversation=replace(asking, messages=shown[: chosen[0] + 1]),
        truth=text_of(shown[chosen[0] + 1 if record.any_order else -1]),
        source=source,
        media=media,
    )


def rewards_of(
    reply: Reply, prompt: Prompt, weights: Mapping[RewardName, float], known: Mapping[str, Reward]
) -> dict[str, float]:
    """Each reward of an answer by name.

    Args:
        reply: the answer.
        prompt: what was asked.
        weights: rewards of its source.
        known: all rewards by name.
    """
    return {name: known[name](reply, prompt.truth, prompt.record.meta) for name in weights}


def weighted(found: Mapping[str, float], weights: Mapping[RewardName, float]) -> float:
    """Weighted mean of rewards."""
    total = sum(weight * found[name] for name, weight in weights.items())
    return total / sum(weights.values())

# SPDX-License-Identifier: Apache-2.0
"""Conversations without pictures, written by a decoder itself, for self-distillation.

A decoder that learns to see keeps its language if it is also trained on text of its own distribution. The decoder
writes both sides: its prompt ends with the opening of a user turn, then with that of an assistant turn. A share of the
conversations begins with a message of `finesight.data.builders.replay_seeds`, and a few ask about a picture that was
not given.

All conversations of a shard are written together, turn by turn, because a batch is several times as fast. The text
depends on the seeds, the model and the composition of the shard; a larger batch, or other hardware, rounds sums
differently.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from finesight.batch import EncodedSample
from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart
from finesight.data.builders.replay_config import ReplayConfig
from finesight.data.builders.replay_seeds import (
    NO_PICTURE_QUESTIONS,
    first_message,
    no_picture_answer,
)
from finesight.data.record import Record, asked_about
from finesight.engine.engine import Engine
from finesight.engine.request import OnStage, Request, no_progress
from finesight.errors import DataError, FinesightError
from finesight.processor.processor import Processor
from finesight.text import chat_template
from finesight.text.chat_template import ControlToken, TextSegment
from finesight.text.special_tokens import IM_START

__all__ = ["Replay"]

TRIES = 4
"""Attempts at the first turn of a conversation; the last ones begin with a message of the list."""
SENTENCE_END = re.compile(r"[.!?:;)\"'`”](?=\s|$)|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTurn(Request):
    """A request whose prompt ends with the opening of a user turn, so that the model writes the user's message."""

    def encode(self, processor: Processor, on_stage: OnStage = no_progress) -> EncodedSample:
        """Encode the conversation so far; it has no media."""
        self.sampling.check()
        segments = chat_template.render(self.conversation, add_generation_prompt=False)
        opening = (ControlToken(IM_START), TextSegment("user\n"))
        return processor.assemble([*segments, *opening], [])


@dataclass(slots=True)
class _Talk:
    """A conversation that is being written; it is closed if a message fails or the last turn is written."""

    id: str
    seed: int
    rng: random.Random
    kind: str
    num_turns: int
    turns: list[tuple[str, str]] = field(default_factory=list)
    question: str = ""
    is_open: bool = True

    def so_far(self) -> Conversation:
        """The system message of the template and all complete turns."""
        system = Message("system", (TextPart(chat_template.DEFAULT_SYSTEM),))
        return Conversation((system, *asked_about((), self.turns).messages))


class Replay:
    """Writes conversations.

    Args:
        config: what to write.
        engine: the decoder, whose `max_sequences` is the config's batch.
    """

    def __init__(self, config: ReplayConfig, engine: Engine) -> None:
        self.config = config
        self.engine = engine

    def records(self, drafts: Sequence[tuple[str, int]]) -> Iterator[Record]:
        """Write the records of a shard.

        Args:
            drafts: id and seed of each record.

        Raises:
            DataError: the model writes only empty or endless messages.
        """
        talks = [self._talk(record_id, seed) for record_id, seed in drafts]
        for attempt in range(TRIES):
            unbegun = [talk for talk in talks if not talk.turns]
            for talk in unbegun:
                talk.is_open = True
                talk.kind = "seeded" if talk.kind == "free" and attempt >= TRIES // 2 else talk.kind
            self._turn(unbegun)
        for _ in range(1, self.config.turns[1]):
            self._turn(
                [talk for talk in talks if talk.is_open and 0 < len(talk.turns) < talk.num_turns]
            )
        yield from map(self._record, talks)

    def _talk(self, record_id: str, seed: int) -> _Talk:
        rng = random.Random(seed)
        roll, config = rng.random(), self.config
        kind = "seeded" if roll < config.no_picture_share + config.seeded_share else "free"
        kind = "no_picture" if roll < config.no_picture_share else kind
        return _Talk(record_id, seed, rng, kind, rng.randint(*config.turns))

    def _turn(self, talks: Sequence[_Talk]) -> None:
        """Write one question and one answer of each conversation."""
        invented = []
        for talk in talks:
            if talk.turns or talk.kind == "free":
                invented.append(talk)
            elif talk.kind == "seeded":
                talk.question = first_message(talk.rng, self.config.split)
            else:
                talk.question = talk.rng.choice(NO_PICTURE_QUESTIONS)
        requests: list[Request] = [
            UserTurn(
                conversation=talk.so_far(),
                sampling=self._sampling(talk, self.config.user_temperature),
            )
            for talk in invented
        ]
        for talk, text in zip(invented, self._written(requests), strict=True):
            talk.question, talk.is_open = text, bool(text)
        self._answer([talk for talk in talks if talk.is_open])

    def _answer(self, talks: Sequence[_Talk]) -> None:
        asked = []
        for talk in talks:
            if talk.kind == "no_picture" and not talk.turns:
                talk.turns.append((talk.question, no_picture_answer(talk.rng)))
            else:
                asked.append(talk)
        requests = [
            Request(
                conversation=Conversation(
                    (*talk.so_far().messages, Message("user", (TextPart(talk.question),)))
                ),
                sampling=self._sampling(talk, self.config.answer_temperature),
            )
            for talk in asked
        ]
        for talk, text in zip(asked, self._written(requests), strict=True):
            talk.is_open = bool(text)
            if text:
                talk.turns.append((talk.question, text))

    def _sampling(self, talk: _Talk, temperature: float) -> Sampling:
        return Sampling(
            max_new_tokens=self.config.max_tokens,
            temperature=temperature,
            top_p=self.config.top_p,
            seed=talk.rng.getrandbits(32),
        )

    def _written(self, requests: Sequence[Request]) -> list[str]:
        """The message of each request; empty if it cannot be used."""
        texts = [""] * len(requests)
        for index, outcome in self.engine.run(requests):
            if isinstance(outcome, FinesightError):
                raise outcome
            texts[index] = _usable(outcome)
        return texts

    def _record(self, talk: _Talk) -> Record:
        if not talk.turns:
            raise DataError(
                f"record {talk.id!r}: {self.config.model} wrote no usable message in {TRIES} tries",
                hint="choose another model, or a larger max_tokens",
            )
        return Record(
            id=talk.id,
            conversation=asked_about((), talk.turns),
            meta={
                "split": self.config.split,
                "generator": "replay/1",
                "seed": talk.seed,
                "kind": talk.kind,
                "model": self.config.model.name,
            },
        )


def _usable(reply: Reply) -> str:
    """The text, up to its last complete sentence if it was cut; empty if it repeats itself or has control tokens."""
    text = reply.text.strip()
    if reply.finish_reason == "repetition" or "<|" in text:
        return ""
    if reply.finish_reason == "length":
        ends = [match.end() for match in SENTENCE_END.finditer(text)]
        return text[: ends[-1]].strip() if ends else text
    return text

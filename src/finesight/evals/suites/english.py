# SPDX-License-Identifier: Apache-2.0
"""Rows of the report card for plain English without a picture, against the bare decoder.

A decoder that learns to see may forget language. Two rows measure how much is left of the bare decoder, which is the
decoder before it learned to see:

- `english`: perplexity on a fixed text, over that of the bare decoder;
- `facts`: share of a hundred short questions, all answered right by the bare decoder, that are still answered right.

The texts and the numbers of the bare decoder are in `finesight/assets/english`. Perplexities of different tokenizers
cannot be compared, so a model that splits the text into other tokens has neither row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import exp
from pathlib import Path
from typing import Any, Protocol

from finesight import files
from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.errors import EvalError
from finesight.evals.core.task import Item, Prompt, Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.suites.card import NoData
from finesight.evals.suites.card_rows import PERPLEXITY_RATIO, RowScore
from finesight.evals.tasks.shared.aggregates import average
from finesight.responder import Responder

ASSETS = Path(__file__).parents[2] / "assets" / "english"
WINDOW = 512
"""Tokens of a window; each is scored alone, and its first token is not scored."""
NUM_FACTS = 100
"""Number of questions that the bare decoder answers right."""
SAMPLING = Sampling(max_new_tokens=32, temperature=0.0)
RECOMPUTED = "python scripts/measure_bare_decoder.py FOLDER"
ROWS = ("english", "facts")


class LanguageModel(Responder, Protocol):
    """A model that answers, and scores the tokens of a text."""

    def score_tokens(self, token_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token but the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BareDecoder:
    """What was measured of the bare decoder.

    Attributes:
        name: of the decoder.
        tokens_sha256: digest of the tokens of the prose, which any change of the text or the tokenizer changes.
        num_tokens: of the prose.
        perplexity: on the prose.
        facts: questions that it answers right, `NUM_FACTS` of them.
    """

    name: str
    tokens_sha256: str
    num_tokens: int
    perplexity: float
    facts: tuple[str, ...]

    @classmethod
    def stored(cls) -> BareDecoder:
        """The one that comes with the package."""
        values = json.loads((ASSETS / "bare.json").read_text(encoding="utf-8"))
        return cls(**{**values, "facts": tuple(values["facts"])})

    @classmethod
    def measured(cls, name: str, model: LanguageModel, tokens: Sequence[int]) -> BareDecoder:
        """Measure a decoder.

        Args:
            name: of the decoder.
            model: the decoder, without adapters.
            tokens: of the prose.

        Raises:
            EvalError: it answers fewer than `NUM_FACTS` questions right.
        """
        facts = read_facts()
        known = (each for each in facts if is_known(_answer(model, each), facts[each]))
        right = tuple(islice(known, NUM_FACTS))
        if len(right) < NUM_FACTS:
            raise EvalError(
                f"{name} answers {len(right)} of {len(facts)} questions right, {NUM_FACTS} are needed",
                hint=f"add questions to {ASSETS / 'facts.txt'}",
            )
        return cls(
            name=name,
            tokens_sha256=digest_of(tokens),
            num_tokens=len(tokens),
            perplexity=round(perplexity(model, tokens), 4),
            facts=right,
        )

    def store(self) -> Path:
        """Write it into the package, and give the path."""
        path = ASSETS / "bare.json"
        files.write_json(path, asdict(self), error=EvalError)
        return path

    def row(self, model: LanguageModel, tokens: Sequence[int]) -> RowScore:
        """The row `english` of a model with the same tokens.

        Args:
            model: to compare.
            tokens: of the prose.
        """
        return RowScore(
            row="english",
            measure=PERPLEXITY_RATIO,
            score=perplexity(model, tokens) / self.perplexity,
            blank=None,
            num_items=-(-len(tokens) // WINDOW),
        )

    def facts_task(self) -> Task:
        """The row `facts`."""
        accepted = read_facts()
        items = [_item(question, accepted[question]) for question in self.facts]
        return Task(
            name="facts",
            title="Facts that the bare decoder knows",
            source="this project",
            layout="comes with the package",
            prompts=(Prompt("as written", "this project", lambda *_: iter(items)),),
            sampling=SAMPLING,
            extractors=(WHOLE_TEXT,),
            score=_score,
            aggregate=average(),
            main="accuracy",
        )

    def missing(self, tokens: Sequence[int]) -> list[NoData]:
        """Both rows as rows without data if the tokens of the prose are others, else none."""
        found = digest_of(tokens)
        if found == self.tokens_sha256:
            return []
        digests = f"its tokens are {self.tokens_sha256[:12]}, this model's {found[:12]}"
        needs = f"the tokenizer of {self.name} ({digests})"
        how = f"measure the bare decoder of this model: {RECOMPUTED}"
        return [NoData(row, needs, how) for row in ROWS]


def read_prose() -> str:
    """The fixed text."""
    return (ASSETS / "prose.txt").read_text(encoding="utf-8")


def read_facts() -> dict[str, tuple[str, ...]]:
    """Accepted answers by question, in the order of the file."""
    lines = (ASSETS / "facts.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split("|") for line in lines if not line.startswith("#"))
    return {question.strip(): tuple(each.strip() for each in golds) for question, *golds in rows}


def digest_of(tokens: Sequence[int]) -> str:
    """SHA-256 of token ids."""
    return hashlib.sha256(json.dumps([*tokens]).encode()).hexdigest()


def perplexity(model: LanguageModel, tokens: Sequence[int]) -> float:
    """Exponential of the mean negative log-probability of the tokens, in windows of `WINDOW`."""
    windows = (tokens[start : start + WINDOW] for start in range(0, len(tokens), WINDOW))
    scores = [score for window in windows for score in model.score_tokens(window)]
    return exp(-sum(scores) / len(scores))


def is_known(text: str, golds: Sequence[str]) -> bool:
    """Whether one of the accepted answers occurs in a text as whole words, in any case."""
    return any(re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", text, re.IGNORECASE) for gold in golds)


def _conversation(question: str) -> Conversation:
    return Conversation((Message("user", (TextPart(question),)),))


def _answer(model: Responder, question: str) -> str:
    (reply,) = model.respond([_conversation(question)], SAMPLING)
    return reply.text


def _item(question: str, golds: Sequence[str]) -> Item:
    truth = {"golds": [*golds], "oracle": golds[0]}
    return Item(id=question, conversation=_conversation(question), truth=truth)


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {"correct": float(is_known(parsed or "", truth["golds"]))}

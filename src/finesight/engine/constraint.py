# SPDX-License-Identifier: Apache-2.0
"""Constrained decoding: which tokens may come next, so that the answer follows a schema, regex, choice or grammar.

The grammars are compiled and followed by llguidance, on bytes: a token is allowed if its bytes can continue the
answer, whatever its limits. Tokens that end an answer are allowed only where the grammar ends. Other control tokens
are never allowed, except the tokens around a tool call in the grammars of tool calls; text that spells a control token
is ordinary text.

Errors of a schema or grammar are raised when it is compiled, before the first token. Two things can happen later. An
answer may reach its token limit before the grammar ends (always, if no answer of finite length fits); the reply then
says so. And the state of a very ambiguous grammar may outgrow the limits of llguidance; that request then fails.

Source: github.com/guidance-ai/llguidance.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from finesight.conversation import MediaRecord
from finesight.engine.grammars import JSON_STYLE, READY, ready_grammar
from finesight.errors import ConfigError, EngineError
from finesight.inputs import shown
from finesight.sampling import Sampling
from finesight.text.special_tokens import IM_END
from finesight.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_HINTS: Mapping[str, str] = {
    "json_schema": "see the list of supported keywords in llguidance's docs/json_schema.md; leave out the others",
    "regex": "look-around and back-references are not supported",
    "choice": "leave out the texts that the vocabulary cannot spell",
    "grammar": f"give a Lark grammar with a rule named start, or one of {', '.join(READY)}",
}
_LONGEST_REASON = 300


class Constraint:
    """The state of a grammar in one answer.

    Args:
        matcher: at the start of the answer; not shared.
        end_id: the token that ends an answer for llguidance.
        eos_ids: all tokens that end an answer.
    """

    def __init__(self, matcher: LLMatcher, end_id: int, eos_ids: Collection[int]) -> None:
        self._matcher = matcher
        self._end_id = end_id
        self._eos_ids = sorted(eos_ids)

    @property
    def is_complete(self) -> bool:
        """Whether the answer so far is a whole sentence of the grammar."""
        return self._matcher.is_accepting()

    def mask_(self, logits: Tensor) -> None:
        """Exclude the tokens that cannot come next, in place.

        Args:
            logits: float[V]; V may exceed the vocabulary.

        Raises:
            EngineError: no token can come next.
        """
        if self._matcher.is_error():
            raise self._stuck()
        bias = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        excluded = torch.ones(logits.numel(), dtype=torch.bool)
        num_known = min(len(bias), len(excluded))
        torch.eq(bias[:num_known], 0, out=excluded[:num_known])
        excluded[self._eos_ids] = bool(excluded[self._end_id])
        if self._matcher.is_error() or bool(excluded.all()):
            raise self._stuck()
        logits.masked_fill_(excluded.to(logits.device), float("-inf"))

    def accept(self, token_id: int) -> None:
        """Add the next token of the answer; one that the mask allowed."""
        self._matcher.consume_token(self._end_id if token_id in self._eos_ids else token_id)

    def rewind(self, num_tokens: int) -> None:
        """Take back the newest tokens of the answer."""
        self._matcher.rollback(num_tokens)

    def _stuck(self) -> EngineError:
        reason = _first_lines(self._matcher.get_error()) or "no token of the vocabulary fits"
        return EngineError(
            f"the constraint cannot be followed further: {reason}",
            hint="simplify the schema, regex or grammar where it is ambiguous",
        )


def constraint_of(
    sampling: Sampling,
    tokenizer: Tokenizer,
    eos_ids: Collection[int] = (),
    *,
    media: Sequence[MediaRecord] = (),
    tools: Sequence[Mapping[str, Any]] = (),
) -> Constraint | None:
    """The constraint of a sampling at the start of an answer; None if the answer is free.

    Compiled grammars are kept, so that requests with the same one share the work.

    Args:
        sampling: checked.
        tokenizer: of the checkpoint.
        eos_ids: tokens that end an answer, besides <|im_end|>.
        media: pictures and videos of the conversation.
        tools: tools of the conversation.

    Raises:
        ConfigError: it is wrong, uses what llguidance lacks, or no answer fits it.
    """
    name = sampling.constraint
    if name is None:
        return None
    if sampling.grammar in READY:
        grammar = ready_grammar(sampling.grammar, media, tools, tokenizer)
    else:
        grammar = _grammar(sampling)
    matcher, reason = _compiled(tokenizer, grammar)
    if reason and tools and "tool" in (sampling.grammar or "") and sampling.grammar in READY:
        raise ConfigError(
            f"tools have parameters that cannot be applied: {reason}", hint=_HINTS["json_schema"]
        )
    if reason:
        value = shown(getattr(sampling, name))
        raise ConfigError(f"{name}={value} cannot be applied: {reason}", hint=_HINTS[name])
    end_id = tokenizer.special_id(IM_END)
    return Constraint(matcher.deep_copy(), end_id, {end_id, *eos_ids})


def _grammar(sampling: Sampling) -> str:
    """The constraint as a grammar of llguidance."""
    from llguidance import LLMatcher

    if sampling.json_schema is not None:
        assert isinstance(sampling.json_schema, str)
        # The library's own function takes objects only; true and false are schemas too.
        schema = json.loads(sampling.json_schema)
        if isinstance(schema, bool):
            schema = {} if schema else {"enum": []}
        return LLMatcher.grammar_from_json_schema(schema, defaults=JSON_STYLE)
    if sampling.regex is not None:
        return LLMatcher.grammar_from_regex(sampling.regex)
    if sampling.choice is not None:
        texts = (
            json.dumps(text) for text in dict.fromkeys(sampling.choice)
        )  # Lark's escapes are JSON's
        return f"start: {' | '.join(texts)}"
    assert sampling.grammar is not None
    return sampling.grammar


@lru_cache(maxsize=32)
def _compiled(tokenizer: Tokenizer, grammar: str) -> tuple[LLMatcher, str]:
    """A compiled grammar at the start of an answer, and why it cannot be used; empty if it can."""
    from llguidance import LLMatcher

    matcher = LLMatcher(_vocabulary(tokenizer), grammar, log_level=0)
    if matcher.is_error():
        return matcher, _first_lines(matcher.get_error())
    is_allowed = any(matcher.compute_logit_bias()) and not matcher.is_error()
    return matcher, "" if is_allowed else "no answer fits it"


def _first_lines(reason: str) -> str:
    """An error of llguidance in one line, without the dump of its state."""
    text = " ".join(reason.partition("<state>")[0].split())
    if text.startswith("panic"):  # of the library, which catches it
        return "it is too large or too complex"
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: Tokenizer) -> LLTokenizer:
    """A checkpoint's vocabulary for llguidance."""
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer)))


class _Vocabulary:
    """What llguidance reads of a tokenizer; the names are the library's."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        special = sorted(tokenizer.special_ids.values())
        size = max(tokenizer.vocab_size, special[-1] + 1)
        self.eos_token_id = tokenizer.special_id(IM_END)
        self.special_token_ids = special
        self.tokens = [tokenizer.token_bytes(index) for index in range(size)]
        self._tokenizer = tokenizer

    def __call__(self, text: bytes) -> list[int]:
        return self._tokenizer.encode(text.decode(errors="replace"))

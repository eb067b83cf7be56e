# SPDX-License-Identifier: Apache-2.0
"""The confidence of a part of a reply, from the log-probabilities of its tokens."""

from __future__ import annotations

from math import exp, fsum

from finesight.conversation import Reply
from finesight.errors import ConfigError
from finesight.parse.records import Span


def score_of_span(reply: Reply, span: Span) -> float:
    """Geometric mean of the probabilities of the tokens that cover a part of the text.

    A token counts if it covers at least one character of the part, so the first and the last may reach beyond it. The
    probabilities are those of the unmodified logits: before temperature, penalties, truncation and constraint. A
    token that a grammar forced thus counts with the probability that the model gave it. The mean makes parts of
    different length comparable; it is a score to rank and to threshold by, and not a calibrated probability.

    Args:
        reply: with log-probabilities, `Sampling.logprobs` of 0 or more.
        span: start and end of the part in `reply.text`, such as `AnswerBox.span`.

    Returns:
        Score above 0, at most 1; 0 if a token was impossible.

    Raises:
        ConfigError: the reply has no log-probabilities, or the part is empty or outside the text.
    """
    start, end = span
    if not 0 <= start < end <= len(reply.text):
        raise ConfigError(
            f"the span is {start} to {end}, but the reply has {len(reply.text)} characters",
            hint="give the span of a box, or start and end of a field's value in reply.text",
        )
    found = [
        entry.logprob for entry in reply.logprobs if entry.span[0] < end and start < entry.span[1]
    ]
    if not found:
        raise ConfigError(
            f"no log-probabilities cover characters {start} to {end} of the reply",
            hint="ask with logprobs=0, which reports that of each token of the answer",
        )
    return min(exp(fsum(found) / len(found)), 1.0)  # servers round a certain token to above 1

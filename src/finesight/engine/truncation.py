# SPDX-License-Identifier: Apache-2.0
"""Temperature, top-k, top-p and min-p over rows with settings of their own, and the draw.

The order is that of transformers: temperature, top-k, then top-p over the probabilities of what top-k keeps, then
min-p.

A row is not sorted as a whole. Its largest scores are taken, at first few; if the last of them could still be kept,
more are taken for that row. So the result is exactly that of a full sort, ties included:

* equal to the last score that top-k keeps: all are kept;
* equal scores of which top-p needs only a part: those with the largest token ids are kept.

Both are what transformers does. Sums are in float64, since in float32 the sum of 150,000 terms is off by more than
the smallest of them. On the CPU a row gives the same bits alone and among others.

What needs the whole vocabulary is computed row by row, so that it stays in the processor's cache; the rest is
computed for all rows at once.

Legend: R rows, V vocabulary, K best tokens taken. Parity: tests/parity/test_sampling_scores.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.sampling import Sampling

NEVER = float("-inf")
"""Score of a token that cannot be drawn."""
LEAST_TEMPERATURE = 1e-30
"""Lower bound of the temperature: at this value only the best token can be drawn, below it float32 overflows."""
_NUM_BEST = (64, 1024, 16384)
"""Tokens that are taken at first, then, and then; after that a row is sorted as a whole."""
_BLOCK = 32
"""Scores of which the largest is found first; see `_best`."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Tokens that can be drawn, for rows whose number of best tokens is the same.

    Attributes:
        rows: int64[R'], rows of the scores.
        token_ids: int64[R', K] in ascending order of the ids; None stands for the whole vocabulary.
        weights: float32[R', K], proportional to the probabilities; 0 for tokens that are not kept.
        is_kept: bool[R', K].
    """

    rows: Tensor
    token_ids: Tensor | None
    weights: Tensor
    is_kept: Tensor

    def only(self, places: Tensor) -> Candidates:
        """The candidates of some of the rows."""
        token_ids = None if self.token_ids is None else self.token_ids[places]
        return Candidates(self.rows[places], token_ids, self.weights[places], self.is_kept[places])


def candidates(scores: Tensor, samplings: Sequence[Sampling]) -> Iterator[Candidates]:
    """Apply temperature and truncation; every row is in one of the results.

    Args:
        scores: float32[R, V], before the temperature; -inf for excluded tokens.
        samplings: one per row, with a temperature above 0.
    """
    limits = _Limits.of(samplings, scores.device)
    for row in (~limits.truncates).nonzero().squeeze(1).tolist():
        is_kept = scores[row] > NEVER
        yield Candidates(
            torch.tensor([row], device=scores.device),
            None,
            _weights(scores[row], limits.temperature[row])[None],
            is_kept[None],
        )
    rows, vocab_size = limits.truncates.nonzero().squeeze(1), scores.shape[1]
    for num_best in (*(each for each in _NUM_BEST if each < vocab_size), vocab_size):
        if not len(rows):
            return
        found, is_whole = _truncated(scores, rows, limits, num_best)
        ready = is_whole.nonzero().squeeze(1)
        if len(ready):
            yield found if len(ready) == len(rows) else found.only(ready)
        rows = rows[~is_whole]


def draw(found: Candidates, uniforms: Tensor) -> Tensor:
    """Inverse transform sampling in the order of the token ids.

    Args:
        found: the candidates of some rows.
        uniforms: float64[R'], one uniform number of [0, 1) for each of these rows.

    Returns:
        int64[R'], the drawn tokens.
    """
    cumulative = found.weights.cumsum(dim=1, dtype=torch.float64)
    targets = cumulative[:, -1] * uniforms
    places = torch.searchsorted(cumulative, targets[:, None], right=True)
    if found.token_ids is None:
        return places.squeeze(1)
    return found.token_ids.gather(1, places).squeeze(1)


@dataclass(frozen=True, slots=True)
class _Limits:
    """Settings of each row, and the sum of its weights.

    Attributes:
        temperature: float32[R].
        top_k: int64[R].
        top_p: float64[R].
        min_p: float32[R].
        total: float64[R], of the whole row; computed when first needed, NaN before.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    total: Tensor

    @classmethod
    def of(cls, samplings: Sequence[Sampling], device: torch.device) -> _Limits:
        temperatures = [max(each.temperature, LEAST_TEMPERATURE) for each in samplings]
        top_p = torch.tensor([each.top_p for each in samplings], dtype=torch.float64, device=device)
        return cls(
            torch.tensor(temperatures, dtype=torch.float32, device=device),
            torch.tensor([each.top_k for each in samplings], device=device),
            top_p,
            torch.tensor([each.min_p for each in samplings], dtype=torch.float32, device=device),
            torch.full_like(top_p, float("nan")),
        )

    @property
    def truncates(self) -> Tensor:
        """bool[R]: whether a row has any limit."""
        return (self.top_k > 0) | (self.top_p < 1) | (self.min_p > 0)

    def totals(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Weights of whole rows, where top-p needs them and top-k does not cut; NaN for others."""
        needed = (self.top_p < 1) & (self.top_k == 0) & self.total.isnan()
        for row in rows[needed[rows]].tolist():
            # One row at a time: torch may add up a single row in another order than several.
            self.total[row] = _weights(scores[row], self.temperature[row]).sum(dtype=torch.float64)
        return self.total[rows]


def _weights(scores: Tensor, temperature: Tensor) -> Tensor:
    """float32[V], proportional to the probabilities of one row."""
    scaled = scores / temperature
    return scaled.sub_(scaled.amax()).exp_()


def _truncated(
    scores: Tensor, rows: Tensor, limits: _Limits, num_best: int
) -> tuple[Candidates, Tensor]:
    """Truncate rows by their `num_best` largest scores.

    Returns:
        The candidates, and bool[R']: whether `num_best` was enough for a row.
    """
    chosen = scores if len(rows) == len(scores) else scores[rows]
    values, ids = _ranked(chosen, limits.temperature[rows, None], num_best)
    top_k, top_p = limits.top_k[rows, None], limits.top_p[rows, None]
    last = values.gather(1, (top_k - 1).clamp(0, num_best - 1))
    # Beyond `num_best` the score is not known: nothing is cut, and the row comes again with more.
    is_cut = (top_k > 0) & (top_k <= num_best)
    is_kept = (values > NEVER) & (~is_cut | (values >= last))
    weights = (values - values[:, :1]).exp()
    mass = torch.where(is_kept, weights, 0.0).cumsum(dim=1, dtype=torch.float64)
    before = torch.nn.functional.pad(mass[:, :-1], (1, 0))
    whole = torch.where(top_k > 0, mass[:, -1:], limits.totals(scores, rows)[:, None])
    is_kept &= (top_p >= 1) | (before < top_p * whole)
    is_kept &= weights >= limits.min_p[rows, None]
    least = torch.where(is_kept, values, float("inf")).amin(dim=1)
    is_known = ((top_k == 0) | (is_cut & (values[:, -1:] < last))).squeeze(1)
    is_whole = is_known & (values[:, -1] < least)
    weights = torch.where(is_kept, weights, 0.0)
    if num_best == scores.shape[1]:
        weights = torch.empty_like(weights).scatter(1, ids, weights)
        is_kept = torch.empty_like(is_kept).scatter(1, ids, is_kept)
        return Candidates(rows, None, weights, is_kept), torch.ones_like(is_whole)
    ids, order = ids.sort(dim=1)
    return Candidates(rows, ids, weights.gather(1, order), is_kept.gather(1, order)), is_whole


def _ranked(scores: Tensor, temperatures: Tensor, num_best: int) -> tuple[Tensor, Tensor]:
    """The largest scores of each row after the temperature, best first, and their ids.

    Of equal scores the largest id comes first. Division keeps the order, so that only the best are divided.
    """
    if num_best == scores.shape[1]:
        ascending = (scores / temperatures).sort(dim=1, stable=True)
        return ascending.values.flip(1), ascending.indices.flip(1)
    values, ids = _best(scores, num_best)
    ids, by_id = ids.sort(dim=1, descending=True)
    values = values.gather(1, by_id) / temperatures
    values, by_value = values.sort(dim=1, descending=True, stable=True)
    return values, ids.gather(1, by_value)


def _best(scores: Tensor, num_best: int) -> tuple[Tensor, Tensor]:
    """The largest scores of each row and their ids, in any order.

    The K largest scores lie in the K blocks with the largest maxima: a score outside of them is at most the least of
    these maxima. So a few of them need the costly selection from few blocks only.
    """
    num_rows, vocab_size = scores.shape
    if 8 * num_best * _BLOCK > vocab_size:
        best = scores.topk(num_best, dim=1, sorted=False)
        return best.values, best.indices
    if vocab_size % _BLOCK:
        scores = torch.nn.functional.pad(scores, (0, -vocab_size % _BLOCK), value=NEVER)
    blocks = scores.view(num_rows, -1, _BLOCK)
    chosen = blocks.amax(dim=2).topk(num_best, dim=1, sorted=False).indices
    found = blocks.gather(1, chosen[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    values, places = found.topk(num_best, dim=1, sorted=False)
    return values, chosen.gather(1, places // _BLOCK) * _BLOCK + places % _BLOCK

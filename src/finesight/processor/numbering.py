# SPDX-License-Identifier: Apache-2.0
"""Converts segments and media boxes to token ids, labels and positions.

Neighbouring text segments are tokenized as one run, because a token may cross the border between
them (a line break at the start of an answer merges with the one after the role name). A token belongs to
the segment of its first character, so such a token is not a target, as in the published training code.

Legend: L tokens of the sample, M visual tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX
from finesight.errors import LayoutError
from finesight.processor.mrope import VisionSpan, mrope_position_ids
from finesight.text.chat_template import ControlToken, Segment, TextSegment
from finesight.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """The token side of an `EncodedSample`, without its media.

    Attributes:
        input_ids: int64[L].
        labels: int64[L], -100 for tokens that are not targets.
        position_ids: int64[3, L].
        rope_delta: add to a token's index to get its position once generation starts.
        visual_index: int64[M], places of the visual tokens.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    rope_delta: int
    visual_index: Tensor


def number_tokens(
    segments: Sequence[Segment],
    spans: Sequence[VisionSpan],
    tokenizer: Tokenizer,
    *,
    tokens_per_second: int,
    raster: bool = False,
) -> TokenRow:
    """Number one rendered conversation.

    Args:
        segments: from `chat_template.render`.
        spans: the box of each picture and video, in order of appearance.
        tokenizer: the vocabulary.
        tokens_per_second: positions per second of video.
        raster: time positions count visual tokens instead of seconds.

    Raises:
        LayoutError: the conversation has more or fewer vision slots than there are boxes.
    """
    row = _Row(tokenizer)
    used = 0
    for segment in segments:
        if isinstance(segment, TextSegment):
            row.pending.append(segment)
            continue
        row.flush()
        if isinstance(segment, ControlToken):
            row.add([tokenizer.special_id(segment.name)], is_target=segment.is_target)
            continue
        used += 1
        if used <= len(spans):
            row.add_span(tokenizer.special_id(segment.pad_name), spans[segment.index])
    row.flush()
    if used != len(spans):
        raise LayoutError(
            f"the conversation has {used} slots for media but {len(spans)} media were given",
            hint="each picture or video part of a message is exactly one slot",
        )
    return row.finish(tokens_per_second, raster=raster)


@dataclass(slots=True)
class _Row:
    """The row under construction."""

    tokenizer: Tokenizer
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    runs: list[int | VisionSpan] = field(default_factory=list)
    visual_index: list[Tensor] = field(default_factory=list)
    pending: list[TextSegment] = field(default_factory=list)
    text_start: int = 0

    def add(self, ids: list[int], *, is_target: bool) -> None:
        self.ids += ids
        self.labels += ids if is_target else [IGNORE_INDEX] * len(ids)

    def flush(self) -> None:
        """Tokenize the pending text segments as one run."""
        waiting, self.pending = self.pending, []
        text = "".join(segment.text for segment in waiting)
        if not text:
            return
        if all(segment.is_target == waiting[0].is_target for segment in waiting):
            self.add(self.tokenizer.encode(text), is_target=waiting[0].is_target)
            return
        ids, starts = self.tokenizer.encode_with_starts(text)
        of_character = [segment.is_target for segment in waiting for _ in segment.text]
        for token, start in zip(ids, starts, strict=True):
            self.add([token], is_target=of_character[start])

    def add_span(self, pad_id: int, span: VisionSpan) -> None:
        self._close_text()
        start, length = len(self.ids), span.num_tokens
        self.add([pad_id] * length, is_target=False)
        self.visual_index.append(torch.arange(start, start + length))
        self.runs.append(span)
        self.text_start = len(self.ids)

    def finish(self, tokens_per_second: int, *, raster: bool) -> TokenRow:
        self._close_text()
        position_ids, rope_delta = mrope_position_ids(
            self.runs, tokens_per_second=tokens_per_second, raster=raster
        )
        places = self.visual_index or [torch.empty(0, dtype=torch.int64)]
        return TokenRow(
            input_ids=torch.tensor(self.ids),
            labels=torch.tensor(self.labels),
            position_ids=position_ids,
            rope_delta=rope_delta,
            visual_index=torch.cat(places),
        )

    def _close_text(self) -> None:
        if len(self.ids) > self.text_start:
            self.runs.append(len(self.ids) - self.text_start)

# SPDX-License-Identifier: Apache-2.0
"""A page with some prompts of a round of sampling: picture, question, truth, and the answers with their rewards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finesight.conversation import ImagePart
from finesight.errors import DataError, MediaError
from finesight.media.image import load_image
from finesight.present.page import (
    Facts,
    Figure,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    Text,
    data_address,
    write_page,
)
from finesight.train.rollouts import Round, Sampled

MOST_PROMPTS = 12
"""Prompts on a page."""

_LONGEST_SIDE = 480
"""Longest side of a picture, in pixels."""


def write_latest(path: Path, current: Round) -> None:
    """Write the page of a round.

    Raises:
        DataError: it cannot be written.
    """
    page = Page(title=f"Round {current.number} of sampled answers", sections=_sections(current))
    write_page(path, page, error=DataError, parents=True)


def _sections(current: Round) -> Iterator[Section]:
    means = {name: total / number for name, (total, number) in sorted(current.values().items())}
    facts = tuple(f"{name} {value:.4g}" for name, value in means.items())
    yield Section("Means", (Facts(facts),))
    for group in current.groups()[:MOST_PROMPTS]:
        yield _section(current, group)


def _section(current: Round, group: list[Sampled]) -> Section:
    first = group[0]
    parts: list[PagePart] = [Text("Question", first.question), Text("Truth", first.truth)]
    for part in current.prompts[first.prompt].conversation.media():
        if isinstance(part, ImagePart):
            parts.append(_figure(part))
    names = tuple(first.rewards)
    rows = tuple(
        TableRow(
            (
                f"{each.reward:.3f}",
                *(f"{each.rewards[name]:.3f}" for name in names),
                f"{each.advantage:+.2f}",
                str(len(each.token_ids)),
                each.finish_reason,
                each.answer,
            ),
            is_strong=each.advantage > 0,
        )
        for each in sorted(group, key=lambda one: -one.reward)
    )
    header = ("reward", *names, "advantage", "tokens", "end", "answer")
    parts.append(Table("Answers", header, rows, numbers=header[:-2]))
    return Section(first.record, tuple(parts))


def _figure(part: ImagePart) -> Figure:
    try:
        picture = load_image(part.source)
    except MediaError as error:
        return Figure(caption=error.message)
    return Figure(picture=data_address(picture, longest_side=_LONGEST_SIDE), alt="picture")

# SPDX-License-Identifier: Apache-2.0
"""Classify the pages of files, with a threshold that can be fitted on labelled examples."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from finesight.apps.classify.classify import (
    ClassifyOptions,
    ScoringResponder,
    classify_packet,
    fitted_threshold,
)
from finesight.apps.classify.records import OTHER, PacketResult
from finesight.apps.document.pages import PageAddress, find_pages, load
from finesight.apps.document.read import PageImage
from finesight.errors import AppError, ConfigError, FinesightError

__all__ = ["classify_files", "read_examples", "threshold_from"]


def classify_files(
    addresses: Sequence[PageAddress],
    model: ScoringResponder,
    options: ClassifyOptions,
    *,
    name: str = "",
) -> PacketResult:
    """Classify pages; one that cannot be drawn has the status "unread" and the reason.

    Args:
        addresses: of the pages, in order.
        model: gives log-probabilities.
        options: the kinds.
        name: of the model.

    Raises:
        ConfigError: the options are wrong, or the model gives no log-probabilities of given answers.
    """
    if not isinstance(model, ScoringResponder):
        raise ConfigError(
            f"{name or type(model).__name__} gives no log-probabilities of given answers",
            hint="classification needs a model that is loaded here, not one behind an endpoint",
        )
    return classify_packet(_images(addresses), model, options, name=name)


def read_examples(path: Path) -> list[tuple[Path, str]]:
    """Labelled examples from a CSV file with the columns `path` and `label`; paths are relative to it.

    Raises:
        AppError: there is no such file.
        ConfigError: it cannot be read, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise AppError(f"the examples {path} do not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"the examples {path} cannot be read: {error}") from error
    if not rows or not {"path", "label"} <= rows[0].keys():
        raise ConfigError(
            f"the examples {path} have no rows with path and label",
            hint="the first line is path,label",
        )
    for number, row in enumerate(rows, 1):
        if not row["path"] or not row["label"]:
            raise ConfigError(
                f"the examples {path}, row {number}: it has no path or no label",
                hint="each row is path,label",
            )
    return [(path.parent / row["path"], row["label"].strip()) for row in rows]


def threshold_from(
    examples: Sequence[tuple[Path, str]], model: ScoringResponder, options: ClassifyOptions
) -> tuple[float, int]:
    """The threshold that fits examples best, and how many are wrong with it; the first page of each file counts.

    Raises:
        ConfigError: a label is unknown, or there are too few examples.
        MediaError: a file cannot be opened.
    """
    told: list[tuple[Mapping[str, float], str]] = []
    for path, label in examples:
        if label not in options.labels and label != OTHER:
            raise ConfigError(
                f"{path.name} has the label {label!r}",
                hint=f"labels are {', '.join([*options.labels, OTHER])}",
            )
        (page,) = classify_files(find_pages([path], "1"), model, options).pages
        if not page.lifts:
            raise ConfigError(f"{path} gives no scores: {'; '.join(page.kind.problems)}")
        told.append((page.lifts, label))
    return fitted_threshold(told)


def _images(addresses: Sequence[PageAddress]) -> Iterator[PageImage | tuple[PageImage, str]]:
    for address in addresses:
        try:
            yield load(address)
        except FinesightError as error:
            blank = np.full((1, 1, 3), 255, np.uint8)
            yield (
                PageImage(address.source, address.index, address.number, blank),
                error.message,
            )

# SPDX-License-Identifier: Apache-2.0
"""The result of a run: metrics with their intervals, failures and all settings, in one JSON file.

Its identity is a digest of settings, extractor and requests: two runs of one identity asked the same questions in the
same way.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

from finesight import files
from finesight.errors import EvalError
from finesight.evals.core.digests import digest
from finesight.evals.core.journal import Sample
from finesight.evals.core.scoring import scored
from finesight.evals.core.statistics import SEED, main_value, spread
from finesight.evals.core.task import Extractor, Scored, Task

SCHEMA = 1
RESULT_FILE = "result.json"
CUT_SHORT = ("length", "repetition")
"""Finish reasons of incomplete answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of one run; every value is plain JSON.

    Attributes:
        schema: version of this record.
        task: name of the benchmark.
        prompt: name of the prompt.
        responder: name of the source of answers.
        extractor: name of the extractor.
        extractor_version: its version.
        metrics: of the benchmark.
        main: name of the main metric.
        unit: its factor when printed.
        higher_is_better: whether a larger `main` is better.
        standard_error: of the main metric, clustered; None if there is only one cluster.
        interval: lower and upper end of its bootstrap interval, 95 %.
        num_resamples: of the bootstrap.
        n: scored items, failed ones included.
        num_clusters: independent pictures or videos among them.
        parse_fail_rate: share of the answers that could not be parsed.
        truncated_rate: share of the answers that were cut short.
        errors: failed items by reason.
        breakdown: tag -> value -> number of items and main metric (None where it is undefined for so few).
        chance: main metric of random answers; None where that is 0.
        published: main metric of other systems, in printed units.
        notes: remarks on the score.
        tokens: tokens of all answers.
        seconds: time of all answers together.
        settings: prompt, pixels, frames, sampling, judge, seed and versions.
        identity: digest of the settings and of every request.
    """

    schema: int
    task: str
    prompt: str
    responder: str
    extractor: str
    extractor_version: str
    metrics: Mapping[str, float]
    main: str
    unit: float
    higher_is_better: bool
    standard_error: float | None
    interval: Sequence[float]
    num_resamples: int
    n: int
    num_clusters: int
    parse_fail_rate: float
    truncated_rate: float
    errors: Mapping[str, int]
    breakdown: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    chance: float | None
    published: Mapping[str, float]
    notes: Sequence[str]
    tokens: int
    seconds: float
    settings: Mapping[str, Any]
    identity: str

    @property
    def value(self) -> float:
        """The main metric, not multiplied by `unit`."""
        return self.metrics[self.main]

    @property
    def judged_by(self) -> str:
        """Judge and rule of judging as text; empty for a score by rule."""
        judge = self.settings.get("judge")
        if not judge:
            return ""
        return f"judged by {judge['model']} ({judge['rule']} {judge['version']})"

    def line(self) -> str:
        """The main metric as one line of text: value, interval, parse failures and failed items."""
        low, high = (end * self.unit for end in self.interval)
        line = f"{self.task}: {self.main} {self.value * self.unit:.2f} [{low:.2f}, {high:.2f}], n={self.n}"
        line += f", not read {self.parse_fail_rate:.1%}, cut short {self.truncated_rate:.1%}"
        failed = ", ".join(f"{reason} {count}" for reason, count in self.errors.items())
        return f"{line}, failed: {failed}" if failed else line


def summarise(
    task: Task, samples: Sequence[Sample], extractor: Extractor, settings: Mapping[str, Any]
) -> Result:
    """Compute the result of a run.

    Args:
        task: the benchmark.
        samples: all of one run, parsed and scored.
        extractor: that parsed them.
        settings: of the run, with its versions.

    Raises:
        EvalError: the metrics lack `task.main`, or there is no item.
    """
    items = scored(samples)
    if not items:
        raise EvalError(f"task {task.name} has no item to score among {len(samples)} rows")
    metrics = {name: float(value) for name, value in task.aggregate(items).items()}
    if task.main not in metrics:
        raise EvalError(f"task {task.name} quotes {task.main!r} but gives {sorted(metrics)}")
    uncertainty = spread(task, items)
    answered = [sample for sample in samples if sample.text is not None]
    read = [sample for sample in answered if sample.error is None]
    whole = {"judge": None, **settings, "bootstrap_seed": SEED}
    rule = {"extractor": extractor.name, "extractor_version": extractor.version}
    requests = sorted((sample.id, sample.request) for sample in samples)
    return Result(
        schema=SCHEMA,
        task=task.name,
        prompt=str(settings["prompt"]),
        responder=str(settings["responder"]),
        extractor=extractor.name,
        extractor_version=extractor.version,
        metrics=metrics,
        main=task.main,
        unit=task.unit,
        higher_is_better=task.higher_is_better,
        standard_error=None if isnan(uncertainty.standard_error) else uncertainty.standard_error,
        interval=[uncertainty.low, uncertainty.high],
        num_resamples=uncertainty.num_resamples,
        n=len(items),
        num_clusters=uncertainty.num_clusters,
        parse_fail_rate=_share([sample.parsed is None for sample in read]),
        truncated_rate=_share([sample.finish_reason in CUT_SHORT for sample in answered]),
        errors=_counts(samples),
        breakdown=_breakdown(task, items),
        chance=task.chance,
        published=dict(task.published),
        notes=list(task.notes),
        tokens=sum(sample.num_tokens for sample in answered),
        seconds=round(sum(sample.seconds for sample in answered), 3),
        settings=whole,
        identity=digest({"settings": whole, "rule": rule, "requests": requests}),
    )


def versions() -> dict[str, str]:
    """Versions of finesight and Python."""
    return {"finesight": version("finesight"), "python": platform.python_version()}


def save_result(folder: Path, result: Result) -> None:
    """Write a result atomically.

    Raises:
        EvalError: it cannot be written, as on a full disk; an older one is kept.
    """
    files.write_json(folder / RESULT_FILE, asdict(result), error=EvalError)


def load_result(folder: Path) -> Result:
    """Read a result.

    Raises:
        EvalError: there is none, or it has another schema.
    """
    path = folder / RESULT_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvalError(
            f"{folder} holds no {RESULT_FILE}",
            hint="finish the run, or bring its shards together: finesight eval rescore FOLDER",
        ) from None
    except ValueError as error:
        raise EvalError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        found = values.get("schema") if isinstance(values, dict) else type(values).__name__
        raise EvalError(
            f"{path} has schema {found!r}, this version reads {SCHEMA}",
            hint="finesight eval rescore writes it again from the stored answers",
        )
    names = {each.name for each in fields(Result)}
    if values.keys() != names:
        raise EvalError(
            f"{path} lacks {sorted(names - values.keys())}, has too much {sorted(values.keys() - names)}",
            hint="finesight eval rescore writes it again from the stored answers",
        )
    return Result(**values)


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _counts(samples: Sequence[Sample]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sample in samples:
        if sample.error is not None:
            counts[sample.error] = counts.get(sample.error, 0) + 1
    return dict(sorted(counts.items()))


def _breakdown(
    task: Task, items: Sequence[Scored]
) -> dict[str, dict[str, dict[str, float | None]]]:
    """The main metric for each value of each tag."""
    parts: dict[str, dict[str, list[Scored]]] = {}
    for each in items:
        for tag, value in each.item.tags.items():
            parts.setdefault(tag, {}).setdefault(value, []).append(each)
    return {
        tag: {
            value: {"n": float(len(members)), "value": _value_of_part(task, members)}
            for value, members in sorted(values.items())
        }
        for tag, values in parts.items()
    }


def _value_of_part(task: Task, members: Sequence[Scored]) -> float | None:
    try:
        return main_value(task, members)
    except (ArithmeticError, LookupError, ValueError):
        return None  # such as a mean over subjects where a part has one subject only

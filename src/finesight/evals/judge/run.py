# SPDX-License-Identifier: Apache-2.0
"""Judge the stored answers of a run: a second score beside the one by rule.

The run itself is unchanged. `judgements.jsonl` gets one line per item with the judge's replies, `judged.json` the score
and the judge. An item without a ruling keeps its score by rule and is counted under a reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finesight import files
from finesight.errors import EvalError
from finesight.evals.core.digests import digest, sampling_values
from finesight.evals.core.journal import Sample, read_samples
from finesight.evals.core.judgement import JudgeRule
from finesight.evals.core.results import Result, load_result, summarise
from finesight.evals.core.settings import read_settings
from finesight.evals.core.task import Extractor, Task
from finesight.evals.judge.ask import SAMPLING, Asker, Judge, Judgement

JUDGED_FILE = "judged.json"
JUDGEMENTS_FILE = "judgements.jsonl"
CACHE_FOLDER = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judged run.

    Attributes:
        judge: model, endpoint, rule, version and sampling; part of the result's identity.
        verdicts: items by verdict.
        failures: items that kept their score by rule, by reason.
        answers: digest of the judged answers.
        by_rule: the result by rule.
        result: the judged result.
    """

    judge: Mapping[str, Any]
    verdicts: Mapping[str, int]
    failures: Mapping[str, int]
    answers: str
    by_rule: Result
    result: Result

    def lines(self) -> list[str]:
        """Both scores and the numbers of verdicts and failures, as lines of text."""
        rule = f"rule {self.by_rule.extractor} {self.by_rule.extractor_version}"
        kept = ", ".join(f"{reason} {count}" for reason, count in self.failures.items())
        counts = ", ".join(f"{verdict} {count}" for verdict, count in self.verdicts.items())
        line = f"{self.result.line()}; {self.result.judged_by}: {counts or 'nothing settled'}"
        return [
            f"{self.by_rule.line()}; by {rule}",
            f"{line}; score by rule kept: {kept}" if kept else line,
        ]


def judge_run(
    folder: Path,
    task: Task,
    judge: Judge,
    *,
    workers: int = 1,
    on_judged: Callable[[int, int], None] | None = None,
) -> Judged:
    """Judge every stored answer of a finished run and write the judged result.

    Args:
        folder: of a run with its result.
        task: the benchmark it ran.
        judge: the judge; with several workers it is called from several threads.
        workers: threads.
        on_judged: called with the numbers of judged answers and of all answers.

    Raises:
        EvalError: the benchmark has no rule of judging, or the folder holds no finished run of it.
    """
    rule, by_rule = rule_of(task), load_result(folder)
    read_settings(folder, task)
    samples = read_samples(folder)
    asker = Asker(task, rule, judge, judge.cache or folder / CACHE_FOLDER)
    answered = [sample for sample in samples if sample.text is not None]
    judgements: dict[str, Judgement] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for done, each in enumerate(pool.map(asker.judgement, answered), 1):
            judgements[each.id] = each
            if on_judged:
                on_judged(done, len(answered))
    described = {
        "model": judge.model,
        "endpoint": judge.where,
        "rule": rule.name,
        "version": rule.version,
        "sampling": sampling_values(SAMPLING),
    }
    marked = [_marked(sample, judgements.get(sample.id)) for sample in samples]
    extractor = Extractor(by_rule.extractor, by_rule.extractor_version, lambda _: None)
    settings = {**by_rule.settings, "judge": described}
    judged = Judged(
        judge=described,
        verdicts=_counts(each.verdict for each in judgements.values()),
        failures=_counts(each.failure for each in judgements.values()),
        answers=answers_digest(samples),
        by_rule=by_rule,
        result=summarise(task, marked, extractor, settings),
    )
    # escaped, because raw text may contain lone surrogates
    lines = "".join(f"{json.dumps(asdict(each))}\n" for each in judgements.values())
    files.write_text(folder / JUDGEMENTS_FILE, lines, error=EvalError)
    files.write_text(
        folder / JUDGED_FILE, f"{json.dumps(asdict(judged), indent=2)}\n", error=EvalError
    )
    return judged


def _counts(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name).items()))


def rule_of(task: Task) -> JudgeRule:
    """The rule of judging of a benchmark.

    Raises:
        EvalError: it is scored by rule only.
    """
    if task.judge is None:
        raise EvalError(
            f"task {task.name} is scored by rule alone: there is nothing to judge",
            hint="leave --judge out for it; `finesight eval list NAME` shows the rule of judging of a task",
        )
    return task.judge


def load_judged(folder: Path) -> Judged | None:
    """The judged result of a run; None if it was never judged.

    Raises:
        EvalError: it cannot be read, or the answers or their score by rule have changed since.
    """
    path = folder / JUDGED_FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for name in ("by_rule", "result"):
            values[name] = Result(**values[name])
        judged = Judged(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EvalError(
            f"{path} cannot be read: {error}", hint="judge again; replies are cached"
        ) from error
    now = (answers_digest(read_samples(folder)), load_result(folder).identity)
    if (judged.answers, judged.by_rule.identity) != now:
        raise EvalError(
            f"{folder} was run or scored again after it was judged",
            hint="judge it again with `finesight eval rescore --judge`; replies are cached",
        )
    return judged


def answers_digest(samples: Sequence[Sample]) -> str:
    """Digest of all answers."""
    return digest({sample.id: sample.text for sample in samples})


def _marked(sample: Sample, judgement: Judgement | None) -> Sample:
    """A sample with the judge's score; unchanged without a verdict."""
    if judgement is None or judgement.verdict is None:
        return sample
    parts, parsed = judgement.parts, judgement.parsed
    return replace(sample, parts=parts, parsed=parsed, error=None, message=None)

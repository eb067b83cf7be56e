# SPDX-License-Identifier: Apache-2.0
"""Score stored outputs of other systems and compare the totals with those published with them.

If a total differs, extractor or score deviate from the official ones, and scores of that benchmark are not comparable
with published ones. Each source is read from the folder that its project publishes; missing ones are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.errors import EvalError, FinesightError
from finesight.evals.core import registry
from finesight.evals.core.rows import literal_list
from finesight.evals.core.scoring import score_answer
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.extract.mathvista import normalise
from finesight.evals.metrics.tables import teds
from finesight.evals.tasks.choice.mmmu import OFFICIAL as MMMU_OFFICIAL

LLAVA_ON_MMMU = 0.367
"""Overall accuracy published in the MMMU repository for its stored outputs of LLaVA-1.5-13B."""

PUBTABNET_SAMPLE = 0.8997
"""Mean TEDS of PubTabNet's sample predictions, computed with the authors' program."""


@dataclass(frozen=True, slots=True)
class Golden:
    """One set of stored outputs.

    Attributes:
        benchmark: its name.
        system: that answered.
        ours: total score of this package.
        official: published total, in the unit of `ours`.
        n: number of outputs.
        tolerance: half a unit of the last published digit; 0 for counts.
    """

    benchmark: str
    system: str
    ours: float
    official: float
    n: int
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether `ours` equals the published total within the tolerance."""
        return abs(self.ours - self.official) <= self.tolerance + 1e-9


def replay(real: Path) -> list[Golden]:
    """Score every stored output below a folder of real data.

    Args:
        real: holds mathvision, mathvista, mmmu and pubtabnet, or some of them.

    Raises:
        EvalError: a file has unexpected content.
    """
    found: list[Golden] = []
    for source in (_mathvision, _mathvista, _mmmu, _mmmu_pro, _pubtabnet):
        try:
            found += source(real)
        except FinesightError:
            raise
        except (KeyError, ValueError, TypeError) as error:
            raise EvalError(
                f"stored outputs in {real} cannot be scored by {source.__name__[1:]}: "
                f"{type(error).__name__}: {error}",
                hint="give the unchanged files of the project, or leave its folder out",
            ) from error
    return found


def _mathvision(real: Path) -> Iterator[Golden]:
    """Number of correct outputs; the official total is stored as "right/all"."""
    folder = real / "mathvision"
    questions = {row["id"]: row for row in _lines(folder / "test.jsonl")}
    task = registry.task("mathvision")
    for path in sorted(folder.glob("outputs/*_result.json")):
        system = path.stem.removesuffix("_result")
        outputs = _lines(path.with_name(f"{system}.jsonl"))
        answers = [
            (row["response"], {"answer": asked["answer"], "choices": asked["options"]})
            for row in outputs
            if questions
            for asked in [questions[row["id"]]]
        ]
        if answers:
            official = float(_json(path)["-all"].partition("/")[0])
            yield Golden("MATH-Vision", system, _marks(task, answers), official, len(answers))


def _mathvista(real: Path) -> Iterator[Golden]:
    """Number of correct stored extractions, which a language model made for the official score."""
    rows = _json(real / "mathvista" / "output_bard.json")
    scores = _json(real / "mathvista" / "scores_bard.json")
    if rows and scores:
        right = sum(normalise(row["extraction"], row) == row["answer"] for row in rows.values())
        official = float(scores["average"]["correct"])
        yield Golden("MathVista", "Bard", float(right), official, len(rows))


def _mmmu(real: Path) -> Iterator[Golden]:
    """Share of correct outputs; outputs of questions with options are letters."""
    golds = _json(real / "mmmu" / "answer_dict_val.json")
    outputs = _json(real / "mmmu" / "llava1.5_13b_total_val_output.json")
    if not golds or not outputs:
        return
    answers = []
    for name, row in golds.items():
        gold, is_choice = row["ground_truth"], row["question_type"] == "multiple-choice"
        truth = {
            "choices": list("ABCDEFGHI") if is_choice else [],  # the file keeps no options
            "answer": gold,
            "golds": gold if isinstance(gold, list) else [gold],
        }
        answers.append((outputs[name], truth))
    share = _marks(registry.task("mmmu"), answers, MMMU_OFFICIAL) / len(golds)
    yield Golden("MMMU", "LLaVA-1.5-13B", share, LLAVA_ON_MMMU, len(golds), tolerance=0.0005)


def _mmmu_pro(real: Path) -> Iterator[Golden]:
    """Number of correct outputs; the official verdict is stored with each."""
    rows = _lines(real / "mmmu" / "mmmu_pro_gpt-4o_vision_cot.jsonl")
    if not rows:
        return
    answers = [
        (row["response"], {"choices": literal_list(row["options"]), "answer": row["answer"]})
        for row in rows
    ]
    official = float(sum(bool(row["if_right"]) for row in rows))
    right = _marks(registry.task("mmmu_pro_vision"), answers)
    yield Golden("MMMU-Pro vision", "GPT-4o", right, official, len(rows))


def _pubtabnet(real: Path) -> Iterator[Golden]:
    """Mean TEDS of the sample predictions."""
    gold = _json(real / "pubtabnet" / "sample_gt.json")
    pred = _json(real / "pubtabnet" / "sample_pred.json")
    if gold and pred:
        scores = [teds(pred.get(name, ""), row["html"]) for name, row in gold.items()]
        mean = sum(scores) / len(scores)
        sample = PUBTABNET_SAMPLE
        yield Golden("PubTabNet", "sample", mean, sample, len(scores), tolerance=5e-5)


def _marks(
    task: Task, answers: Sequence[tuple[str, dict[str, Any]]], extractor: Extractor | None = None
) -> float:
    """Number of correct answers."""
    rule = extractor or task.extractors[0]
    scores = (score_answer(task, rule, Answered(*each)) for each in answers)
    return sum(score.parts.get("correct", 0.0) for score in scores)


def _json(path: Path) -> dict[str, Any]:
    """Content of a file; empty if it is missing."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds {type(found).__name__}, an object was expected")
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a file; empty if it is missing."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines() if line]

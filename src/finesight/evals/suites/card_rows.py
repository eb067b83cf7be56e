# SPDX-License-Identifier: Apache-2.0
"""Rows of the report card: each benchmark is run on its pictures and on blank pictures.

The score on blank pictures is the baseline of guessing without seeing; rows without pictures have none. Prompts,
extractors and scores are the task's own; only the limit of answer tokens may be lower, because small models tend to
repeat themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from math import isfinite
from pathlib import Path

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.journal import Sample
from finesight.evals.core.run import RunResult, chosen_items, run
from finesight.evals.core.scoring import scored
from finesight.evals.core.statistics import main_value
from finesight.evals.core.task import Item, Task
from finesight.evals.report.failures import is_wrong, open_image, with_places
from finesight.evals.responders.model import FromModel
from finesight.evals.suites.real_tasks import RealTask
from finesight.media.video import open_video

ERROR_RATES = frozenset({"cer"})
"""Measures where lower is better, 0..1."""
PERPLEXITY_RATIO = "perplexity_ratio"
"""Measure: perplexity over that of the bare decoder; lower is better, 1 loses nothing."""
NO_RATIO = "–"
"""Printed where a row has no `times_blank`."""
NO_RATIO_NOTE = f"{NO_RATIO}: the score on blank pictures is 0, or the row has no pictures"

_STRIP = 4
"""Frames of a video shown on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answer shown on the page.

    Attributes:
        id: of the item.
        picture: with gold and predicted boxes and points.
        question: text of the question.
        wanted: the correct answer; empty where the picture shows it.
        said: the answer.
        blind: the answer on the blank picture; empty without pictures.
        is_right: whether the answer scores full marks.
    """

    id: str
    picture: Image.Image
    question: str
    wanted: str
    said: str
    blind: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class RowScore:
    """One row of the report card.

    Attributes:
        row: its name.
        measure: "cer" (lower is better), "accuracy", or another metric of a benchmark, 0..1; or `PERPLEXITY_RATIO`.
        score: on the pictures.
        blank: on blank pictures; None for a row without pictures.
        num_items: items scored.
        num_failed: items among them without an answer; they count as wrong.
        examples: the first right and the first wrong answers.
    """

    row: str
    measure: str
    score: float
    blank: float | None
    num_items: int
    num_failed: int = 0
    examples: tuple[Example, ...] = ()

    @property
    def shares(self) -> tuple[float, float | None]:
        """Scores on pictures and on blank pictures as shares of 0..1, where higher is better."""
        return self._share(self.score), None if self.blank is None else self._share(self.blank)

    def _share(self, value: float) -> float:
        """An error rate counts as one minus itself, a ratio of perplexities as its inverse."""
        if self.measure == PERPLEXITY_RATIO:
            return 1 / value
        return 1 - value if self.measure in ERROR_RATES else value

    @property
    def beats_blank(self) -> float | None:
        """Ratio of the two `shares`; None without pictures."""
        seen, blind = self.shares
        if blind is None:
            return None
        if blind > 0:
            return seen / blind
        return float("inf") if seen > 0 else 0.0

    @property
    def numbers(self) -> tuple[str, str, str]:
        """Score, score on blank pictures and ratio of the shares, as printed."""
        ratio = self.beats_blank
        return (
            f"{self.score:.3f}",
            NO_RATIO if self.blank is None else f"{self.blank:.3f}",
            NO_RATIO if ratio is None or not isfinite(ratio) else f"{ratio:.1f}",
        )

    def table(self) -> dict[str, str | float | int | None]:
        """The row as plain JSON values; `times_blank` is None if `blank` is 0 or None."""
        ratio = self.beats_blank
        return {
            "measure": self.measure,
            "score": round(self.score, 4),
            "blank": None if self.blank is None else round(self.blank, 4),
            "times_blank": None if ratio is None or not isfinite(ratio) else round(ratio, 2),
            "n": self.num_items,
            "failed": self.num_failed,
        }


def card_task(part: RealTask) -> Task:
    """The benchmark as a row of the card: one prompt, and the card's limit of answer tokens."""
    task = registry.task(part.task)
    return replace(
        task,
        prompts=(registry.find_prompt(task, part.prompt),),
        sampling=replace(task.sampling, max_new_tokens=part.card_tokens),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Settings of a report card; after a crash, run the same card again.

    Attributes:
        model: answers in resized pixels.
        out: `out/ROW/seen` and `out/ROW/blank` hold the answers and results of each row.
        limit: maximum number of items per row.
        most_examples: right answers to keep per row, and the same number of wrong ones.
        on_progress: called with the row, the number of its items done and that of all, with and without blank pictures
            together.
    """

    model: FromModel
    out: Path
    limit: int | None = None
    most_examples: int = 0
    on_progress: Callable[[str, int, int], None] | None = None

    def rows(self, tasks: Sequence[tuple[Task, Path]]) -> list[RowScore]:
        """Score benchmarks, each with its local copy.

        Raises:
            EvalError: no item of any of them was answered; further errors as in `row`.
        """
        rows = [self.row(task, copy) for task, copy in tasks]
        if all(row.num_failed == row.num_items for row in rows):
            raise EvalError(
                f"{self.model.name} answered no item of {len(rows)} rows",
                hint=f"see the errors in samples.jsonl of each row: {self.out}",
            )
        return rows

    def row(self, task: Task, copy: Path) -> RowScore:
        """Run one benchmark on its pictures and on blank pictures; without pictures once.

        Raises:
            EvalError: the copy is broken, or `out` holds answers of another model or limit of tokens.
        """
        items = partial(task.prompts[0].items, copy, task.budget)
        has_media = [any(item.conversation.media()) for item in chosen_items(items(), self.limit)]
        rounds = 2 if any(has_media) else 1
        tell = partial(self._tell, task.name, rounds * len(has_media), count(1))
        seen = self._run(task, items(), self.model, "seen", tell)
        blind = self._run(task, items(), self.model.blind(), "blank", tell) if rounds == 2 else None
        assert seen.result is not None  # only a shard has none
        blind_samples = {sample.id: sample for sample in blind.samples} if blind else {}
        chosen = _chosen(task, seen.samples, self.most_examples)
        return RowScore(
            row=task.name,
            measure=task.main,
            score=seen.result.value,
            blank=blind.result.value if blind and blind.result else None,
            num_items=seen.result.n,
            num_failed=sum(seen.result.errors.values()),
            examples=tuple(_examples(chosen, blind_samples, items())),
        )

    def _run(
        self,
        task: Task,
        items: Iterator[Item],
        model: FromModel,
        name: str,
        tell: Callable[[int], None],
    ) -> RunResult:
        return run(
            task,
            task.prompts[0],
            items,
            model,
            folder=self.out / task.name / name,
            space="resized",
            limit=self.limit,
            on_progress=tell,
        )

    def _tell(self, row: str, total: int, done: Iterator[int], _: int) -> None:
        if self.on_progress:
            self.on_progress(row, next(done), total)


def as_scores(rows: Sequence[RowScore]) -> dict[str, float]:
    """Scores for a training log: `card/ROW` and, on blank pictures, `card/ROW/blank`."""
    scores: dict[str, float] = {}
    for row in rows:
        scores[f"card/{row.row}"] = row.score
        if row.blank is not None:
            scores[f"card/{row.row}/blank"] = row.blank
    return scores


def is_right(task: Task, sample: Sample) -> bool:
    """Whether an answer scores full marks, by the main metric of this item alone or in all parts of its score."""
    if sample.error is not None:
        return False
    value = main_value(task, scored([sample]))
    if not task.higher_is_better:
        return value <= 0
    return value >= 1 or not is_wrong(sample, higher_is_better=True)


def _chosen(task: Task, samples: Sequence[Sample], most: int) -> dict[str, tuple[Sample, bool]]:
    """The first right and the first wrong answers by id, and whether they are right."""
    chosen: dict[str, tuple[Sample, bool]] = {}
    for right in (True, False):
        found = (sample for sample in samples if is_right(task, sample) is right)
        chosen |= {sample.id: (sample, right) for sample in islice(found, most)}
    return chosen


def _examples(
    chosen: Mapping[str, tuple[Sample, bool]],
    blind: Mapping[str, Sample],
    items: Iterator[Item],
) -> Iterator[Example]:
    """Chosen answers with their pictures and the answers on blank pictures."""
    for item in islice((each for each in items if each.id in chosen), len(chosen)):
        sample, right = chosen[item.id]
        yield Example(
            id=item.id,
            picture=with_places(picture_of(item), sample),
            question=sample.question,
            wanted=str(item.truth.get("oracle", "")),
            said=_answer(sample),
            blind=_answer(blind[item.id]) if item.id in blind else "",
            is_right=right,
        )


def _answer(sample: Sample) -> str:
    if sample.text is None:
        return f"(no answer: {sample.message})"
    return sample.text or "(the answer is empty)"


def picture_of(item: Item) -> Image.Image:
    """The first picture of an item, or frames of its video side by side; white without media.

    Raises:
        MediaError: the file does not exist.
    """
    for part in item.conversation.media():
        if isinstance(part, ImagePart):
            return open_image(part)
        return _strip(part)
    return Image.new("RGB", (28, 28), "white")


def _strip(part: VideoPart) -> Image.Image:
    """Some frames of a video side by side."""
    shown = list(open_video(part, ProcessorConfig()).frames())
    count = min(_STRIP, len(shown))
    frames = [Image.fromarray(shown[place * len(shown) // count]) for place in range(count)]
    width = frames[0].width
    strip = Image.new("RGB", (width * count, frames[0].height))
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * width, 0))
    return strip

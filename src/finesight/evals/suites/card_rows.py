# SPDX-License-Identifier: Apache-2.0
"""Rows of the report card that are benchmarks: a task, a limit, and the same items on blank pictures.

Questions, rules of reading and scores are the task's own. Only answers may be
shorter than in a run of it, because a small model that has begun to repeat itself would never end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.evals.core import registry
from finesight.evals.core.journal import Sample
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.results import Result
from finesight.evals.core.run import RunResult, run
from finesight.evals.core.scoring import scored
from finesight.evals.core.statistics import main_value
from finesight.evals.core.task import Item, Space, Task
from finesight.evals.report.failures import is_wrong, with_places
from finesight.evals.responders.blind import Blind
from finesight.evals.suites.heldout import RowScore
from finesight.evals.suites.parts import Part
from finesight.media.image import load_image
from finesight.media.pdf import load_page
from finesight.media.video import open_video

_STRIP = 4
"""Frames of a video that stand for it on the page."""

OnRow = Callable[[str, int], None]
"""Told the row and the number of its items done, seeing and blind together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answer as the page shows it.

    Attributes:
        id: of the item.
        row: it belongs to.
        picture: with places meant and said drawn on it.
        question: what was asked.
        wanted: the right answer; empty where the picture shows it.
        said: the answer.
        blind: the answer on the blank picture.
        is_right: whether the answer scores full marks.
    """

    id: str
    row: str
    picture: Image.Image
    question: str
    wanted: str
    said: str
    blind: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row with what it was made of.

    Attributes:
        score: the row.
        examples: the first right and the first wrong answers.
    """

    score: RowScore
    examples: tuple[Example, ...]


def score_part(
    part: Part,
    copy: Path,
    responder: ItemResponder,
    space: Space,
    out: Path,
    *,
    limit: int | None = None,
    most_examples: int = 0,
    on_progress: OnRow | None = None,
) -> TaskRow:
    """Run one benchmark twice, seeing and blind; run again to go on after a crash.

    Args:
        part: the benchmark.
        copy: its local copy.
        responder: who answers.
        space: what numbers in its answers mean.
        out: answers go to SEEN and BLANK below a folder of the benchmark here.
        limit: items at most.
        most_examples: right answers to keep, and as many wrong ones.
        on_progress: told of every item.

    Raises:
        EvalError: the copy is broken, or `out` holds answers of another model or limit of tokens.
    """
    task = registry.task(part.task)
    prompt = registry.find_prompt(task, part.prompt)
    num_done = 0

    def told(done: int, sample: Sample) -> None:
        del done, sample
        nonlocal num_done
        num_done += 1
        if on_progress:
            on_progress(task.name, num_done)

    def asked(who: ItemResponder, name: str) -> RunResult:
        return run(
            task,
            prompt,
            prompt.items(copy, task.budget),
            who,
            folder=out / task.name / name,
            space=space,
            sampling=replace(task.sampling, max_new_tokens=part.card_tokens),
            limit=limit,
            on_progress=told,
        )

    seen, blind = asked(responder, "seen"), asked(Blind(responder), "blank")
    results = _whole(seen), _whole(blind)
    row = RowScore(
        row=task.name,
        measure=task.main,
        score=results[0].value,
        blank=results[1].value,
        num_items=results[0].n,
        num_failed=sum(results[0].errors.values()),
    )
    chosen = _chosen(task, seen.samples, blind.samples, most_examples)
    examples = _examples(task, chosen, prompt.items(copy, task.budget)) if chosen else ()
    return TaskRow(row, tuple(examples))


def _whole(done: RunResult) -> Result:
    assert done.result is not None  # only a shard has none
    return done.result


def is_right(task: Task, sample: Sample) -> bool:
    """Whether an answer scores full marks: by the quoted metric of this item alone, or with no mark lost."""
    if sample.error is not None:
        return False
    value = main_value(task, scored([sample]))
    if not task.higher_is_better:
        return value <= 0
    return value >= 1 or not is_wrong(sample, higher_is_better=True)


def _chosen(
    task: Task, seen: Sequence[Sample], blind: Sequence[Sample], most: int
) -> dict[str, tuple[Sample, Sample, bool]]:
    """The first right and the first wrong answers by id, each with its blind twin."""
    twins = {sample.id: sample for sample in blind}
    kept: dict[bool, list[Sample]] = {True: [], False: []}
    for sample in seen:
        room = kept[is_right(task, sample)]
        if len(room) < most and sample.id in twins:
            room.append(sample)
    return {
        sample.id: (sample, twins[sample.id], right)
        for right, samples in kept.items()
        for sample in samples
    }


def _examples(
    task: Task, chosen: dict[str, tuple[Sample, Sample, bool]], items: Iterator[Item]
) -> Iterator[Example]:
    left = len(chosen)
    for item in items:
        if not left:
            return
        if item.id not in chosen:
            continue
        left -= 1
        sample, twin, right = chosen[item.id]
        yield Example(
            id=item.id,
            row=task.name,
            picture=with_places(picture_of(item), sample),
            question=sample.question,
            wanted=str(item.truth.get("oracle", "")),
            said=_said(sample),
            blind=_said(twin),
            is_right=right,
        )


def _said(sample: Sample) -> str:
    if sample.text is None:
        return f"(no answer: {sample.message})"
    return sample.text or "(the answer is empty)"


def picture_of(item: Item) -> Image.Image:
    """What stands for an item: its first picture, or some frames of its video side by side.

    Raises:
        MediaError: it is not there.
    """
    for part in item.conversation.media():
        if isinstance(part, ImagePart):
            if part.page is not None:
                return load_page(part.source, part.page)
            return load_image(part.source)
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

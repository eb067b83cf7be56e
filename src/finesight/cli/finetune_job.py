# SPDX-License-Identifier: Apache-2.0
"""The phases of `finesight train sft`.

They are: import, scores before, training, export, scores after, report. Each leaves its result in the run's folder,
so a second start with the same options goes on where the first one was:

::

    RUN/sft.json            the options
    RUN/data, split         records as shards; numbers of those to train on and of those held back
    RUN/replay              answers of the model before training, mixed into it
    RUN/before, after       answers and scores of each part
    RUN/config.toml         the recipe; `finesight train RUN/config.toml` repeats the training
    RUN/checkpoints, best.safetensors, log.jsonl, held_back.json
    RUN/model               the fine-tuned model
    RUN/report.html, report.json
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from finesight import files
from finesight.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from finesight.cli.finetune_data import Examples
    from finesight.data.formats.config import ImportConfig
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Task
    from finesight.evals.responders.model import FromModel
    from finesight.evals.suites.held_back import AnswerKind
    from finesight.processor.processor import Processor
    from finesight.train.finetune import SftChoices
    from finesight.train.recipe import SftRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One fine-tuning.

    Attributes:
        model: name or folder of the model.
        data: file of examples.
        importing: how it is read.
        out: folder of the run.
        share: of the records to hold back.
        replay: share of the training samples that are replayed.
        metric: kind of score; None chooses by the answers.
        limit: number of held-back questions, at most.
        choices: of the recipe.
        overrides: `dotted.key=value` of the recipe.
    """

    model: str
    data: Path
    importing: ImportConfig
    out: Path
    share: float
    replay: float
    metric: str | None
    limit: int
    choices: SftChoices
    overrides: tuple[str, ...]

    def run(self) -> None:
        """All phases that an earlier start did not finish.

        Raises:
            FinesightError: the model, the data or an option is wrong, or something cannot be written.
            typer.Exit: a signal stopped the training.
        """
        from rich.console import Console

        from finesight.api.checkpoints import find_checkpoint
        from finesight.api.network import load_processor
        from finesight.cli import finetune_data
        from finesight.cli.finetune_scores import responder, score
        from finesight.evals.suites.sanity import sanity_tasks

        console = Console(stderr=True)
        folder = find_checkpoint(self.model)
        self._settle()
        examples = finetune_data.prepare(
            self.data, self.out, self.importing, share=self.share, seed=self.choices.seed
        )
        processor = load_processor(folder)
        tasks = [*self._tasks(examples, processor, console), *sanity_tasks()]
        model = responder(self.model, self.choices.device)
        before = score(tasks, model, self.out / "before")
        replayed = self._replayed(model, processor, before, console)
        del model  # its memory is needed for the training
        is_spelled = finetune_data.writes_letters(before["read"])
        recipe = self._recipe(folder, examples, replayed, is_spelled=is_spelled)
        self._train(recipe, console)
        trained = responder(str(self.out / "model"), self.choices.device)
        after = score(tasks, trained, self.out / "after")
        self._report(examples, recipe, tasks, (before, after))

    def _settle(self) -> None:
        """Store the options that decide about data and scores; a second start must have the same.

        Raises:
            ConfigError: they differ.
        """
        from finesight.inputs import shown

        path = self.out / "sft.json"
        now: dict[str, Any] = {
            "model": self.model,
            "data": str(self.data.absolute()),
            "importing": self.importing.model_dump(mode="json"),
            "held_back": self.share,
            "replay": self.replay,
            "metric": self.metric,
            "limit": self.limit,
            "seed": self.choices.seed,
        }
        if not path.is_file():
            files.write_json(path, now, error=DataError, parents=True)
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in now.items():
            if before.get(name) != value:
                raise ConfigError(
                    f"the run in {self.out} was started with {name} = {shown(before.get(name))}, "
                    f"now it is {shown(value)}",
                    hint="repeat the command with the same options to resume it, or give another --out",
                )

    def _tasks(self, examples: Examples, processor: Processor, console: Console) -> list[Task]:
        """Benchmarks of the held-back records, one per kind of answer; prints how they are scored."""
        from finesight.cli.finetune_data import held_back_examples
        from finesight.evals.suites.held_back import MEASURES, held_back_tasks

        console.print(
            f"{examples.num_train:,} records to train on, {examples.num_held_back:,} held back",
            highlight=False,
        )
        for reason, count in examples.dropped.items():
            console.print(f"{count:,} rows were not used: {reason}", highlight=False)
        if examples.held_back is None:
            return []
        found = held_back_examples(examples, processor, limit=self.limit)
        tasks = held_back_tasks(found, kind=cast("AnswerKind | None", self.metric))
        for task in tasks:
            number = sum(1 for _ in task.prompts[0].items(Path(), task.budget))
            console.print(
                f"{number:,} held-back answers are scored as {task.name}: {MEASURES[task.name]}",
                highlight=False,
            )
        return tasks

    def _replayed(
        self,
        model: FromModel,
        processor: Processor,
        before: Mapping[str, RunResult],
        console: Console,
    ) -> Path | None:
        """Shards of the model's own answers; None without replay.

        Some questions are without pictures if the model answers questions of facts.
        """
        from finesight.cli.finetune_data import write_replay
        from finesight.evals.suites.fine_tuning import KNOWN

        if not self.replay:
            return None
        folder = self.out / "replay"
        facts = before["facts"].result
        with_texts = facts is not None and 100 * facts.value >= KNOWN
        number = write_replay(
            folder, model, processor.tokenizer, seed=self.choices.seed, with_texts=with_texts
        )
        console.print(
            f"{number:,} answers of the model before training are replayed in {self.replay:.0%} of the samples"
            if number
            else "no answer of the model to the replay questions was usable: nothing is replayed",
            highlight=False,
        )
        return folder if number else None

    def _recipe(
        self, model_folder: Path, examples: Examples, replayed: Path | None, *, is_spelled: bool
    ) -> SftRecipe:
        """The recipe by default, with the overrides; a model that writes letter by letter learns answers so."""
        from finesight.config.load import overridden
        from finesight.data.mixture import SourceConfig
        from finesight.train.finetune import sft_recipe
        from finesight.train.recipe import HeldBackSection

        share = self.replay if replayed else 0.0
        sources = [
            SourceConfig(
                path=examples.shards, only=examples.train, weight=1 - share, spelled=is_spelled
            )
        ]
        if replayed:
            sources.append(SourceConfig(path=replayed, weight=share))
        held_back = (
            HeldBackSection(path=examples.shards, only=examples.held_back)
            if examples.held_back
            else None
        )
        recipe = sft_recipe(model_folder, self.out, tuple(sources), held_back, self.choices)
        return overridden(recipe, self.overrides)

    def _train(self, recipe: SftRecipe, console: Console) -> None:
        """Train and export, unless this recipe was trained by an earlier start."""
        from finesight.cli.train_run import run_recipe
        from finesight.config.load import recipe_text
        from finesight.train.export import export

        text = recipe_text(recipe)
        digest = hashlib.sha256(text.encode()).hexdigest()
        done = self.out / "trained.json"
        before = json.loads(done.read_text(encoding="utf-8")) if done.is_file() else {}
        if before.get("recipe") == digest:
            return
        console.print(f"recipe, stored as {self.out / 'config.toml'}:\n", highlight=False)
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        began = time.monotonic()
        run_recipe(recipe, console)
        for old in ("model", "after"):  # of an earlier recipe
            shutil.rmtree(self.out / old, ignore_errors=True)
        export(self.out, recipe.model.folder, self.out / "model")
        minutes = round((time.monotonic() - began) / 60, 2)
        files.write_json(done, {"recipe": digest, "minutes": minutes}, error=DataError)

    def _report(
        self,
        examples: Examples,
        recipe: SftRecipe,
        tasks: Sequence[Task],
        scores: tuple[Mapping[str, RunResult], Mapping[str, RunResult]],
    ) -> None:
        """Write the report, print its tables, and say how to use the model."""
        from finesight.cli.finetune_report import print_report, report_of
        from finesight.evals.suites.fine_tuning import write_fine_tuning

        report = report_of(self.model, self.out, examples, recipe, tasks, scores)
        write_fine_tuning(self.out, report)
        print_report(report, self.out)

# SPDX-License-Identifier: Apache-2.0
"""What is said of a benchmark in a file `tasks.toml`: title, source, layout of its copies, published numbers, notes.

A family of benchmarks has one such file, with a table for each benchmark. What holds for all of them is written once
under `[defaults]`. A table may begin with `like`, another table of the file whose values hold where it says nothing
else, and with `fill`, words that take the places of names in braces, such as `{split}`.

Lists are short where they can be. A column is its name, or `{ ours = ["theirs", ...] }` where copies call it otherwise.
A file is a pattern, or `{ split = "test" }`, which stands for the usual places of a split. Published numbers are a row
of a table as it is printed, `published.general = "70.7 - 63.5"`, whose columns stand in `report_tables.toml`; or
`published.systems`, numbers by name.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from finesight.config.load import validate
from finesight.conversation import Sampling
from finesight.errors import ConfigError
from finesight.evals.core.judgement import JudgeRule
from finesight.evals.core.task import Aggregate, Budget, Extractor, Prompt, Score, Task

_PLACES = ("{0}-*.parquet", "data/{0}-*.parquet", "*/{0}-*.parquet", "{0}.parquet")
_SPLIT_FILES = (*_PLACES, "{0}.jsonl", "{0}.json", "{0}.tsv")
"""Where copies keep a split: parquet as published, or one file of JSON or of tab-separated cells."""


def _all_files(listed: Any) -> Any:
    if not isinstance(listed, list):
        return listed
    files: list[Any] = []
    for each in listed:
        if isinstance(each, dict) and {"split"} <= each.keys() <= {"split", "folder"}:
            folder = f"{each['folder']}/" if "folder" in each else ""
            files += [f"{folder}{file.format(each['split'])}" for file in _SPLIT_FILES]
        else:
            files.append(each)
    return files


def _all_columns(listed: Any) -> Any:
    if not isinstance(listed, list):
        return listed
    columns: dict[Any, Any] = {}
    for each in listed:
        columns |= each if isinstance(each, dict) else {each: [each]}
    return columns


Files = Annotated[tuple[str, ...], BeforeValidator(_all_files)]
Columns = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_all_columns)]
"""Our name of a column -> names that copies give it, the best first."""


class Benchmark(BaseModel):
    """One table of a `tasks.toml`.

    Attributes:
        name: of the table, and what the command line calls the benchmark.
        title: its proper name.
        source: paper or page.
        layout: in words, what the folder of a local copy holds.
        files: patterns below the folder, the best first.
        columns: that a copy must have.
        optional: columns that it may have.
        pictures: our names of the columns that hold pictures.
        folders: below the folder of the copy, where pictures or videos may lie.
        parts: of the benchmark, each with the folder of its videos.
        max_new_tokens: of an answer.
        budget: pixels and frames.
        main: the metric that is quoted.
        by: tags that the scores are broken down by.
        higher_is_better: whether a larger `main` is better.
        unit: what `main` is multiplied by when printed.
        chance: what `main` would be for random answers; None where that is 0.
        published: `main` of other systems, in printed units.
        notes: what a reader of a score must know.
        is_live: whether items are episodes that an environment plays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    source: str
    layout: str
    files: Files = ()
    columns: Columns = {}
    optional: Columns = {}
    pictures: tuple[str, ...] = ("image",)
    folders: tuple[str, ...] = ()
    parts: dict[str, str] = {}
    max_new_tokens: int
    budget: Budget = Budget()
    main: str = "accuracy"
    by: tuple[str, ...] = ()
    higher_is_better: bool = True
    unit: float = 100.0
    chance: float | None = None
    published: dict[str, float] = {}
    notes: tuple[str, ...]
    is_live: bool = False

    def task(
        self,
        prompts: tuple[Prompt, ...],
        extractors: tuple[Extractor, ...],
        score: Score,
        aggregate: Aggregate,
        *,
        judge: JudgeRule | None = None,
    ) -> Task:
        """The task that these functions make of it."""
        return Task(
            name=self.name,
            title=self.title,
            source=self.source,
            layout=self.layout,
            prompts=prompts,
            budget=self.budget,
            sampling=Sampling(max_new_tokens=self.max_new_tokens),
            extractors=extractors,
            score=score,
            aggregate=aggregate,
            main=self.main,
            higher_is_better=self.higher_is_better,
            unit=self.unit,
            chance=self.chance,
            published=self.published,
            notes=self.notes,
            judge=judge,
            is_live=self.is_live,
        )


Build = Callable[[Benchmark], Task]
"""Makes a task of what is said of it."""


def read_tables(path: Path) -> dict[str, list[str]]:
    """Columns of the tables that rows of published numbers are printed in, by table."""
    return {name: table["columns"] for name, table in _parsed(path).items()}


def read_benchmarks(path: Path, tables: Mapping[str, Sequence[str]]) -> dict[str, Benchmark]:
    """The benchmarks of a family by name.

    Args:
        path: its `tasks.toml`.
        tables: columns of the printed tables, see `read_tables`.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; names the file, the table and the key.
    """
    written = _parsed(path)
    defaults = written.pop("defaults", {})
    found = {}
    for name, table in written.items():
        where = f"{path} [{name}]"
        like = table.get("like")
        if like is not None and like not in written:
            raise ConfigError(f"{where}: like = {like!r}, but there is no such table in this file")
        values = {**defaults, **written.get(like, {}), **table, "name": name}
        values = {key: _filled(value, values.get("fill", {})) for key, value in values.items()}
        values["published"] = _published(values.get("published", {}), tables, where)
        rest = {key: value for key, value in values.items() if key not in ("like", "fill")}
        found[name] = validate(rest, Benchmark, where=where)
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The value with words in the places of their names."""
    text = json.dumps(value, ensure_ascii=False)
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", json.dumps(word, ensure_ascii=False)[1:-1])
    return json.loads(text)


def _published(
    written: Mapping[str, Any], tables: Mapping[str, Sequence[str]], where: str
) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, row in written.items():
        if name == "systems":
            numbers |= row
            continue
        if name not in tables:
            known = ", ".join((*tables, "systems"))
            raise ConfigError(f"{where}: unknown key published.{name}", hint=f"there are: {known}")
        words = str(row).split()
        if len(words) != len(tables[name]):
            raise ConfigError(
                f"{where}: published.{name} has {len(words)} numbers, the table has {len(tables[name])} columns"
            )
        pairs = zip(tables[name], words, strict=True)
        numbers |= {system: float(word) for system, word in pairs if word != "-"}
    return numbers

# SPDX-License-Identifier: Apache-2.0
"""Read `tasks.toml`: title, source, layout of copies, published numbers and notes of each benchmark.

A family of benchmarks has one such file, with a table per benchmark. `[defaults]` holds values common to all tables.
The key `like` names another table of the file, whose values are used for keys that are not given. The key `fill` maps
names in braces, such as `{split}`, to the words that replace them.

A column is its name, or `{ ours = ["theirs", ...] }` where copies use other names. A file is a pattern, or
`{ split = "test" }` for the usual files of a split. Published numbers are a row of a table as it is printed,
`published.general = "70.7 - 63.5"`, whose columns are in `report_tables.toml`; or `published.systems`, numbers by name.
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
"""Usual files of a split: parquet as published, or one file of JSON or of tab-separated cells."""


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
"""Our name of a column -> its names in copies, preferred first."""


class Benchmark(BaseModel):
    """One table of a `tasks.toml`.

    Attributes:
        name: of the table and of the benchmark on the command line.
        title: its proper name.
        source: paper or page.
        layout: description of the folder of a local copy.
        files: patterns below the folder, preferred first.
        columns: required columns.
        optional: optional columns.
        pictures: our names of the columns that hold pictures.
        folders: below the folder of the copy, that may contain pictures or videos.
        parts: of the benchmark, each with the folder of its videos.
        max_new_tokens: of an answer.
        budget: pixels and frames.
        main: the main metric.
        by: tags that scores are broken down by.
        higher_is_better: whether a larger `main` is better.
        unit: factor of `main` when printed.
        chance: `main` of random answers; None where that is 0.
        published: `main` of other systems, in printed units.
        notes: remarks on the score.
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
        """The task with this data and these functions."""
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
"""Makes a task from its table."""


def read_tables(path: Path) -> dict[str, list[str]]:
    """Column names of the tables of published numbers, by table."""
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
    """The value with each `{name}` replaced by its word."""
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

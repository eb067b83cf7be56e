# SPDX-License-Identifier: Apache-2.0
"""Build a data set, a folder of shards, from a recipe.

The seed of a record is a hash of the recipe's seed, the part, the shard and the record's index, so a record does not
depend on the number of workers or on earlier builds. Complete shards are kept (`finesight.data.shards`): run the same
command again after a crash. A folder with shards of another recipe is an error. Nothing is written before the assets
of every missing shard are loaded.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field, TypeAdapter

from finesight import files
from finesight.config.settings import Settings
from finesight.data.builders.charts import Charts, ChartsConfig
from finesight.data.builders.pages.builder import Pages, PagesConfig
from finesight.data.builders.prose import ProseConfig, Proses
from finesight.data.builders.replay_config import ReplayConfig
from finesight.data.builders.scene_text import SceneText, SceneTextConfig
from finesight.data.builders.scenes import Scenes, ScenesConfig
from finesight.data.builders.screens.builder import Screens, ScreensConfig
from finesight.data.builders.text_lines import TextLines, TextLinesConfig
from finesight.data.builders.text_sheets import TextSheets, TextSheetsConfig
from finesight.data.record import Record
from finesight.data.shards import ShardReader, is_complete, write_shard
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.icons import IconLibrary
from finesight.data.sources.photos import PhotoLibrary
from finesight.data.sources.prose import Prose
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError

__all__ = [
    "BuildConfig",
    "BuildSummary",
    "PartConfig",
    "build",
    "make_builder",
    "seed_of",
]

RECIPE_FILE = "recipe.json"
Progress = Callable[[int, int], None]
"""Called with the number of records done and of all records."""


class _Part(Settings):
    """Fields of every part of a recipe; `builder` is first, so that it is written first."""

    builder: str = Field(description="name of the builder")
    name: str = Field(
        pattern=r"^[a-z0-9_]+$", description="name of the part; its shards are named NAME-00000.tar"
    )
    num_records: int = Field(ge=1, description="records to draw")


class TextPart(_Part):
    """Records drawn by the text builder."""

    builder: Literal["text"] = Field("text", description="name of the builder")
    options: TextLinesConfig = Field(TextLinesConfig(), description="options of the builder")


class SheetPart(_Part):
    """Records drawn by the sheet builder."""

    builder: Literal["sheets"] = Field("sheets", description="name of the builder")
    options: TextSheetsConfig = Field(TextSheetsConfig(), description="options of the builder")


class ScenePart(_Part):
    """Records drawn by the scene builder."""

    builder: Literal["scenes"] = Field("scenes", description="name of the builder")
    options: ScenesConfig = Field(ScenesConfig(), description="options of the builder")


class SceneTextPart(_Part):
    """Records drawn by the scene text builder."""

    builder: Literal["scene_text"] = Field("scene_text", description="name of the builder")
    options: SceneTextConfig = Field(SceneTextConfig(), description="options of the builder")


class PagePart(_Part):
    """Records drawn by the page builder."""

    builder: Literal["pages"] = Field("pages", description="name of the builder")
    options: PagesConfig = Field(PagesConfig(), description="options of the builder")


class ScreenPart(_Part):
    """Records drawn by the screen builder."""

    builder: Literal["screens"] = Field("screens", description="name of the builder")
    options: ScreensConfig = Field(ScreensConfig(), description="options of the builder")


class ChartPart(_Part):
    """Records drawn by the chart builder."""

    builder: Literal["charts"] = Field("charts", description="name of the builder")
    options: ChartsConfig = Field(ChartsConfig(), description="options of the builder")


class ProsePart(_Part):
    """Records made of passages of prose."""

    builder: Literal["prose"] = Field("prose", description="name of the builder")
    options: ProseConfig = Field(ProseConfig(), description="options of the builder")


class ReplayPart(_Part):
    """Conversations that a decoder writes."""

    builder: Literal["replay"] = Field("replay", description="name of the builder")
    options: ReplayConfig = Field(ReplayConfig(), description="options of the builder")


AnyPart = (
    TextPart
    | SheetPart
    | ScenePart
    | SceneTextPart
    | PagePart
    | ScreenPart
    | ChartPart
    | ProsePart
    | ReplayPart
)
PartConfig = Annotated[AnyPart, Field(discriminator="builder")]


class Job(NamedTuple):
    """One shard to build: index of its part, its number in the part, number of records."""

    part: int
    shard: int
    num_records: int


class BuildConfig(Settings):
    """One data set."""

    kind: Literal["data"] = Field("data", description="kind of recipe")
    assets: Path = Field(
        Path("runs/assets"), description="folder of scripts/install-training-assets.sh"
    )
    seed: int = Field(0, description="seed of all records")
    shard_records: int = Field(5000, ge=1, description="records per shard")
    parts: tuple[PartConfig, ...] = Field(min_length=1, description="parts of the data set")

    def jobs(self) -> list[Job]:
        """Every shard of the data set; all parts progress alike, so that an unfinished set has a part of each."""
        shares: list[tuple[float, Job]] = []
        for number, part in enumerate(self.parts):
            for shard, start in enumerate(range(0, part.num_records, self.shard_records)):
                size = min(self.shard_records, part.num_records - start)
                shares.append(((start + size) / part.num_records, Job(number, shard, size)))
        return [job for _, job in sorted(shares)]


class Builder(Protocol):
    """Draws the record of a seed."""

    def record(self, record_id: str, seed: int) -> Record:
        """Draw one record."""
        ...


@runtime_checkable
class BatchBuilder(Protocol):
    """Makes all records of a shard together."""

    def records(self, drafts: Sequence[tuple[str, int]]) -> Iterator[Record]:
        """Make one record for each id and seed, in this order."""
        ...


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """Result of a build.

    Attributes:
        made: records drawn in this build.
        kept: records of shards that were complete before.
        seconds: duration of the build.
        rows: per part: name, records, shards, bytes.
    """

    made: int
    kept: int
    seconds: float
    rows: tuple[tuple[str, int, int, int], ...]


def build(
    config: BuildConfig, out: Path, *, workers: int = 1, progress: Progress | None = None
) -> BuildSummary:
    """Build every missing shard of a data set.

    Args:
        config: the recipe.
        out: folder of the data set; made if missing.
        workers: processes.
        progress: called after each shard.

    Returns:
        Counts and sizes.

    Raises:
        ConfigError: `out` holds shards of another recipe, or two parts have one name.
        DataError: an asset is missing.
    """
    started = time.monotonic()
    names = [part.name for part in config.parts]
    if len(set(names)) != len(names):
        raise ConfigError(f"two parts of the recipe have the same name: {names}")
    _refuse_another_recipe(config, out)
    jobs = config.jobs()
    missing = [job for job in jobs if not is_complete(_shard_path(config, out, job))]
    for number in dict.fromkeys(job.part for job in missing):
        _builder(config.parts[number].model_dump_json(), config.assets)  # raises on a missing asset
    _claim(config, out)
    total, todo = sum(job.num_records for job in jobs), sum(job.num_records for job in missing)
    done = total - todo
    for made in _run(config, out, missing, workers):
        done += made
        if progress:
            progress(done, total)
    return BuildSummary(todo, total - todo, time.monotonic() - started, _rows(config, out))


def make_builder(part: AnyPart, assets: Path) -> Builder | BatchBuilder:
    """The builder of a part, with its assets loaded."""
    if isinstance(part, ReplayPart):
        return _replay(part.options)
    if isinstance(part, ProsePart):
        return Proses(part.options, Prose.read(assets, part.options.split))
    words = _words(assets, part.options.split)
    if isinstance(part, TextPart):
        return TextLines(part.options, _fonts(assets), words)
    if isinstance(part, SheetPart):
        return TextSheets(part.options, _fonts(assets), words)
    if isinstance(part, SceneTextPart):
        return SceneText(part.options, _fonts(assets), words, PhotoLibrary.read(assets))
    if isinstance(part, PagePart):
        return Pages(part.options, _fonts(assets), words)
    if isinstance(part, ScreenPart):
        return Screens(part.options, assets, _fonts(assets), words)
    if isinstance(part, ChartPart):
        return Charts(part.options, _fonts(assets), words)
    return Scenes(part.options, _icons(assets), _fonts(assets), words)


def seed_of(seed: int, part: str, shard: int, index: int) -> int:
    """Seed of a record: 63 bits of the SHA-256 of the arguments."""
    digest = hashlib.sha256(f"{seed}/{part}/{shard}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _recipe_text(config: BuildConfig) -> str:
    return json.dumps(config.model_dump(mode="json", exclude={"assets"}), indent=1)


def _refuse_another_recipe(config: BuildConfig, out: Path) -> None:
    """Raise if the folder has complete shards of another recipe."""
    path = out / RECIPE_FILE
    is_another = path.is_file() and path.read_bytes() != _recipe_text(config).encode()
    if is_another and any(map(is_complete, out.glob("*.tar"))):
        raise ConfigError(
            f"folder {out} has shards of another recipe (see {path})",
            hint="choose a new folder, or delete this one",
        )


def _claim(config: BuildConfig, out: Path) -> None:
    """Write the recipe into the folder, and remove unfinished files of a killed build."""
    out.mkdir(parents=True, exist_ok=True)
    files.write_text(out / RECIPE_FILE, _recipe_text(config), error=DataError)
    files.remove_drafts(out)


def _shard_path(config: BuildConfig, out: Path, job: Job) -> Path:
    return out / f"{config.parts[job.part].name}-{job.shard:05}.tar"


def _run(config: BuildConfig, out: Path, jobs: list[Job], workers: int) -> Iterator[int]:
    tasks = [(config, out, job) for job in jobs]
    if workers <= 1:
        yield from map(_build_shard, tasks)
        return
    pool = multiprocessing.get_context("spawn").Pool(min(workers, max(1, len(tasks))))
    try:
        yield from pool.imap_unordered(_build_shard, tasks)
    finally:
        pool.terminate()
        pool.join()
        files.remove_drafts(out)  # of workers that were terminated because another one failed


def _build_shard(task: tuple[BuildConfig, Path, Job]) -> int:
    """Draw one shard; runs in a worker process."""
    config, out, job = task
    part, shard = config.parts[job.part], job.shard
    builder = _builder(part.model_dump_json(), config.assets)
    drafts = [
        (f"{part.name}-{shard:05}-{i:05}", seed_of(config.seed, part.name, shard, i))
        for i in range(job.num_records)
    ]
    if isinstance(builder, BatchBuilder):
        return write_shard(_shard_path(config, out, job), builder.records(drafts))
    records = (builder.record(record_id, seed) for record_id, seed in drafts)
    return write_shard(_shard_path(config, out, job), records)


@lru_cache(maxsize=4)
def _builder(part: str, assets: Path) -> Builder | BatchBuilder:
    """One builder per part and process; the part is JSON because the key of the cache must be hashable."""
    return make_builder(TypeAdapter[PartConfig](PartConfig).validate_json(part), assets)


def _replay(config: ReplayConfig) -> BatchBuilder:
    """The builder with its decoder; drawing pictures needs no torch, which is therefore imported here."""
    from finesight.data.builders.replay import Replay
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions
    from finesight.model.weights import load_model
    from finesight.processor.processor import Processor

    processor = Processor.from_folder(config.model)
    options = EngineOptions(max_sequences=config.batch)
    return Replay(config, Engine(load_model(config.model), processor, options=options))


@lru_cache(maxsize=1)
def _fonts(assets: Path) -> FontCatalogue:
    return FontCatalogue.read(assets / "fonts.json")


@lru_cache(maxsize=2)
def _words(assets: Path, split: Split) -> WordLists:
    return WordLists.read(assets, split)


@lru_cache(maxsize=1)
def _icons(assets: Path) -> IconLibrary:
    return IconLibrary.read(assets)


def _rows(config: BuildConfig, out: Path) -> tuple[tuple[str, int, int, int], ...]:
    rows = []
    for number, part in enumerate(config.parts):
        paths = [_shard_path(config, out, job) for job in config.jobs() if job.part == number]
        records = sum(len(ShardReader(path)) for path in paths)
        rows.append((part.name, records, len(paths), sum(path.stat().st_size for path in paths)))
    return tuple(rows)

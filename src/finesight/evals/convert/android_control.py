# SPDX-License-Identifier: Apache-2.0
"""Convert the TFRecords of AndroidControl, one episode per record, to one line and one picture per step.

The elements in which a click counts are the visible nodes that react to touch, and the visible leaves outside of these.
So the target of a click on a label inside a button is the button. Boxes are clipped to the screen; empty boxes are left
out.

The last picture of an episode, after its last action, is not written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.errors import EvalError
from finesight.evals.convert.messages import Element, elements_of, features_of
from finesight.evals.convert.tfrecord import records
from finesight.evals.core.digests import digest
from finesight.evals.tasks.screens.recorded_steps import step_of
from finesight.files import write_text

STEPS_FILE = "android_control.jsonl"
SCREENS = "screens"
SPLITS_FILE = "splits.json"
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Converted:
    """Counts of a conversion.

    Attributes:
        num_episodes: episodes of the split.
        num_steps: lines of `STEPS_FILE`, and pictures.
        num_other: skipped episodes of other splits.
        missing: episodes of the split without a record.
        num_kept_files: files that an interrupted call had already converted.
    """

    num_episodes: int
    num_steps: int
    num_other: int
    missing: tuple[int, ...]
    num_kept_files: int


def convert(
    source: Path, target: Path, *, split: str = "test", limit: int | None = None
) -> Converted:
    """Write one split in the layout of the benchmark.

    Args:
        source: folder with the published files `android_control*` and `splits.json`.
        target: folder to write to, without a `STEPS_FILE`.
        split: name of a split.
        limit: largest number of episodes; the first ones found.

    Raises:
        EvalError: a file is missing or invalid, a record lacks a feature, an action is unknown, or the target has a
            `STEPS_FILE`. A failed conversion leaves no files; an interrupted one resumes after its last whole file.
    """
    wanted = _episodes_of(source, split)
    files = sorted(each for each in source.glob("android_control*") if each.is_file())
    if not files:
        raise EvalError(
            f"{source} holds no android_control* files",
            hint="give the folder of the published TFRecords",
        )
    if (target / STEPS_FILE).exists():
        raise EvalError(f"{target / STEPS_FILE} is there already", hint="give another folder")
    if next(_examples(files), None) is None:  # checked before a folder is made
        raise EvalError(f"{files[0]} and {len(files) - 1} files beside it hold no record")
    draft = target.absolute().with_name(f".{target.absolute().name}.part")
    try:
        counts = _write(files, draft, wanted, limit)
        _move_over(draft, target)
    except Exception:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(draft, ignore_errors=True)
    return counts


def _write(files: Sequence[Path], folder: Path, wanted: set[int], limit: int | None) -> Converted:
    """Write the steps of the wanted episodes, up to `limit` episodes, and their pictures.

    The part of each finished file is stored; stored parts of an interrupted call are reused.
    """
    parts: list[_Part] = []
    found: set[int] = set()
    num_kept = 0
    _begin(folder, files, wanted, limit)
    for path in files:
        left = None if limit is None else limit - len(found)
        if left == 0:
            break
        kept = folder / f"{path.name}.json"
        part = _kept_part(kept)
        num_kept += part is not None
        if part is None:
            part = _part(path, folder, wanted, found, left)
            write_text(kept, json.dumps(asdict(part), ensure_ascii=False), error=EvalError)
        parts.append(part)
        found.update(part.episodes)
    with (folder / STEPS_FILE).open("w", encoding="utf-8") as lines:
        lines.writelines(f"{step}\n" for part in parts for step in part.steps)
    return Converted(
        num_episodes=len(found),
        num_steps=sum(len(part.steps) for part in parts),
        num_other=sum(part.num_other for part in parts),
        missing=() if limit is not None else tuple(sorted(wanted - found)),
        num_kept_files=num_kept,
    )


def _begin(folder: Path, files: Sequence[Path], wanted: set[int], limit: int | None) -> None:
    """Make the folder of the draft; remove one with other source files or arguments."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    cause = digest({"files": facts, "wanted": sorted(wanted), "limit": limit})
    marked = folder / "of.txt"
    if not marked.exists() or marked.read_text(encoding="utf-8") != cause:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SCREENS).mkdir(parents=True)
        write_text(marked, cause, error=EvalError)


@dataclass(frozen=True, slots=True)
class _Part:
    """Result of one file: its episodes, lines of `STEPS_FILE`, and number of episodes of other splits."""

    episodes: list[int]
    steps: list[str]
    num_other: int


def _part(path: Path, folder: Path, wanted: set[int], before: set[int], left: int | None) -> _Part:
    episodes: list[int] = []
    steps: list[str] = []
    num_other = 0
    for where, features in _examples((path,)):
        if left is not None and len(episodes) >= left:
            break
        episode = _episode(features, where)
        if episode.id not in wanted:
            num_other += 1
            continue
        if episode.id in before or episode.id in episodes:
            raise EvalError(f"{where} holds episode {episode.id} a second time")
        episodes.append(episode.id)
        steps += [json.dumps(each, ensure_ascii=False) for each in _steps(episode, folder, where)]
    return _Part(episodes, steps, num_other)


def _kept_part(path: Path) -> _Part | None:
    """The stored part of an interrupted call; None if there is none or it is invalid."""
    try:
        return _Part(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _move_over(draft: Path, target: Path) -> None:
    """Move a finished copy to its folder, which may hold other files; `STEPS_FILE` is moved last."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target / SCREENS, ignore_errors=True)  # of a copy without its list of steps
    for name in (SCREENS, STEPS_FILE):
        (draft / name).replace(target / name)


def targets_in(elements: Sequence[Element], width: int, height: int) -> list[Box]:
    """Boxes in which a click counts, each once, in order."""
    touched = [_cut(each.box, width, height) for each in elements if each.answers_touch]
    leaves = [
        _cut(each.box, width, height)
        for each in elements
        if each.is_leaf and not each.answers_touch
    ]
    boxes = [box for box in touched if box is not None]
    alone = [box for box in leaves if box and not any(_holds(each, box) for each in boxes)]
    return list(dict.fromkeys([*boxes, *alone]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Episode:
    """One record; screens, trees and sizes have one entry more than actions."""

    id: int
    goal: str
    instructions: Sequence[str]
    actions: Sequence[Mapping[str, Any]]
    screens: Sequence[bytes]
    trees: Sequence[bytes]
    sizes: Sequence[tuple[int, int]]


def _examples(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    for path in files:
        for where, content in records(path):
            yield where, features_of(content, where)


def _episodes_of(source: Path, split: str) -> set[int]:
    path = source / SPLITS_FILE
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
        if split not in splits:
            raise EvalError(f"{path} has no split {split!r}", hint=f"it has {', '.join(splits)}")
        return {int(each) for each in splits[split]}
    except (OSError, ValueError, TypeError) as error:
        raise EvalError(
            f"{path} cannot be read: {error}",
            hint="it is published beside the records: lists of episodes by split",
        ) from error


def _episode(features: Mapping[str, list[Any]], where: str) -> _Episode:
    actions = [_action(each, where) for each in _list(features, "actions", where)]
    widths, heights = (
        _list(features, f"screenshot_{side}s", where) for side in ("width", "height")
    )
    episode = _Episode(
        id=int(_list(features, "episode_id", where)[0]),
        goal=_text(_list(features, "goal", where)[0], where),
        instructions=[_text(each, where) for each in _list(features, "step_instructions", where)],
        actions=actions,
        screens=_list(features, "screenshots", where),
        trees=_list(features, "accessibility_trees", where),
        sizes=list(zip(widths, heights, strict=False)),
    )
    steps = len(actions)
    counts = {
        "step_instructions": (len(episode.instructions), steps),
        "screenshots": (len(episode.screens), steps + 1),
        "accessibility_trees": (len(episode.trees), steps + 1),
        "screenshot_widths": (len(widths), steps + 1),
        "screenshot_heights": (len(heights), steps + 1),
    }
    for name, (count, expected) in counts.items():
        if count != expected:
            raise EvalError(
                f"{where}: episode {episode.id} has {steps} actions and {count} {name}, not {expected}"
            )
    return episode


def _list(features: Mapping[str, list[Any]], name: str, where: str) -> list[Any]:
    if not features.get(name):
        raise EvalError(
            f"{where} lacks feature {name!r}",
            hint=f"it has {', '.join(sorted(features)) or 'nothing'}",
        )
    return features[name]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, bytes):
        raise EvalError(f"{where} has {type(value).__name__} where text should be")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvalError(f"{where} holds text that is not UTF-8: {error}") from error


def _action(value: Any, where: str) -> Mapping[str, Any]:
    text = _text(value, where)
    try:
        action = json.loads(text)
        step_of(action)
    except (ValueError, KeyError, TypeError) as error:
        raise EvalError(f"{where}: action {text[:120]} cannot be read: {error!r}") from error
    except EvalError as error:
        raise EvalError(f"{where}: {error.message}") from error
    return dict(action)


def _steps(episode: _Episode, target: Path, where: str) -> Iterator[dict[str, Any]]:
    """Lines of an episode; also writes its pictures."""
    for number, action in enumerate(episode.actions):
        place = f"{where}, step {number}"
        width, height = episode.sizes[number]
        name = f"{SCREENS}/{episode.id}-{number}.png"
        _write_screen(target / name, episode.screens[number], (width, height), place)
        elements = elements_of(episode.trees[number], f"{place}, accessibility_trees")
        yield {
            "episode_id": episode.id,
            "step": number,
            "goal": episode.goal,
            "step_instruction": episode.instructions[number],
            "screenshot": name,
            "action": action,
            "elements": [list(box) for box in targets_in(elements, width, height)],
        }


def _write_screen(path: Path, content: bytes, size: tuple[int, int], where: str) -> None:
    """Write the unchanged bytes of a picture after a check of its format and size."""
    try:
        with Image.open(BytesIO(content)) as image:
            found, kind = image.size, image.format
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise EvalError(f"{where} has a screenshot that cannot be read: {error}") from error
    if found != size or kind != "PNG":
        raise EvalError(
            f"{where} has a screenshot of {found[0]} x {found[1]} in {kind},"
            f" the record says {size[0]} x {size[1]} in PNG"
        )
    path.write_bytes(content)


def _cut(box: Box, width: int, height: int) -> Box | None:
    """A box clipped to the screen; None if it is empty."""
    left, top, right, bottom = box
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _holds(outer: Box, inner: Box) -> bool:
    starts = outer[0] <= inner[0] and outer[1] <= inner[1]
    return starts and outer[2] >= inner[2] and outer[3] >= inner[3]

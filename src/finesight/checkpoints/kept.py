# SPDX-License-Identifier: Apache-2.0
"""What is kept in the user's cache, and its removal.

| kind | content |
|---|---|
| `gguf` | checkpoint folders made of GGUF files |
| `packed` | packed weights of folders that were loaded with `--weights` |
| `small` | the embedded model `small`, assembled |
| `kernels` | compiled CPU kernels |
| `download` | revisions in the cache of Hugging Face that finesight has loaded; other programs may use them, too |
| `unfinished` | drafts of processes that were killed |

All of it is made or downloaded again when it is needed. What a running process has mapped stays usable for it after the
removal.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path

from finesight import files
from finesight.errors import WeightsError

Kind = Literal["gguf", "packed", "small", "kernels", "download", "unfinished"]

_FOLDERS: tuple[tuple[Kind, str, str], ...] = (
    ("gguf", "gguf", "*"),
    ("packed", "packed", "*"),
    ("small", ".", "*-" + "[0-9a-f]" * 16),
    ("kernels", "kernels", "*.so"),
)
"""Kind, folder in the cache, and names in it."""
_RECEIPT = re.compile(r"(?P<name>.+)-(?P<commit>[0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing in the cache.

    Attributes:
        kind: what it is.
        name: its name, unique within its kind.
        path: its folder or file.
        num_bytes: its size; files that several revisions of a download share count for each.
        made_at: time of its newest file, in seconds since 1970.
    """

    kind: Kind
    name: str
    path: Path
    num_bytes: int
    made_at: float


def cache_folder() -> Path:
    """The user's cache; Hugging Face's is another one."""
    return user_cache_path("finesight")


def kept_files(cache: Path | None = None) -> list[Kept]:
    """Everything in the cache, by kind and name.

    Args:
        cache: the cache; None takes the user's.
    """
    root = cache or cache_folder()
    found = list(_downloads(root))
    for kind, folder, pattern in _FOLDERS:
        for path in sorted((root / folder).glob(pattern)):
            if not path.name.startswith("."):
                found.append(_entry(kind, path.name, path))
    for folder in ("gguf", "packed", "."):
        for path in sorted((root / folder).glob(".*.part")):
            found.append(_entry("unfinished", path.name, path))
    return sorted(found, key=lambda each: (each.kind, each.name))


def remove(entry: Kept) -> None:
    """Remove one thing from the cache.

    Raises:
        WeightsError: another process writes it, or it cannot be removed.
    """
    try:
        if entry.kind == "download":
            _remove_download(entry)
        elif entry.kind == "unfinished":
            files.remove_drafts(entry.path.parent)
            if entry.path.exists():
                raise WeightsError(f"{entry.path} is being written", hint="wait for that process")
        elif entry.kind == "kernels":
            entry.path.unlink()
        else:
            _remove_folder(entry.path)
    except OSError as error:
        raise WeightsError(f"{entry.path} cannot be removed: {error.strerror or error}") from error


def _entry(kind: Kind, name: str, path: Path) -> Kept:
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    states = [each.stat() for each in inside if each.is_file()]
    return Kept(
        kind=kind,
        name=name,
        path=path,
        num_bytes=sum(state.st_size for state in states),
        made_at=max((state.st_mtime for state in states), default=path.stat().st_mtime),
    )


def _remove_folder(path: Path) -> None:
    lock = path.with_name(f".{path.name}.lock")  # the one of the writers of `cached` and `packed`
    with files.lock(lock, error=WeightsError):
        shutil.rmtree(path)
        lock.unlink(missing_ok=True)  # a process that waits for it opens a new one


def _downloads(root: Path) -> Iterator[Kept]:
    """Revisions whose checksums were compared: those that finesight has loaded."""
    revisions = _revisions() if any((root / "hub").glob("*.json")) else {}
    for receipt in sorted((root / "hub").glob("*.json")):
        match = _RECEIPT.fullmatch(receipt.stem)
        revision = None if match is None else revisions.get(match["commit"])
        if match is not None and revision is not None:
            yield Kept(
                kind="download",
                name=f"{match['name'].replace('--', '/')}@{match['commit'][:12]}",
                path=revision.snapshot_path,
                num_bytes=revision.size_on_disk,
                made_at=revision.last_modified,
            )


def _hub_cache() -> Any:
    """The cache of Hugging Face as its library describes it; None if the library or the cache is not there."""
    try:
        from huggingface_hub import scan_cache_dir
        from huggingface_hub.errors import CacheNotFound
    except ImportError:
        return None
    try:
        return scan_cache_dir()
    except CacheNotFound:
        return None


def _revisions() -> dict[str, Any]:
    found = _hub_cache()
    repos = [] if found is None else found.repos
    return {each.commit_hash: each for repo in repos for each in repo.revisions}


def _remove_download(entry: Kept) -> None:
    commit = entry.path.name
    _hub_cache().delete_revisions(commit).execute()
    for receipt in (cache_folder() / "hub").glob(f"*-{commit}.json"):
        receipt.unlink(missing_ok=True)

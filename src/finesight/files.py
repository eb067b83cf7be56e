# SPDX-License-Identifier: Apache-2.0
"""Atomic writes of files and folders: each is complete under its name, or absent.

Everything is written to a draft in the same folder and renamed when it is complete. A process that is
killed leaves at most a hidden draft (`.NAME.….part`); the file that was there before stays. Drafts of several
processes and threads do not collide. Nothing is flushed to disk unless `sync` is set: without it a rename survives the
end of the process, but perhaps not a power failure.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from finesight.errors import FinesightError

_LONGEST_NAME = 200
"""Bytes of a file's name that its draft keeps; file systems allow names of 255."""


@contextmanager
def whole_file(
    path: Path, *, error: type[FinesightError] | None = FinesightError, parents: bool = False
) -> Iterator[Path]:
    """Yield the path of a draft to write; it becomes `path` when the block ends without an error.

    Drafts of several processes and threads do not collide; the last one to finish stays.

    Args:
        path: the file; an existing one is replaced.
        error: raised instead of an `OSError`; None lets that pass.
        parents: whether its folder is created if missing.

    Raises:
        FinesightError: of the class `error`; the file cannot be written; the draft is removed.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST_NAME])
    draft = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.part")
    with _reported(path, error):
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def lock(
    path: Path, *, error: type[FinesightError] = FinesightError, waits: bool = False
) -> BinaryIO:
    """Open a file for appending, locked against other processes until it is closed; on Windows without the lock.

    Args:
        path: the file.
        error: class of the error if another process has locked it.
        waits: whether to wait for that process instead.

    Raises:
        FinesightError: of the class `error`; another process has locked it.
        OSError: it cannot be opened.
    """
    if sys.platform == "win32":
        return path.open("ab")
    import fcntl

    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as failure:
            file.close()
            raise error(
                f"another process writes to {path}", hint="wait for it, or give another folder"
            ) from failure
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # the name got another file between opening and locking


def write_bytes(
    path: Path,
    content: bytes,
    *,
    error: type[FinesightError] | None = FinesightError,
    parents: bool = False,
) -> None:
    """Write a file; arguments and errors as in `whole_file`."""
    with whole_file(path, error=error, parents=parents) as draft:
        draft.write_bytes(content)


def write_text(
    path: Path,
    text: str,
    *,
    error: type[FinesightError] | None = FinesightError,
    parents: bool = False,
) -> None:
    """Write a file in UTF-8; arguments and errors as in `whole_file`."""
    write_bytes(path, text.encode("utf-8"), error=error, parents=parents)


def write_json(
    path: Path,
    value: Any,
    *,
    error: type[FinesightError] | None = FinesightError,
    parents: bool = False,
) -> None:
    """Write a value as indented JSON; half of a surrogate pair is escaped. Otherwise as `whole_file`."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        content = json.dumps(value, indent=2).encode("utf-8")
    write_bytes(path, content + b"\n", error=error, parents=parents)


@contextmanager
def whole_folder(
    path: Path,
    *,
    error: type[FinesightError] | None = FinesightError,
    sync: bool = False,
    replaces: bool = True,
) -> Iterator[Path]:
    """Yield an empty draft folder to fill; it becomes `path` when the block ends without an error.

    Its parents are created if missing. Drafts that killed processes left are removed first.

    Args:
        path: the folder.
        error: raised instead of an `OSError`; None lets that pass.
        sync: whether files, names and the rename are flushed to disk.
        replaces: whether an existing folder is replaced; else it stays, and the new one is an error. An empty folder is
            always replaced.

    Raises:
        FinesightError: of the class `error`; the folder cannot be written, and the one before stays.
    """
    whole = path.absolute()
    with _reported(path, error), _draft_folder(whole.parent, whole.name) as draft:
        new = draft / "new"
        new.mkdir()
        yield new
        if sync:
            for each in (*new.rglob("*"), new):
                _sync(each)
        _move_into_place(new, whole, draft / "old", replaces=replaces)
        if sync:
            _sync(whole.parent)


@contextmanager
def filled_folder(
    path: Path, *, last: Collection[str], error: type[FinesightError] | None = FinesightError
) -> Iterator[Path]:
    """Yield an empty draft folder; its files move to the same places in `path` when the block ends without an error.

    Other files of `path` stay. The new files appear one by one. Files that refer to others must come last, so
    that an incomplete set is never used.

    Args:
        path: the folder, created if missing.
        last: names of the files that are moved last.
        error: raised instead of an `OSError`; None lets that pass.

    Raises:
        FinesightError: of the class `error`; the folder cannot be written.
    """
    whole = path.absolute()
    # Inside the folder or its nearest existing parent, because a rename needs one file system.
    place = next(each for each in (whole, *whole.parents) if each.is_dir())
    with _reported(path, error), _draft_folder(place, whole.name) as draft:
        yield draft
        files = [each.relative_to(draft) for each in draft.rglob("*") if each.is_file()]
        for file in sorted(files, key=lambda file: (str(file) in last, file)):
            (whole / file).parent.mkdir(parents=True, exist_ok=True)
            (draft / file).replace(whole / file)


def publish_folder(draft: Path, path: Path) -> None:
    """Rename a complete folder that several processes have written, flushed to disk; `path` must not exist.

    Raises:
        OSError: it cannot be renamed or flushed.
    """
    for each in (*draft.rglob("*"), draft):
        _sync(each)
    draft.rename(path)
    _sync(path.parent)


def remove_drafts(folder: Path) -> None:
    """Remove drafts whose writers have ended: those of files if the system lists processes (Linux)."""
    lists_processes = Path("/proc/self").exists()
    for draft in folder.glob(".*.part"):
        if draft.is_dir():
            _remove_unlocked(draft)
            continue
        process = "".join(draft.suffixes[-2:-1]).strip(".").partition("-")[0]
        if lists_processes and process.isdecimal() and not Path("/proc", process).exists():
            draft.unlink(missing_ok=True)


@contextmanager
def _draft_folder(place: Path, name: str) -> Iterator[Path]:
    """A new folder `.NAME.….part`; drafts of this name whose writers have ended are removed first."""
    place.mkdir(parents=True, exist_ok=True)
    name = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
    for left in place.glob(f".{glob.escape(name)}.*part"):
        if left.is_dir():
            _remove_unlocked(left)
    while True:
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=place))
        locked = _lock_folder(draft, waits=True)
        if draft.is_dir():  # else another writer removed it before it was locked
            break
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if locked is not None:
            os.close(locked)


def _remove_unlocked(draft: Path) -> None:
    """Remove a draft folder unless its writer still runs; the system unlocks it when that process ends."""
    locked = _lock_folder(draft, waits=False)
    if locked is not None:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(locked)


def _lock_folder(folder: Path, *, waits: bool) -> int | None:
    """A descriptor that locks a folder until it is closed; None if that cannot be done, as on Windows."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or the file system has no locks
        os.close(descriptor)
        return None
    return descriptor


def _move_into_place(new: Path, whole: Path, old: Path, *, replaces: bool) -> None:
    """Rename a folder; one that has the name already is moved to `old` and removed."""
    while True:
        try:
            new.rename(whole)
        except OSError as failure:
            if failure.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not whole.is_dir():
                raise
        else:
            return
        if not replaces:
            raise FileExistsError(
                errno.EEXIST, "another process wrote it meanwhile; it stays as it is"
            )
        with suppress(FileNotFoundError):  # another writer moved it away
            whole.rename(old)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _reported(path: Path, error: type[FinesightError] | None) -> Iterator[None]:
    """Convert an `OSError` to an error with the path."""
    try:
        yield
    except OSError as failure:
        if error is None:
            raise
        hint = "free some space, or give a path that exists and is writable"
        if failure.errno == errno.EEXIST:
            hint = "use what is there, or give another path"
        raise error(
            f"{path} cannot be written: {failure.strerror or failure}", hint=hint
        ) from failure


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

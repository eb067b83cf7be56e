# SPDX-License-Identifier: Apache-2.0
"""Compiles the C++ sources into a shared library in the user's cache, once.

The file's name contains a hash of sources and flags, so another version never meets a stale library. The
library ends with its own SHA-256: a file that lost bytes would crash the process when it is loaded, so it is checked
first and compiled again. Processes that start at the same time wait for the one that compiles.

`python -m finesight.kernels.build` compiles ahead of the first use; `make setup` calls it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from platformdirs import user_cache_path

from finesight import files
from finesight.errors import EngineError

SOURCES = Path(__file__).with_name("csrc")

_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-pthread")

_AVX2 = ("-mavx2", "-mfma", "-mf16c")

_AVX512 = tuple(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vnni", "bf16"))

_PATH_FLAGS = {"path_avx2.cpp": _AVX2, "path_avx512.cpp": (*_AVX2, *_AVX512)}
"""Only these files may use the instructions: all others run on any x86-64 processor, to find out what it has."""

_COMPILERS = ("g++", "clang++", "c++")

_DIGEST_BYTES = 32

_SHOWN_LETTERS = 400
"""Characters shown of a compiler's errors."""


def library_file(folder: Path | None = None) -> Path:
    """The compiled library; compiles it if there is none, or a damaged one.

    Args:
        folder: where compiled libraries are kept; None takes the user's cache.

    Raises:
        EngineError: there is no compiler, it fails, or the sources do not fit this kind of machine.
    """
    if platform.machine() not in ("x86_64", "AMD64") or os.name != "posix":
        raise EngineError(
            f"the CPU kernels are written for x86-64 under Linux or macOS, this is {platform.machine()} "
            f"under {platform.system()}"
        )
    folder = user_cache_path("finesight") / "kernels" if folder is None else folder
    path = folder / f"kernels-{_key()}.so"
    if not _is_whole(path):  # a library that was compiled elsewhere needs no compiler
        _compile_once(_compiler(), path)
    return path


def _compiler() -> str:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise EngineError(
            f"the CPU kernels need a C++ compiler, and none of {', '.join(_COMPILERS)} is installed",
            hint="install g++",
        )
    return compiler


def _key() -> str:
    """Hash of the sources and the flags; any compiler makes the same library of them."""
    digest = hashlib.sha256(f"{_FLAGS}".encode())
    digest.update(str(sorted(_PATH_FLAGS.items())).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _is_whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror or error}") from error
    body = content[:-_DIGEST_BYTES]
    return hashlib.sha256(body).digest() == content[-_DIGEST_BYTES:]


def _compile_once(compiler: str, path: Path) -> None:
    """Compile under a lock, unless another process did so meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = files.lock(path.with_suffix(".lock"), error=EngineError, waits=True)
    except OSError as error:
        raise EngineError(
            f"{path.parent} cannot be written: {error.strerror or error}",
            hint="the compiled CPU kernels are kept there",
        ) from error
    with lock:
        if _is_whole(path):
            return
        what = (
            f"{path} is damaged: compiling the CPU kernels again"
            if path.exists()
            else f"compiling the CPU kernels to {path}"
        )
        warnings.warn(f"{what}; this takes about ten seconds, once", stacklevel=2)
        with tempfile.TemporaryDirectory(prefix="finesight-kernels-") as folder:
            body = _compiled(compiler, Path(folder)).read_bytes()
        files.write_bytes(path, body + hashlib.sha256(body).digest(), error=EngineError)


def _compiled(compiler: str, folder: Path) -> Path:
    """The library, compiled in a folder; all sources at the same time."""
    running = []
    for source in sorted(SOURCES.glob("*.cpp")):
        flags = (*_FLAGS, *_PATH_FLAGS.get(source.name, ()))
        target = folder / f"{source.stem}.o"
        running.append((target, _start(compiler, *flags, "-c", str(source), "-o", str(target))))
    for _, process in running:
        _finish(process)
    library = folder / "kernels.so"
    objects = [str(target) for target, _ in running]
    _finish(_start(compiler, "-shared", "-pthread", *objects, "-o", str(library)))
    return library


def _start(*command: str) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        raise EngineError(f"{command[0]} cannot be run: {error.strerror or error}") from error


def _finish(process: subprocess.Popen[str]) -> None:
    printed, _ = process.communicate()
    if process.returncode:
        raise EngineError(
            f"the C++ compiler ended with code {process.returncode}: {printed.strip()[:_SHOWN_LETTERS]}",
            hint="the CPU kernels need g++ 11 or clang 14, or newer",
        )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"CPU kernels: {library_file()}\n")
    except EngineError as problem:  # the rest of finesight works without
        sys.stdout.write(f"no CPU kernels: {problem}\n")

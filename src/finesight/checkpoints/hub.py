# SPDX-License-Identifier: Apache-2.0
"""Published models from Hugging Face and ModelScope, or from their local caches.

Large files of Hugging Face are downloaded here, since its library begins again after a process has ended: a partial
file is kept beside the cache's blobs and continued. Every file is compared with the checksum under which the cache
stores it, once. ModelScope's library does both itself.

Source: the cache layout of huggingface_hub (blobs are named by SHA-256, small ones by git's SHA-1).
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path

from finesight import files
from finesight.config.folder import check_folder
from finesight.config.model import ModelConfig
from finesight.errors import FinesightError, MissingWeights, WeightsError

__all__ = [
    "SMALL_FILES",
    "WANTED_FILES",
    "Hub",
    "cached_folder_of",
    "from_hub",
    "is_complete",
    "library_of",
]

Hub = Literal["huggingface", "modelscope"]

SMALL_FILES = ("*.json", "README.md")

WANTED_FILES = (*SMALL_FILES, "*.safetensors")
"""Files of a checkpoint; merges and vocabulary are in tokenizer.json, and pickles are not downloaded."""

_LICENCE = re.compile(r"^license(?:_name)?:\s*(\S.*)$", re.MULTILINE)
_LICENCE_LINK = re.compile(r"^license_link:\s*(\S+)", re.MULTILINE)

_SAID_BYTES = 10**9
"""Files from this size on take seconds to check, which is said."""

_DIGEST_CHUNK = 2**20


def from_hub(
    hub: Hub, name: str, *, revision: str | None = None, needs_weights: bool = True
) -> Path:
    """Folder of a model from one hub.

    The small files are fetched first: a model of another family is refused before its weights are downloaded.

    Args:
        hub: the hub.
        name: a published name.
        revision: branch, tag or commit; None takes the default branch.
        needs_weights: False if configuration and tokenizer are enough.

    Raises:
        ImportError: the hub's library is not installed.
        MissingWeights: it cannot be downloaded; any error of the library becomes this one.
        WeightsError: a file has another checksum.
        FinesightError: it is of another family.
    """
    download = {"huggingface": _from_huggingface, "modelscope": _from_modelscope}[hub]
    try:
        folder = download(name, SMALL_FILES, revision)
        check_folder(folder, needs_weights=False)
        ModelConfig.from_folder(folder)
        return download(name, WANTED_FILES, revision) if needs_weights else folder
    except (ImportError, FinesightError):
        raise
    except Exception as error:  # both libraries pass on all errors of their HTTP clients
        raise MissingWeights(f"{hub}: {_reason(error, name, revision)}") from error


def cached_folder_of(name: str) -> Path | None:
    """Folder with the small files of a published model in the Hugging Face cache; None if one is missing."""
    try:
        folder = _huggingface_cache(name, SMALL_FILES, None)
    except ImportError:
        return None
    return folder if folder is not None and is_complete(folder, needs_weights=False) else None


def is_complete(folder: Path, *, needs_weights: bool) -> bool:
    """Whether all files, with every shard of the index, are there; an interrupted download lacks some."""
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        return False
    if not needs_weights:
        return True
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / shard).is_file() for shard in shards)


def _reason(error: Exception, name: str, revision: str | None) -> str:
    """Why a download failed, in words for the common cases."""
    known = {
        "GatedRepoError": f"{name} is gated: accept its licence on its page, then log in with `hf auth login`",
        "RepositoryNotFoundError": f"there is no model {name}, or it is private: log in with `hf auth login`",
        "RevisionNotFoundError": f"{name} has no revision {revision}",
    }
    kind = type(error).__name__
    return known.get(kind) or f"{kind}: {str(error).partition(chr(10))[0]}"


def _from_huggingface(name: str, wanted: Sequence[str], revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    needs_weights = wanted is WANTED_FILES
    folder = _huggingface_cache(name, wanted, revision)
    # A model that is complete in the cache needs no request.
    if folder is None or not is_complete(folder, needs_weights=needs_weights):
        if needs_weights:
            _fetch_large(name, wanted, revision)
        folder = Path(snapshot_download(name, allow_patterns=list(wanted), revision=revision))
        if needs_weights:
            if not is_complete(folder, needs_weights=True):
                raise MissingWeights(
                    f"huggingface: {folder} lacks config.json, tokenizer.json or weights, and they cannot be downloaded"
                )
            _say_licence(name, folder)
    _check(name, folder, wanted)
    return folder


def _huggingface_cache(name: str, wanted: Sequence[str], revision: str | None) -> Path | None:
    """Cached folder of a model, possibly incomplete; None if nothing is cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        patterns = list(wanted)
        return Path(
            snapshot_download(
                name, allow_patterns=patterns, revision=revision, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None


def _fetch_large(name: str, wanted: Sequence[str], revision: str | None) -> None:
    """Download the large files of a model into the cache's blobs, each continued where it was cut.

    Nothing is downloaded if the hub cannot be reached: then the library says so.
    """
    from huggingface_hub import HfApi, constants, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.hf_api import RepoFile

    if constants.HF_HUB_OFFLINE:
        return
    api = HfApi()
    commit = api.model_info(name, revision=revision).sha
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    blobs = blobs / "blobs"
    for entry in api.list_repo_tree(name, recursive=True, revision=commit):
        if not isinstance(entry, RepoFile) or entry.lfs is None:
            continue
        if any(fnmatchcase(entry.path, pattern) for pattern in wanted):
            url = hf_hub_url(name, entry.path, revision=commit)
            _fetch(url, blobs, entry.lfs.sha256, entry.lfs.size)


def _fetch(url: str, blobs: Path, digest: str, size: int) -> None:
    """Download one file into `blobs/DIGEST`, continuing a partial one.

    Raises:
        WeightsError: it has another checksum; it is removed.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise WeightsError(f"{url} has no SHA-256 but {digest[:80]!r}")
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{digest}.part"
    with files.lock(blobs / f".{digest}.lock", waits=True):
        if (blobs / digest).exists():
            return
        done = part.stat().st_size if part.exists() else 0
        if done > size:
            part.unlink()
            done = 0
        with part.open("r+b" if done else "wb") as file:
            file.seek(done)
            http_get(url, file, resume_size=done, headers=build_hf_headers(), expected_size=size)
        _compare(part, digest, url)
        part.replace(blobs / digest)


def _check(name: str, folder: Path, wanted: Sequence[str]) -> None:
    """Compare the files of a cached folder with the checksums that they are stored under, each once.

    Where the system has no symbolic links the cache keeps no checksums, and nothing is compared.

    Raises:
        WeightsError: a file differs; it is removed, so that it is downloaded again.
    """
    receipt = user_cache_path("finesight") / "hub" / f"{name.replace('/', '--')}-{folder.name}.json"
    known = _read_receipt(receipt)
    new: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        blob = path.resolve()
        if not path.is_symlink() or not any(fnmatchcase(path.name, each) for each in wanted):
            continue
        status = blob.stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ino]
        if known.get(blob.name) != state:
            if status.st_size >= _SAID_BYTES:
                warnings.warn(f"comparing {path.name} of {name} with its checksum", stacklevel=2)
            _compare(blob, blob.name, path.name, link=path)
            new[blob.name] = state
    if new:
        try:
            files.write_json(receipt, {**known, **new}, error=WeightsError, parents=True)
        except WeightsError as error:
            warnings.warn(f"{error.message}; checksums are compared again next time", stacklevel=2)


def _read_receipt(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _compare(path: Path, digest: str, label: str, link: Path | None = None) -> None:
    """Raise `WeightsError` and remove the file unless it has this digest: SHA-256, or SHA-1 as git computes it."""
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        found = hashlib.sha256()
    elif re.fullmatch(r"[0-9a-f]{40}", digest):
        found = hashlib.sha1(usedforsecurity=False)
        found.update(f"blob {path.stat().st_size}\0".encode())
    else:
        return  # a cache of another hub, whose names are no checksums
    with path.open("rb") as file:
        while chunk := file.read(_DIGEST_CHUNK):
            found.update(chunk)
    if found.hexdigest() == digest:
        return
    for each in (link, path):
        if each is not None:
            each.unlink(missing_ok=True)
    raise WeightsError(
        f"{label} has the checksum {found.hexdigest()}, expected {digest}",
        hint="it was removed; run the same again to download it anew",
    )


def _say_licence(name: str, folder: Path) -> None:
    """State the licence of a model that was just downloaded."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:20_000]
    except OSError:
        card = ""
    found = _LICENCE.findall(card)
    link = _LICENCE_LINK.search(card)
    more = f" ({link[1]})" if link else ""
    text = f"the licence of {name} is {found[-1].strip()}{more}" if found else ""
    warnings.warn(text or f"{name} states no licence in its README.md", stacklevel=3)


def _from_modelscope(name: str, wanted: Sequence[str], revision: str | None) -> Path:
    from modelscope import snapshot_download

    more = {} if revision is None else {"revision": revision}
    return Path(snapshot_download(name, allow_patterns=list(wanted), **more))


def library_of(hub: Hub) -> str:
    """The package that downloads from a hub."""
    return {"huggingface": "huggingface_hub", "modelscope": "modelscope"}[hub]

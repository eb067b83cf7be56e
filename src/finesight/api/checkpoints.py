# SPDX-License-Identifier: Apache-2.0
"""From what a user calls a model to the folder that holds it, and the answering defaults in it.

A name is the embedded model ("tiny"), a folder, or a published name such as
`Qwen/Qwen2.5-VL-3B-Instruct`. Only a published name may use the network, and only if the model is
not already in the local cache of Hugging Face or ModelScope.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from finesight.api.mistaken import file_mistake, name_mistake
from finesight.config.folder import check_folder
from finesight.config.model import ModelConfig
from finesight.config.published import end_tokens
from finesight.config.sizes import RELEASE_NAMES
from finesight.conversation import Sampling
from finesight.errors import ConfigError, FinesightError, MissingWeights

EMBEDDED = "tiny"
"""Name of the model that is part of the package."""

ASSETS = Path(__file__).parents[1] / "assets"

TRAINED_FOR_FILE = "trained_for.txt"
"""Beside the weights: what the model was trained for and what not, in a sentence or two for its users."""

Hub = Literal["huggingface", "modelscope"]

_PUBLISHED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

_SIZE = re.compile(r"(?<!\d)(\d+b)(?![a-z0-9])")

_WANTED_FILES = ["*.json", "*.safetensors"]
"""What a checkpoint needs; merges and vocabulary stand in tokenizer.json, and pickles stay out."""

_SMALL_FILES = ["*.json"]

_LIBRARIES = {"huggingface": "huggingface_hub", "modelscope": "modelscope"}

_SHOWN_LETTERS = 160
"""Letters of a wrong name that an error shows."""


def find_checkpoint(
    name: str | Path, *, hub: Hub | None = None, needs_weights: bool = True
) -> Path:
    """Find the folder of a model.

    Args:
        name: "tiny", a folder, or a published name.
        hub: where to ask for a published name; None asks Hugging Face, then ModelScope, as far as their libraries are
            installed.
        needs_weights: False if configuration and tokenizer are enough; nothing large is downloaded.

    Raises:
        MissingWeights: there is no such model, or it is not complete.
        ConfigError: the name or the folder is something else: an adapter, a GGUF file, a picture, another family.
    """
    if hub is not None and hub not in get_args(Hub):
        raise ConfigError(f"hub is {hub!r}", hint=f"it is {' or '.join(get_args(Hub))}")
    if not isinstance(name, str | Path) or not str(name):
        raise ConfigError(
            f"model is {name!r}", hint=f'give "{EMBEDDED}", a folder or a published name'
        )
    if name == EMBEDDED:
        _refuse_hub(hub, f"the embedded model {EMBEDDED!r}")
        return _embedded(needs_weights=needs_weights)
    folder = _local_folder(name)
    if folder is not None:
        _refuse_hub(hub, f"the folder {str(folder)!r}")
        check_folder(folder, needs_weights=needs_weights)
        return folder
    if isinstance(name, str):
        mistake = name_mistake(name)
        if mistake is not None:
            raise mistake
        if _PUBLISHED_NAME.fullmatch(name) and not name.startswith("."):
            return _published(name, hub, needs_weights=needs_weights)
    meant = f"did you mean {near}? Else " if (near := _nearest(str(name))) else ""
    raise MissingWeights(
        f"there is no model folder {str(name)!r}",
        hint=f'{meant}give "{EMBEDDED}", a folder, or a name such as Qwen/Qwen2.5-VL-3B-Instruct',
    )


def _refuse_hub(hub: Hub | None, what: str) -> None:
    """Raise `ConfigError` where a hub is given for a model that is here."""
    if hub is not None:
        raise ConfigError(
            f"hub={hub!r} is given for {what}, which needs none",
            hint="leave hub out, or give a published name such as Qwen/Qwen2.5-VL-3B-Instruct",
        )


def _nearest(name: str) -> str:
    """The known name that a wrong one is closest to, by its spelling or by its size; empty if it is close to none."""
    lower = name.lower()[:_SHOWN_LETTERS]
    size = _SIZE.search(lower)
    if size and size[1] in RELEASE_NAMES and "/" not in lower:
        return RELEASE_NAMES[size[1]]
    known = {each.lower(): each for each in (EMBEDDED, *RELEASE_NAMES.values())}
    near = get_close_matches(lower, known, n=1)
    return known[near[0]] if near else ""


def cached_checkpoint(name: str) -> Path | None:
    """Small files of a published model in the cache of Hugging Face; None if they are not all there.

    Args:
        name: a published name, with its owner.
    """
    try:
        folder = _huggingface_cache(name, _SMALL_FILES)
    except ImportError:
        return None
    return folder if folder is not None and _is_complete(folder, needs_weights=False) else None


def _local_folder(name: str | Path) -> Path | None:
    """The folder of that name, None if there is nothing of that name here."""
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            return path
        if path.exists():
            raise file_mistake(path)
    except (OSError, RuntimeError) as error:  # too long, no permission, no such user
        reason = error.strerror if isinstance(error, OSError) else error
        raise MissingWeights(f"model {str(name)[:_SHOWN_LETTERS]!r}: {reason}") from error
    return None


def _embedded(*, needs_weights: bool) -> Path:
    folder = ASSETS / EMBEDDED
    if needs_weights and not any(folder.glob("*.safetensors")):
        raise MissingWeights(
            f"this copy of finesight holds no embedded model: {folder} has no *.safetensors",
            hint="install a released version, or give --model a checkpoint folder",
        )
    return folder


def _published(name: str, hub: Hub | None, *, needs_weights: bool) -> Path:
    """Folder of a published model, downloaded if need be."""
    order: tuple[Hub, ...] = (hub,) if hub else get_args(Hub)
    failed: list[MissingWeights] = []
    for place in order:
        try:
            return _ask(place, name, needs_weights=needs_weights)
        except ImportError:
            continue
        except MissingWeights as error:
            failed.append(error)
    is_release = name in RELEASE_NAMES.values()
    near = [] if is_release else get_close_matches(name, RELEASE_NAMES.values())
    meant = f"did you mean {near[0]}? Or " if near else ""
    if failed:
        said = "; ".join(error.message for error in failed)
        raise MissingWeights(
            f"{name} is neither here nor reachable ({said})",
            hint=f"{meant}check the name and the network, or download the folder and give its path",
        ) from failed[-1]
    library = " or ".join(_LIBRARIES[place] for place in order)
    raise MissingWeights(
        f"{name} is no folder here, and {library} to download it is not installed",
        hint=f"{meant}pip install {library}, or give a folder",
    )


def _ask(place: Hub, name: str, *, needs_weights: bool) -> Path:
    """Folder of a model from one hub; whatever its library raises comes out as `MissingWeights`.

    The small files come first: a model of another family is refused before its weights are fetched.
    """
    download = {"huggingface": _from_huggingface, "modelscope": _from_modelscope}[place]
    try:
        folder = download(name, _SMALL_FILES)
        check_folder(folder, needs_weights=False)
        ModelConfig.from_folder(folder)
        return download(name, _WANTED_FILES) if needs_weights else folder
    except (ImportError, FinesightError):
        raise
    except Exception as error:  # both libraries raise whatever their HTTP client does
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise MissingWeights(f"{place}: {said}") from error


def _from_huggingface(name: str, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    folder = _huggingface_cache(name, wanted)
    # No request at all for a model that is complete in the cache.
    if folder is not None and _is_complete(folder, needs_weights=wanted is _WANTED_FILES):
        return folder
    return Path(snapshot_download(name, allow_patterns=wanted))


def _huggingface_cache(name: str, wanted: list[str]) -> Path | None:
    """What the cache holds of a model, perhaps not all of it; None if nothing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _from_modelscope(name: str, wanted: list[str]) -> Path:
    from modelscope import snapshot_download

    return Path(snapshot_download(name, allow_patterns=wanted))


def _is_complete(folder: Path, *, needs_weights: bool) -> bool:
    """Whether every shard of the index is there; an interrupted download leaves some out."""
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        return False
    if not needs_weights:
        return True
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / shard).is_file() for shard in shards)


def read_trained_for(folder: Path) -> str:
    """What a model says that it was trained for, in one line; empty where its folder says nothing.

    Raises:
        ConfigError: the file is not UTF-8.
    """
    path = folder / TRAINED_FOR_FILE
    if not path.is_file():
        return ""
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """What a checkpoint wants unless the user says otherwise.

    Attributes:
        sampling: from generation_config.json, over our own defaults.
        eos_ids: tokens that end an answer; empty if the file names none.
        given: names of the values the file sets, for showing them.
    """

    sampling: Sampling = field(default_factory=Sampling)
    eos_ids: tuple[int, ...] = ()
    given: tuple[str, ...] = ()


def read_generation_defaults(folder: Path) -> GenerationDefaults:
    """Read generation_config.json of a checkpoint, if it has one.

    `do_sample: false` (transformers' default) means temperature 0.

    Raises:
        ConfigError: the file is broken or a value is out of range.
    """
    path = folder / "generation_config.json"
    if not path.is_file():
        return GenerationDefaults()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, expected an object")
    return _defaults(values, path)


def _defaults(values: Mapping[str, Any], path: Path) -> GenerationDefaults:
    found: dict[str, Any] = {}
    for name, kinds in _SAMPLING_KEYS.items():
        value = values.get(name)
        if value is None:
            continue
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ConfigError(f"{path}: {name} is {value!r}, expected a number")
        found[name] = value
    if not values.get("do_sample", False):
        found["temperature"] = 0.0
    sampling = Sampling(**found)
    try:
        sampling.check()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error
    eos_ids = end_tokens(values.get("eos_token_id"), where=str(path))
    return GenerationDefaults(sampling, eos_ids, tuple(found))


_SAMPLING_KEYS: dict[str, tuple[type, ...]] = {
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "repetition_penalty": (int, float),
    "max_new_tokens": (int,),
}

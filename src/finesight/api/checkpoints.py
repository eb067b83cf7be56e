# SPDX-License-Identifier: Apache-2.0
"""Find the checkpoint folder of a model name, and read its generation defaults.

A name is an embedded model ("small", "tiny"), a folder, or a published name such as
`Qwen/Qwen2.5-VL-3B-Instruct`. Only a published name may use the network, and only if the model is
not already in the local cache of Hugging Face or ModelScope.
"""

from __future__ import annotations

import json
import re
import warnings
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
"""Name of the embedded model that is part of the package with all its weights."""

SMALL = "small"
"""Name of the embedded model whose text decoder comes from another package (`finesight.checkpoints.small`)."""

ASSETS = Path(__file__).parents[1] / "assets"

TRAINED_FOR_FILE = "trained_for.txt"
"""File beside the weights that states in a sentence or two what the model was trained for and what not."""

Hub = Literal["huggingface", "modelscope"]

_PUBLISHED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

_SIZE = re.compile(r"(?<!\d)(\d+b)(?![a-z0-9])")

_WANTED_FILES = ["*.json", "*.safetensors"]
"""Files of a checkpoint; merges and vocabulary are in tokenizer.json, and pickles are not downloaded."""

_SMALL_FILES = ["*.json"]

_LIBRARIES = {"huggingface": "huggingface_hub", "modelscope": "modelscope"}

_SHOWN_LETTERS = 160
"""Largest number of characters of a wrong name in an error."""


def find_checkpoint(
    name: str | Path, *, hub: Hub | None = None, needs_weights: bool = True
) -> Path:
    """Find the folder of a model.

    Args:
        name: "small", "tiny", a folder, or a published name.
        hub: source of a published name; None tries Hugging Face, then ModelScope, if their libraries are installed.
        needs_weights: False if configuration and tokenizer are enough; then no weights are downloaded.

    Raises:
        MissingWeights: there is no such model, or it is not complete.
        ConfigError: the name or the folder is of another kind: an adapter, a GGUF file, a picture, another family.
    """
    if hub is not None and hub not in get_args(Hub):
        raise ConfigError(f"hub is {hub!r}", hint=f"give {' or '.join(get_args(Hub))}")
    if not isinstance(name, str | Path) or not str(name):
        raise ConfigError(
            f"model is {name!r}", hint=f'give "{EMBEDDED}", a folder or a published name'
        )
    if name == EMBEDDED:
        _refuse_hub(hub, f"the embedded model {EMBEDDED!r}")
        return _embedded(needs_weights=needs_weights)
    if name == SMALL:
        _refuse_hub(hub, f"the embedded model {SMALL!r}")
        return _small()
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
    """Raise `ConfigError` if a hub is given for a local model."""
    if hub is not None:
        raise ConfigError(
            f"hub={hub!r} has no effect on {what}",
            hint="leave hub out, or give a published name such as Qwen/Qwen2.5-VL-3B-Instruct",
        )


def _nearest(name: str) -> str:
    """The known name most similar to a wrong one, by model size or by spelling; empty if there is none."""
    lower = name.lower()[:_SHOWN_LETTERS]
    size = _SIZE.search(lower)
    if size and size[1] in RELEASE_NAMES and "/" not in lower:
        return RELEASE_NAMES[size[1]]
    known = {each.lower(): each for each in (SMALL, EMBEDDED, *RELEASE_NAMES.values())}
    near = get_close_matches(lower, known, n=1)
    return known[near[0]] if near else ""


def cached_checkpoint(name: str) -> Path | None:
    """Folder with the small files of a published model in the Hugging Face cache; None if one is missing.

    Args:
        name: a published name, with its owner.
    """
    try:
        folder = _huggingface_cache(name, _SMALL_FILES)
    except ImportError:
        return None
    return folder if folder is not None and _is_complete(folder, needs_weights=False) else None


def _local_folder(name: str | Path) -> Path | None:
    """The local folder of that name; None if there is no such path."""
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
            f"this copy of finesight has no embedded model: {folder} contains no *.safetensors",
            hint="install a released version, or give --model a checkpoint folder",
        )
    return folder


def _small() -> Path:
    """The assembled folder; even its tokenizer comes from the decoder's package."""
    from finesight.checkpoints.small import VISUAL, assembled

    parts = ASSETS / SMALL
    if not (parts / VISUAL).is_file():
        raise MissingWeights(
            f"this copy of finesight has no model {SMALL!r}: {parts} contains no {VISUAL}",
            hint=f'use the model "{EMBEDDED}", or train it with recipes/small',
        )
    return assembled(parts, started=_say_assembling)


def _say_assembling(folder: Path) -> None:
    warnings.warn(
        f"assembling the model {SMALL!r} in {folder}; this takes about ten seconds, once",
        stacklevel=4,
    )


def _published(name: str, hub: Hub | None, *, needs_weights: bool) -> Path:
    """Folder of a published model, downloaded if it is not cached."""
    order: tuple[Hub, ...] = (hub,) if hub else get_args(Hub)
    failed: list[MissingWeights] = []
    for place in order:
        try:
            return _from_hub(place, name, needs_weights=needs_weights)
        except ImportError:
            continue
        except MissingWeights as error:
            failed.append(error)
    is_release = name.removesuffix("-AWQ") in RELEASE_NAMES.values()
    near = [] if is_release else get_close_matches(name, RELEASE_NAMES.values())
    meant = f"did you mean {near[0]}? Or " if near else ""
    if failed:
        reasons = "; ".join(error.message for error in failed)
        raise MissingWeights(
            f"{name} is not a local folder and cannot be downloaded ({reasons})",
            hint=f"{meant}check the name and the network, or download the folder and give its path",
        ) from failed[-1]
    library = " or ".join(_LIBRARIES[place] for place in order)
    raise MissingWeights(
        f"{name} is not a local folder, and {library}, which downloads it, is not installed",
        hint=f"{meant}pip install {library}, or give a folder",
    )


def _from_hub(hub: Hub, name: str, *, needs_weights: bool) -> Path:
    """Folder of a model from one hub; any error of the hub's library becomes `MissingWeights`.

    The small files are fetched first: a model of another family is refused before its weights are downloaded.
    """
    download = {"huggingface": _from_huggingface, "modelscope": _from_modelscope}[hub]
    try:
        folder = download(name, _SMALL_FILES)
        check_folder(folder, needs_weights=False)
        ModelConfig.from_folder(folder)
        return download(name, _WANTED_FILES) if needs_weights else folder
    except (ImportError, FinesightError):
        raise
    except Exception as error:  # both libraries pass on all errors of their HTTP clients
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise MissingWeights(f"{hub}: {reason}") from error


def _from_huggingface(name: str, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    folder = _huggingface_cache(name, wanted)
    # A model that is complete in the cache needs no request.
    if folder is not None and _is_complete(folder, needs_weights=wanted is _WANTED_FILES):
        return folder
    return Path(snapshot_download(name, allow_patterns=wanted))


def _huggingface_cache(name: str, wanted: list[str]) -> Path | None:
    """Cached folder of a model, possibly incomplete; None if nothing is cached."""
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


def read_trained_for(folder: Path) -> str:
    """What a model was trained for, in one line; empty if its folder does not state it.

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
    """Generation defaults of a checkpoint.

    Attributes:
        sampling: values of generation_config.json, over our defaults.
        eos_ids: tokens that end an answer; empty if the file names none.
        given: names of the values that the file sets, for display.
    """

    sampling: Sampling = field(default_factory=Sampling)
    eos_ids: tuple[int, ...] = ()
    given: tuple[str, ...] = ()


def read_generation_defaults(folder: Path) -> GenerationDefaults:
    """Read generation_config.json of a checkpoint if there is one.

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
        raise ConfigError(f"{path} contains a {type(values).__name__}, expected an object")
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
    "min_p": (int, float),
    "repetition_penalty": (int, float),
    "max_new_tokens": (int,),
}

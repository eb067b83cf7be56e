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
from pathlib import Path
from typing import Any, Literal

from finesight.config.published import end_tokens
from finesight.conversation import Sampling
from finesight.errors import ConfigError, FinesightError, MissingWeights

EMBEDDED = "tiny"
"""Name of the model that is part of the package."""

ASSETS = Path(__file__).parents[1] / "assets"

Hub = Literal["huggingface", "modelscope"]

_PUBLISHED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

_WANTED_FILES = ["*.json", "*.safetensors"]
"""What a checkpoint needs; merges and vocabulary stand in tokenizer.json, and pickles stay out."""

_SMALL_FILES = ["*.json"]


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
        ConfigError: the name can be none of the three.
    """
    if name == EMBEDDED:
        return _embedded(needs_weights=needs_weights)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise MissingWeights(
                f"folder {path} has no config.json",
                hint="a checkpoint folder holds config.json, tokenizer.json and *.safetensors",
            )
        return path
    if path.exists():
        raise ConfigError(
            f"model {path} is a file", hint="give the folder that holds config.json and the weights"
        )
    if isinstance(name, str) and _PUBLISHED_NAME.fullmatch(name) and not name.startswith("."):
        return _published(name, hub, _WANTED_FILES if needs_weights else _SMALL_FILES)
    raise MissingWeights(
        f"there is no model folder {str(name)!r}",
        hint=f'give "{EMBEDDED}", a folder, or a name such as Qwen/Qwen2.5-VL-3B-Instruct',
    )


def _embedded(*, needs_weights: bool) -> Path:
    folder = ASSETS / EMBEDDED
    if needs_weights and not any(folder.glob("*.safetensors")):
        raise MissingWeights(
            f"this copy of finesight holds no embedded model: {folder} has no *.safetensors",
            hint="install a released version, or give --model a checkpoint folder",
        )
    return folder


def _published(name: str, hub: Hub | None, wanted: list[str]) -> Path:
    """Folder of a published model, downloaded if need be."""
    order: tuple[Hub, ...] = (hub,) if hub else ("huggingface", "modelscope")
    failed: list[MissingWeights] = []
    for place in order:
        try:
            return _ask(place, name, wanted)
        except ImportError:
            continue
        except MissingWeights as error:
            failed.append(error)
    if failed:
        said = "; ".join(error.message for error in failed)
        raise MissingWeights(
            f"{name} is neither here nor reachable ({said})",
            hint="check the name and the network, or download the folder and give its path",
        ) from failed[-1]
    raise MissingWeights(
        f"{name} is no folder here, and no library to download it is installed",
        hint="pip install huggingface_hub (or modelscope), or give a folder",
    )


def _ask(place: Hub, name: str, wanted: list[str]) -> Path:
    """Folder of a model from one hub; whatever its library raises comes out as `MissingWeights`."""
    download = {"huggingface": _from_huggingface, "modelscope": _from_modelscope}
    try:
        return download[place](name, wanted)
    except (ImportError, FinesightError):
        raise
    except Exception as error:  # both libraries raise whatever their HTTP client does
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise MissingWeights(f"{place}: {said}") from error


def _from_huggingface(name: str, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:  # no request at all for a model that is complete in the cache
        folder = Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        if _is_complete(folder, needs_weights=wanted is _WANTED_FILES):
            return folder
    except LocalEntryNotFoundError:
        folder = None  # nothing of it is here
    return Path(snapshot_download(name, allow_patterns=wanted))


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
    except ValueError as error:
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

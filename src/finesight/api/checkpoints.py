# SPDX-License-Identifier: Apache-2.0
"""Find the checkpoint folder of a model name, and read its generation defaults.

A name is an embedded model ("small", "tiny"), a folder, a GGUF file, a name in Ollama's store, or a published name such
as `Qwen/Qwen2.5-VL-3B-Instruct`. Only a published name may use the network, and only if the model is
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
from typing import Any, get_args

from finesight.api.mistaken import file_mistake, is_language_gguf, name_mistake
from finesight.checkpoints.hub import Hub, cached_folder_of, from_hub, library_of
from finesight.config.folder import check_folder
from finesight.config.published import end_tokens
from finesight.config.sizes import RELEASE_NAMES
from finesight.conversation import Sampling
from finesight.errors import ConfigError, MissingWeights

EMBEDDED = "tiny"
"""Name of the embedded model that is part of the package with all its weights."""

SMALL = "small"
"""Name of the embedded model whose text decoder comes from another package (`finesight.checkpoints.small`)."""

ASSETS = Path(__file__).parents[1] / "assets"

TRAINED_FOR_FILE = "trained_for.txt"
"""File beside the weights that states in a sentence or two what the model was trained for and what not."""

_PUBLISHED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

_REVISION = re.compile(r"(?!\.)(?!.*\.\.)[\w./-]{1,200}")

_SIZE = re.compile(r"(?<!\d)(\d+b)(?![a-z0-9])")

_HUB_PREFIXES: dict[str, Hub] = {"hf:": "huggingface", "ms:": "modelscope"}

_SHOWN_LETTERS = 160
"""Largest number of characters of a wrong name in an error."""


def find_checkpoint(
    name: str | Path,
    *,
    hub: Hub | None = None,
    needs_weights: bool = True,
    mmproj: str | Path | None = None,
) -> Path:
    """Find the folder of a model.

    Args:
        name: "small", "tiny", a folder, a GGUF file, a name in Ollama's store such as "qwen2.5vl:7b", or a published
            name; `hf:NAME@REVISION` and `ms:NAME@REVISION` choose a hub and a revision.
        hub: source of a published name; None tries Hugging Face, then ModelScope, if their libraries are installed.
        needs_weights: False if configuration and tokenizer are enough; then no weights are downloaded.
        mmproj: GGUF file of the vision tower; None takes the one beside the language model.

    Raises:
        MissingWeights: there is no such model, or it is not complete.
        ConfigError: the name or the folder is of another kind: an adapter, a picture, another family.
        WeightsError: a file is broken.
    """
    if hub is not None and hub not in get_args(Hub):
        raise ConfigError(f"hub is {hub!r}", hint=f"give {' or '.join(get_args(Hub))}")
    if not isinstance(name, str | Path) or not str(name):
        raise ConfigError(
            f"model is {name!r}", hint=f'give "{EMBEDDED}", a folder or a published name'
        )
    if name == EMBEDDED:
        _refuse_others(hub, mmproj, f"the embedded model {EMBEDDED!r}")
        return _embedded(needs_weights=needs_weights)
    if name == SMALL:
        _refuse_others(hub, mmproj, f"the embedded model {SMALL!r}")
        return _small()
    path = _local_path(name)
    if path is not None:
        return _local(path, hub, mmproj, needs_weights=needs_weights)
    if isinstance(name, str):
        return _named(name, hub, mmproj, needs_weights=needs_weights)
    raise _no_folder(name)


def _local(path: Path, hub: Hub | None, mmproj: str | Path | None, *, needs_weights: bool) -> Path:
    """The folder of a model on this disk: itself, or the one that is made of GGUF files."""
    model = _gguf_model_in(path)
    if model is None:
        _refuse_others(hub, mmproj, f"the folder {str(path)!r}")
        check_folder(path, needs_weights=needs_weights)
        return path
    _refuse_others(hub, None, f"the file {str(model)!r}")
    from finesight.checkpoints.gguf_model import GgufSource, assembled_gguf

    tower = None if mmproj is None else Path(mmproj).expanduser()
    if tower is not None and not tower.is_file():
        raise MissingWeights(
            f"mmproj is {tower}, which is no file", hint="give the GGUF file of the vision tower"
        )
    return assembled_gguf(GgufSource(model, tower, str(model)))


def _gguf_model_in(path: Path) -> Path | None:
    """A GGUF file, or the only one of a folder without a checkpoint; None if it is an ordinary folder.

    Raises:
        ConfigError: the folder has several.
    """
    if path.is_file():
        return path
    if (path / "config.json").is_file():
        return None
    found = sorted(each for each in path.glob("*.gguf") if "mmproj" not in each.name.lower())
    if len(found) > 1:
        raise ConfigError(
            f"folder {path} holds {len(found)} GGUF files: {', '.join(each.name for each in found[:5])}",
            hint=f"choose one: {found[0]}",
        )
    return found[0] if found else None


def _named(name: str, hub: Hub | None, mmproj: str | Path | None, *, needs_weights: bool) -> Path:
    """The folder of a model by a name that is no path."""
    from finesight.checkpoints import ollama

    for prefix, place in _HUB_PREFIXES.items():
        if name.startswith(prefix):
            if hub not in (None, place):
                raise ConfigError(f"hub={hub!r} contradicts {name}", hint="leave hub out")
            _refuse_others(None, mmproj, name)
            return _of_hub(name, place, needs_weights=needs_weights)
    wanted = name.removeprefix(ollama.PREFIX)
    if ":" in name or "/" not in name:
        source = ollama.find_in_store(wanted) if hub is None else None
        if source is not None:
            from finesight.checkpoints.gguf_model import assembled_gguf

            _refuse_others(None, mmproj, name)
            return assembled_gguf(source)
        if wanted != name:
            raise ollama.not_found(wanted)
    if name.lower().endswith(".gguf"):
        raise MissingWeights(f"there is no file {name!r}", hint="check the path")
    mistake = name_mistake(name)
    if mistake is not None:
        raise mistake
    if _PUBLISHED_NAME.fullmatch(name) and not name.startswith("."):
        _refuse_others(None, mmproj, name)
        return _published(name, hub, None, needs_weights=needs_weights)
    raise _no_folder(name)


def _of_hub(given: str, hub: Hub, *, needs_weights: bool) -> Path:
    """The folder of `hf:NAME[@REVISION]` or `ms:NAME[@REVISION]`."""
    name, at, revision = given[3:].partition("@")
    if not _PUBLISHED_NAME.fullmatch(name) or name.startswith(".") or (at and not revision):
        raise ConfigError(
            f"model {given} is not of the form {given[:3]}OWNER/NAME or {given[:3]}OWNER/NAME@REVISION",
            hint=f"such as {given[:3]}{RELEASE_NAMES['3b']}",
        )
    if at and not _REVISION.fullmatch(revision):
        raise ConfigError(
            f"the revision {revision[:_SHOWN_LETTERS]!r} can be no branch, tag or commit"
        )
    return _published(name, hub, revision or None, needs_weights=needs_weights)


def _no_folder(name: str | Path) -> MissingWeights:
    meant = f"did you mean {near}? Else " if (near := _nearest(str(name))) else ""
    return MissingWeights(
        f"there is no model folder {str(name)!r}",
        hint=f'{meant}give "{EMBEDDED}", a folder, or a name such as Qwen/Qwen2.5-VL-3B-Instruct',
    )


def _refuse_others(hub: Hub | None, mmproj: str | Path | None, what: str) -> None:
    """Raise `ConfigError` if a hub or a vision tower is given for a model that has no use for it."""
    if hub is not None:
        raise ConfigError(
            f"hub={hub!r} has no effect on {what}",
            hint="leave hub out, or give a published name such as Qwen/Qwen2.5-VL-3B-Instruct",
        )
    if mmproj is not None:
        raise ConfigError(
            f"mmproj {mmproj} has no effect on {what}",
            hint="leave it out, or give the GGUF file of the language model",
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
    return cached_folder_of(name)


def _local_path(name: str | Path) -> Path | None:
    """The local folder or GGUF file of that name; None if there is no such path."""
    try:
        path = Path(name).expanduser()
        if path.is_dir() or (path.is_file() and is_language_gguf(path)):
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


def _published(name: str, hub: Hub | None, revision: str | None, *, needs_weights: bool) -> Path:
    """Folder of a published model, downloaded if it is not cached."""
    order: tuple[Hub, ...] = (hub,) if hub else get_args(Hub)
    failed: list[MissingWeights] = []
    for place in order:
        try:
            return from_hub(place, name, revision=revision, needs_weights=needs_weights)
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
    library = " or ".join(library_of(place) for place in order)
    raise MissingWeights(
        f"{name} is not a local folder, and {library}, which downloads it, is not installed",
        hint=f"{meant}pip install {library}, or give a folder",
    )


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

    `do_sample: false` (transformers' default) means temperature 0. With `do_sample: true` a missing temperature is 1:
    transformers does not write values that are its defaults.

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
    found.setdefault("temperature", 1.0)
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

# SPDX-License-Identifier: Apache-2.0
"""Finds a model in the store of Ollama on this disk.

::

    $OLLAMA_MODELS or ~/.ollama/models
        manifests/registry.ollama.ai/library/qwen2.5vl/7b    JSON: the layers of a model
        blobs/sha256-...                                      their contents

Source: Ollama's `types/model/name.go` (names), `manifest/` (files), `server/create.go` (kinds of layers).
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.checkpoints.gguf_model import GgufSource
from finesight.errors import ConfigError, MissingWeights, WeightsError

__all__ = ["PREFIX", "find_in_store", "not_found", "store_folder"]

PREFIX = "ollama:"
"""Before a name that is meant as one of Ollama."""

_PART = r"[A-Za-z0-9_][\w.-]{0,79}"
_NAME = re.compile(
    rf"(?:(?:(?P<host>[A-Za-z0-9_][\w.:-]{{0,349}})/)?(?P<namespace>[A-Za-z0-9_][\w.-]{{0,79}})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?",
    re.ASCII,
)
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")

_KIND = "application/vnd.ollama.image."
_MOST_MANIFEST_BYTES = 2**20
_MOST_TEXT_BYTES = 2**20

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "num_predict": "max_new_tokens",
}
"""Ollama's parameters, and the names of generation_config.json."""


def store_folder() -> Path:
    """The folder of Ollama's models."""
    given = os.environ.get("OLLAMA_MODELS")  # noqa: TID251  # Ollama's own setting
    return Path(given).expanduser() if given else Path.home() / ".ollama" / "models"


def find_in_store(name: str, store: Path | None = None) -> GgufSource | None:
    """The files of a model.

    Args:
        name: as `ollama run` takes it, such as `qwen2.5vl:7b`.
        store: the store; None takes the user's.

    Returns:
        None if the store has no model of that name, or it can be no name.

    Raises:
        ConfigError: the model has a part that is not read, such as an adapter.
        WeightsError: the manifest or a blob is broken.
    """
    store = store or store_folder()
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    path = store / "manifests"
    path /= found["host"] or "registry.ollama.ai"
    path = path / (found["namespace"] or "library") / found["model"] / (found["tag"] or "latest")
    if not path.is_file():
        return None
    return _source(name, _read_manifest(path), path, store)


def not_found(name: str) -> MissingWeights:
    """The error for a name that the store does not have."""
    store = store_folder()
    there = sorted(
        f"{path.parent.name}:{path.name}"
        for path in (store / "manifests" / "registry.ollama.ai" / "library").glob("*/*")
    )
    has = f"it has {', '.join(there[:5])}" if there else "it is empty or not there"
    return MissingWeights(
        f"Ollama's store {store} has no model {name}; {has}",
        hint=f"ollama pull {name}, or set OLLAMA_MODELS to the folder of the store",
    )


def _read_manifest(path: Path) -> list[dict[str, Any]]:
    """The layers of a model."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_MANIFEST_BYTES + 1)
        layers = json.loads(content)["layers"] if len(content) <= _MOST_MANIFEST_BYTES else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        layers = None
    if not isinstance(layers, list) or not all(isinstance(each, dict) for each in layers):
        raise WeightsError(
            f"{path} is no manifest of Ollama", hint="pull the model again with ollama pull"
        )
    return layers


def _source(name: str, layers: list[dict[str, Any]], path: Path, store: Path) -> GgufSource:
    blobs: dict[str, list[Path]] = {}
    digests: dict[Path, str] = {}
    for layer in layers:
        kind = str(layer.get("mediaType")).removeprefix(_KIND)
        blob, digest = _blob(layer, path, store)
        blobs.setdefault(kind, []).append(blob)
        if kind in ("model", "projector"):
            digests[blob] = digest
    if "adapter" in blobs:
        raise ConfigError(
            f"{name} has a LoRA adapter in GGUF, which is not read",
            hint="give its base model and the adapter in the format of peft: --adapter FOLDER",
        )
    models, projectors = blobs.get("model", []), blobs.get("projector", [])
    if len(models) != 1 or len(projectors) > 1:
        raise ConfigError(
            f"{name} in {store} has {len(models)} model files and {len(projectors)} vision towers, expected one each",
            hint="models of safetensors or of other libraries in the store are not read",
        )
    if "system" in blobs or "messages" in blobs:
        warnings.warn(
            f"the system message and example turns that {name} has in Ollama are not used; give --system",
            stacklevel=4,
        )
    return GgufSource(
        models[0],
        projectors[0] if projectors else None,
        f"{name} of Ollama",
        digests,
        _generation(name, blobs.get("params", [])),
        "\n".join(_text(each) for each in blobs.get("license", [])),
    )


def _blob(layer: Mapping[str, Any], path: Path, store: Path) -> tuple[Path, str]:
    """File and SHA-256 of a layer; the digest is checked so that a manifest names no other file."""
    found = _DIGEST.fullmatch(str(layer.get("digest")))
    if found is None:
        raise WeightsError(
            f"{path} names the blob {str(layer.get('digest'))[:100]!r}, which is no SHA-256",
            hint="pull the model again with ollama pull",
        )
    blob = store / "blobs" / f"sha256-{found[1]}"
    size = blob.stat().st_size if blob.is_file() else None
    if size is None or size != layer.get("size"):
        state = "is missing" if size is None else f"has {size} bytes"
        raise WeightsError(
            f"{blob} {state}, the manifest says {layer.get('size')} bytes",
            hint="pull the model again with ollama pull",
        )
    return blob, found[1]


def _generation(name: str, found: list[Path]) -> dict[str, Any]:
    """Values for generation_config.json from Ollama's parameters."""
    values: dict[str, Any] = {}
    for path in found:
        try:
            content: dict[str, Any] = dict(json.loads(_text(path)).items())
            values |= {_PARAMETERS[key]: content[key] for key in _PARAMETERS if key in content}
        except (ValueError, AttributeError, RecursionError) as error:
            raise WeightsError(
                f"the parameters of {name} in {path} are no JSON object: {error}",
                hint="pull the model again with ollama pull",
            ) from error
    limit = values.get("max_new_tokens")
    if isinstance(limit, int) and limit < 1:  # Ollama's "no limit"
        del values["max_new_tokens"]
    temperature = values.get("temperature")
    return {**values, "do_sample": bool(temperature)} if values else {}


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_TEXT_BYTES).decode("utf-8", errors="replace")

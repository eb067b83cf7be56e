# SPDX-License-Identifier: Apache-2.0
"""Who may import what, as data, and the functions that name each break of it.

::

    cli, interop, api, doctor
     └▶ train │ server │ evals │ apps             siblings, but train ▶ data, server ▶ engine, apps
          └▶ data ▶ engine ▶ checkpoints          a decoder writes conversations to learn from
               └▶ processor │ model │ remote │ present │ screen    processor and model meet only in batch
                    └▶ media │ text │ parse │ browser │ kernels    siblings
                         └▶ config ▶ batch, responder ▶ conversation, attention_plan, elements
                              └▶ geometry, sampling ▶ inputs, threads, files ▶ errors

An import inside a function counts like any other; so does one for types alone, where it names a
layer of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from tests.architecture.source import PACKAGE, Import, Module, layer_of

LEVELS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("inputs", "threads", "files"),
    ("geometry", "sampling"),
    ("conversation", "attention_plan", "elements"),
    ("batch", "responder"),
    ("config",),
    ("media", "text", "parse", "browser", "kernels"),
    ("processor", "model", "remote", "present", "screen"),
    ("checkpoints",),
    ("engine",),
    ("data",),
    ("apps",),
    ("train", "server", "evals"),
    ("doctor", "api"),
    ("cli", "interop"),
    ("__main__",),
)
"""Lowest first; a layer may import every layer below its own level, less `REFUSED`."""

REFUSED: dict[str, frozenset[str]] = {
    "config": frozenset({"batch"}),  # batch needs torch, configuration must not
    "train": frozenset({"engine", "apps"}),  # evaluation during training is handed in as a callable
    "server": frozenset({"data"}),
    "evals": frozenset(
        {"engine", "data", "model", "apps"}
    ),  # a model is reached through `Responder`
    "apps": frozenset({"engine", "data", "model"}),
    "data.builders": frozenset({"model"}),
}

TORCH_FREE = (
    *(
        "errors",
        "inputs",
        "files",
        "geometry",
        "elements",
        "sampling",
        "threads",
        "conversation",
        "responder",
        "config",
        "parse",
        "media",
        "remote",
        "present",
        "browser",
        "screen",
    ),
    *("apps", "evals.metrics", "cli", ""),
)
"""Layers that start without torch; `""` is the package. `cli` may import what needs it, lazily."""

EXTERNAL_REFUSED: dict[str, frozenset[str]] = {
    "model": frozenset({"PIL", "numpy", "tokenizers", "av", "pypdfium2"}),
    "parse": frozenset({"numpy", "PIL"}),
}
NOWHERE = frozenset({"torchvision", "qwen_vl_utils", "dashscope", "tiktoken", "pytest"})
"""Oracles of the tests; the package never needs them."""
ONLY_LAZILY_IN_DOCTOR = "transformers"
FILE_MODULES = frozenset({"pathlib", "safetensors", "json", "mmap", "os", "shutil", "io", "struct"})
"""Modules for file access; in the layer `model` only `MODEL_FILES` may import them."""

MODEL_FILES = frozenset({"finesight.model.shards", "finesight.model.weights"})


def allowed(layer: str) -> frozenset[str]:
    """Layers that `layer` may import besides itself."""
    below: set[str] = set()
    for level in LEVELS:
        if layer in level:
            return frozenset(below - REFUSED.get(layer, frozenset()))
        below.update(level)
    raise ValueError(f"the layer {layer!r} has no place in LEVELS")


def inner_targets(found: Import, known: frozenset[str]) -> Iterator[str]:
    """Modules of ours that an import names: `from finesight.text import tokenizer` names two."""
    if found.module.split(".")[0] != PACKAGE:
        return
    submodules = [f"{found.module}.{name}" for name in found.names]
    hits = [name for name in submodules if name in known]
    yield from hits
    if not found.names or len(hits) < len(found.names):
        yield found.module


def layer_breaks(modules: Sequence[Module]) -> list[str]:
    """Imports that point upward or sideways, and layers that no level names."""
    known = frozenset(module.name for module in modules)
    levelled = {layer for level in LEVELS for layer in level}
    breaks = []
    for module in modules:
        if module.layer and module.layer not in levelled:
            breaks.append(f"{module.path}: the layer {module.layer!r} has no place in LEVELS")
            continue
        for found in module.imports:
            for target in inner_targets(found, known):
                breaks.extend(_break(module, found, target))
    return breaks


def _break(module: Module, found: Import, target: str) -> Iterator[str]:
    if not module.layer:  # the package itself hands out names of every layer, lazily
        if not found.lazy and not found.typing_only:
            yield f"{module.path}:{found.line}: the package must import {target} lazily"
        return
    layer = layer_of(target)
    if not layer:
        yield f"{module.path}:{found.line}: imports the package itself instead of a layer"
        return
    inner = ".".join(module.name.split(".")[1:3])
    refused = REFUSED.get(inner, frozenset())
    if layer != module.layer and (layer not in allowed(module.layer) or layer in refused):
        yield f"{module.path}:{found.line}: {inner or module.layer} must not import {target}"


def external_breaks(modules: Sequence[Module]) -> list[str]:
    """Third-party and standard modules in layers that must do without them."""
    return [
        f"{module.path}:{found.line}: {reason}"
        for module in modules
        for found in module.imports
        if not found.typing_only and (reason := _external_reason(module, found))
    ]


def _external_reason(module: Module, found: Import) -> str:
    top = found.module.split(".")[0]
    if top in NOWHERE:
        return f"{top} is an oracle of the tests"
    if top == ONLY_LAZILY_IN_DOCTOR and not (module.layer == "doctor" and found.lazy):
        return f"{top} may be imported only inside functions of doctor"
    if top in EXTERNAL_REFUSED.get(module.layer, frozenset()):
        return f"{module.layer} must not import {top}"
    if top == "torch" and is_torch_free(module.name) and module.layer not in ("cli", ""):
        return f"{module.layer} must not import torch, not even lazily"
    if top == "torch" and module.layer in ("cli", "") and not found.lazy:
        return "the door must not import torch before it knows the command"
    if module.layer == "model" and top in FILE_MODULES and module.name not in MODEL_FILES:
        return f"only weights.py and shards.py of model use files; {top} is imported here"
    return ""


def is_torch_free(name: str) -> bool:
    """Whether importing this module alone must leave torch out."""
    inner = ".".join(name.split(".")[1:])
    return any(inner == layer or (layer and inner.startswith(f"{layer}.")) for layer in TORCH_FREE)


def cycle(modules: Sequence[Module]) -> str:
    """Modules that import each other in a circle, lazily or not; empty if there is no circle."""
    try:
        in_order(modules)
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def in_order(modules: Sequence[Module]) -> list[str]:
    """Names of the modules, each after those it imports.

    Raises:
        CycleError: there is no such order.
    """
    known = frozenset(module.name for module in modules)
    graph = {
        module.name: {
            target
            for found in module.imports
            if not found.typing_only and module.layer  # the package itself imports lazily
            for target in inner_targets(found, known)
            if target in known and target != module.name
        }
        for module in modules
    }
    return list(TopologicalSorter(graph).static_order())


def external_modules(modules: Sequence[Module]) -> list[str]:
    """Third-party modules imported when the package is, exactly as they are spelled."""
    return sorted(
        {
            found.module
            for module in modules
            for found in module.imports
            if not found.lazy
            and not found.typing_only
            and found.module.split(".")[0] not in (PACKAGE, "__future__", *sys.stdlib_module_names)
        }
    )

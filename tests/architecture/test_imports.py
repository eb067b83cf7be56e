# SPDX-License-Identifier: Apache-2.0
"""Imports go one way; each rule is also shown a sample that breaks it."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest

from tests.architecture import layers
from tests.architecture.source import Module, modules


def test_every_import_points_downward():
    assert layers.layer_breaks(modules()) == []


def test_no_module_imports_what_its_layer_must_do_without():
    assert layers.external_breaks(modules()) == []


def test_no_modules_import_each_other():
    assert layers.cycle(modules()) == ""


def package_of_evals(name: str) -> str:
    """`finesight.evals.core` of `finesight.evals.core.task`; empty outside evals."""
    parts = name.split(".")
    return ".".join(parts[:3]) if parts[1:2] == ["evals"] and len(parts) > 3 else ""


def test_no_packages_of_evals_import_each_other():
    known = frozenset(module.name for module in modules())
    graph: dict[str, set[str]] = {}
    for module in modules():
        targets = [each for found in module.imports for each in layers.inner_targets(found, known)]
        graph.setdefault(package_of_evals(module.name), set()).update(
            map(package_of_evals, targets)
        )
    edges = {one: others - {one, ""} for one, others in graph.items() if one}
    assert "finesight.evals.core" in edges["finesight.evals.live"]
    TopologicalSorter(edges).prepare()  # raises CycleError


def test_the_whole_package_was_read():
    names = {module.name for module in modules()}
    assert {"finesight", "finesight.batch", "finesight.config.model"} <= names


BAD_DIRECTION = {
    "upward": ("finesight.geometry", "from finesight.batch import pack"),
    "upward, inside a function": ("finesight.text.a", "def f():\n    import finesight.processor"),
    "upward, for types alone": (
        "finesight.config.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import finesight.media.image",
    ),
    "sideways": ("finesight.model.vision", "from finesight.processor.windows import window_order"),
    "sideways, at the top": ("finesight.evals.core.run", "from finesight.train import loop"),
    "configuration needs no tensors": ("finesight.config.a", "import finesight.batch"),
    "apps reach a model through Responder": ("finesight.apps.a", "import finesight.engine.engine"),
    "builders reach a model through Responder": (
        "finesight.data.builders.a",
        "from finesight.model import vl",
    ),
    "training is handed its evaluation": ("finesight.train.loop", "import finesight.engine"),
    "the package as a shortcut": ("finesight.engine.a", "import finesight"),
    "unknown layer": ("finesight.helpers.a", "import re"),
    "eager package": ("finesight", "from finesight.api import load"),
}


@pytest.mark.parametrize(("name", "text"), BAD_DIRECTION.values(), ids=BAD_DIRECTION)
def test_a_wrong_arrow_is_named(name, text):
    sample = [Module.parse(name, text), *modules()]
    found = layers.layer_breaks(sample)
    assert len(found) == len(layers.layer_breaks(modules())) + 1
    assert any(name.replace(".", "/") in line for line in found)


BAD_EXTERNAL = {
    "torch in configuration": ("finesight.config.a", "import torch"),
    "torch in parse, lazily": ("finesight.parse.a", "def f():\n    from torch import nn"),
    "torch in the door, eagerly": ("finesight.cli.main", "import torch"),
    "numpy in the network": ("finesight.model.a", "import numpy as np"),
    "files in the network": ("finesight.model.vl", "from pathlib import Path"),
    "oracle in the package": ("finesight.processor.a", "def f():\n    import qwen_vl_utils"),
    "reference outside doctor": ("finesight.engine.a", "def f():\n    import transformers"),
    "reference at import": ("finesight.doctor.a", "from transformers import AutoModel"),
}


@pytest.mark.parametrize(("name", "text"), BAD_EXTERNAL.values(), ids=BAD_EXTERNAL)
def test_a_refused_library_is_named(name, text):
    assert len(layers.external_breaks([Module.parse(name, text)])) == 1


FINE = {
    "downward": ("finesight.processor.a", "from finesight.media.image import load_image"),
    "training reads data": ("finesight.train.a", "from finesight.data import mixture"),
    "reference, lazily in doctor": ("finesight.doctor.a", "def f():\n    import transformers"),
    "torch, lazily in the door": ("finesight.cli.a", "def f():\n    import torch"),
    "torch for types": (
        "finesight.config.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor",
    ),
    "files in weights": ("finesight.model.weights", "from pathlib import Path"),
}


@pytest.mark.parametrize(("name", "text"), FINE.values(), ids=FINE)
def test_a_right_arrow_passes(name, text):
    sample = [Module.parse(name, text)]
    assert layers.layer_breaks(sample) == []
    assert layers.external_breaks(sample) == []


def test_two_modules_that_import_each_other_are_named():
    first = Module.parse("finesight.text.a", "def f():\n    from finesight.text import b")
    second = Module.parse("finesight.text.b", "import finesight.text.a")
    found = layers.cycle([first, second]).split(" -> ")
    assert set(found) == {"finesight.text.a", "finesight.text.b"}

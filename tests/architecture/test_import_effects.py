# SPDX-License-Identifier: Apache-2.0
"""Importing does nothing but define."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.architecture import layers
from tests.architecture.source import ROOT, modules

PROBE = Path(__file__).with_name("import_probe.py")
HEAVY = ["torch", "transformers", "torchvision"]
TRITON_MODULE = "finesight.kernels.triton_kernels"
"""Needs Triton, which exists for Linux on x86-64 only; imported when a tensor on CUDA needs it."""


def run_probe(groups, *, preload=(), heavy=(), path=ROOT / "src"):
    order = {"preload": list(preload), "groups": groups, "heavy": list(heavy)}
    done = subprocess.run(
        [sys.executable, str(PROBE)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


def test_importing_has_no_effect():
    """Libraries first, then each module after those it needs, so that only its own doing is seen."""
    found = [each for each in modules() if each.name != TRITON_MODULE or find_spec("triton")]
    order = [name for name in layers.in_order(modules()) if name in {each.name for each in found}]
    effects = run_probe([order], preload=layers.external_modules(found))
    assert set(effects) == {module.name for module in found}
    assert {name: found for name, found in effects.items() if found} == {}


def test_the_light_layers_bring_no_torch():
    """Nothing first: what all of them together bring along."""
    order = [name for name in layers.in_order(modules()) if layers.is_torch_free(name)]
    effects = run_probe([order], heavy=HEAVY)
    assert set(effects) == set(order)
    bad = {
        name: [each for each in found if each.startswith(("loads", "cannot"))]
        for name, found in effects.items()
    }
    assert {name: found for name, found in bad.items() if found} == {}


BAD = {
    "prints": ("print('hello')", "prints 'hello"),
    "environment": ("import os\nos.environ['A_NEW_NAME'] = '1'", "changes the environment"),
    "sys.path": ("import sys\nsys.path.append('x')", "changes the sys.path"),
    "seed": ("import random\nrandom.seed(0)", "changes the random state"),
    "reads": ("from pathlib import Path\nPath(__file__ + '.txt').read_text()", "opens "),
    "thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()",
        "changes the threads",
    ),
    "logging": ("import logging\nlogging.basicConfig()", "changes the root logger"),
    "process": ("import subprocess\nsubprocess.run(['true'])", "subprocess.Popen"),
    "broken": ("import a_module_that_is_nowhere", "cannot be imported"),
    "leaves": ("import os\nos._exit(3)", "ends the process"),
    "brings": ("import colorsys", "loads colorsys"),
}


@pytest.fixture(scope="module")
def bad_effects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for number, (text, _) in enumerate(BAD.values()):
        (folder / f"bad_{number}.py").write_text(text)
        (folder / f"bad_{number}.py.txt").write_text("data")
    (folder / "quiet.py").write_text("VALUE = 1\n")
    groups = [[f"bad_{number}"] for number in range(len(BAD))]
    return run_probe([*groups, ["quiet"]], heavy=["colorsys"], path=folder)


@pytest.mark.parametrize("number", range(len(BAD)), ids=BAD)
def test_the_probe_sees(bad_effects, number):
    expected = list(BAD.values())[number][1]
    assert any(effect.startswith(expected) for effect in bad_effects[f"bad_{number}"])


def test_the_probe_says_nothing_of_a_quiet_module(bad_effects):
    assert bad_effects["quiet"] == []

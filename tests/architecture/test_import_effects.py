# SPDX-License-Identifier: Apache-2.0
"""Importing does nothing but define: every module alone, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import layers
from tests.architecture.source import ROOT, modules

PROBE = Path(__file__).with_name("import_probe.py")
HEAVY = ["torch", "transformers", "torchvision"]
NAMES = [module.name for module in modules()]
TORCH_FREE = [name for name in NAMES if layers.is_torch_free(name)]


def run_probe(names, *, preload=(), heavy=(), path=ROOT / "src"):
    order = {"preload": list(preload), "modules": list(names), "heavy": list(heavy)}
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


@pytest.fixture(scope="module")
def effects():
    """Libraries first, so that only our own doing is seen."""
    return run_probe(NAMES, preload=layers.external_modules(modules()))


@pytest.fixture(scope="module")
def weight():
    """Nothing first: what the torch-free modules bring along."""
    return run_probe(TORCH_FREE, heavy=HEAVY)


@pytest.mark.parametrize("name", NAMES)
def test_importing_has_no_effect(effects, name):
    assert effects[name] == []


@pytest.mark.parametrize("name", TORCH_FREE)
def test_the_light_layers_bring_no_torch(weight, name):
    assert [effect for effect in weight[name] if effect.startswith(("loads", "cannot"))] == []


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
    "broken": ("import a_module_that_is_nowhere", "cannot be imported alone"),
    "leaves": ("import os\nos._exit(3)", "ends the process"),
}


@pytest.fixture(scope="module")
def bad_effects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for number, (text, _) in enumerate(BAD.values()):
        (folder / f"bad_{number}.py").write_text(text)
        (folder / f"bad_{number}.py.txt").write_text("data")
    (folder / "quiet.py").write_text("VALUE = 1\n")
    names = [f"bad_{number}" for number in range(len(BAD))]
    return run_probe([*names, "quiet"], heavy=["json"], path=folder)


@pytest.mark.parametrize("number", range(len(BAD)), ids=BAD)
def test_the_probe_sees(bad_effects, number):
    expected = list(BAD.values())[number][1]
    assert any(effect.startswith(expected) for effect in bad_effects[f"bad_{number}"])


def test_the_probe_says_nothing_of_a_quiet_module_but_what_was_loaded(bad_effects):
    assert bad_effects["quiet"] == ["loads json"]

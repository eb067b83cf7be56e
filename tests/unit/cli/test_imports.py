# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

_CODE = """
import gc, sys
from finesight.cli.imports import import_torch
{before}
import_torch()
first = gc.get_freeze_count()
print("torch" in sys.modules, first > 100_000, gc.isenabled())
import_torch()
print(gc.get_freeze_count() <= first)
"""


def run(before=""):
    done = subprocess.run(
        [sys.executable, "-c", _CODE.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_torch_is_no_part_of_garbage_collections():
    assert run() == ["True", "True", "True", "True"]


def test_collections_stay_off_for_who_has_switched_them_off():
    assert run("gc.disable()") == ["True", "True", "False", "True"]

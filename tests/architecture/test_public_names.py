# SPDX-License-Identifier: Apache-2.0
"""Public names are a promise: listed, importable, lazy.

`pytest --update-golden` writes the list anew; a name that goes missing breaks somebody's program.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import finesight
from tests.architecture.source import ROOT

GOLDEN = ROOT / "tests/golden/public_names.txt"


def test_the_list_of_public_names_is_as_promised(request):
    names = [name for name in finesight.__all__ if not name.startswith("__")]
    if request.config.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("\n".join(names) + "\n", encoding="utf-8")
    assert names == GOLDEN.read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", finesight.__all__)
def test_a_public_name_is_there_and_explained(name):
    value = getattr(finesight, name)
    if name.startswith("__"):
        assert isinstance(value, str)
    else:
        assert value.__doc__
        assert value.__doc__.strip()
    assert name in dir(finesight)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'finesight' has no attribute 'loads'"):
        _ = finesight.loads


def test_the_package_alone_brings_no_torch():
    code = "import sys, finesight; finesight.Box; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

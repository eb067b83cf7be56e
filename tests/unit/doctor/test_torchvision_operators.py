# SPDX-License-Identifier: Apache-2.0
"""torchvision beside a torch that it was not built for: imported plainly, and not before it is asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

from finesight.doctor import torchvision_operators

BROKEN = "import torch; torch.library.register_fake('torchvision::nms')(lambda a, b, c: a)\n"
"""What torchvision does at its import: fails where nobody has declared the operator."""

HOOK = "import torchvision_operators; torchvision_operators.declare_before_import(); import sys; "


def run(code, *folders):
    """Run Python without the path files of this environment but with these folders."""
    paths = [str(folder) for folder in folders]
    before = f"import sys; sys.path[:0] = {paths!r}; sys.path += {sys.path!r}; "
    return subprocess.run(
        [sys.executable, "-S", "-c", before + code], capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def folder(tmp_path):
    """A torchvision whose compiled part does not load, and the file that `make setup-test` copies."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(BROKEN)
    (tmp_path / "torchvision" / "_C.so").write_bytes(b"built for another torch")
    shutil.copy(torchvision_operators.__file__, tmp_path)
    return tmp_path


def test_without_the_operators_the_import_fails(folder):
    assert "operator torchvision::nms does not exist" in run("import torchvision", folder).stderr


def test_with_them_it_passes(folder):
    assert run(HOOK + "import torchvision", folder).stderr == ""
    assert run(HOOK + HOOK + "import torchvision", folder).stderr == ""


def test_nothing_heavy_is_loaded_before(folder):
    code = "print({'torch', 'pathlib', 'typing', 'finesight'} & set(sys.modules))"
    assert run(HOOK + code, folder).stdout == "set()\n"
    code = "from importlib.util import find_spec; find_spec('torchvision'); print('torch' in sys.modules)"
    assert run(HOOK + code, folder).stdout == "False\n"


def test_an_environment_without_torchvision_stays_one(folder):
    (folder / "torchvision").rename(folder / "other")
    code = (
        "sys.path[:] = [entry for entry in sys.path if 'site-packages' not in entry]; "
        "from importlib.util import find_spec; print(find_spec('torchvision'))"
    )
    assert run(HOOK + code, folder).stdout == "None\n"


@pytest.mark.parity
def test_transformers_is_imported_plainly_in_this_environment():
    """What `make setup-test` promises."""
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    names = ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor")
    code = f"import transformers; print([getattr(transformers, n).__name__ for n in {names}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == f"{list(names)}\n", done.stderr

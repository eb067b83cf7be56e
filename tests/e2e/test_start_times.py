# SPDX-License-Identifier: Apache-2.0
"""What a cold start must not pay for; how long it takes is measured by `python -m benchmarks start`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from finesight.checkpoints.packed import write_packed


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_picture_question_loads_no_compiler(picture_file, tiny_model_folder, tmp_path, is_packed):
    model = tmp_path / "packed" if is_packed else tiny_model_folder
    if is_packed:
        write_packed(tiny_model_folder, "int8", model)
    probe = (
        "import sys; from finesight.cli.main import main; main(sys.argv[1:]); "
        "heavy = {'torch._dynamo', 'matplotlib', 'transformers', 'jinja2', 'torchvision'}; "
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    words = ("ask", "What?", "--image", str(picture_file), "--model", str(model))
    done = subprocess.run(
        [sys.executable, "-c", probe, *words, "--max-new-tokens", "2"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "tokens/s" in done.stderr
    assert done.stdout.endswith("loaded: []\n")


def test_the_package_is_a_command():
    command = [sys.executable, "-m", "finesight", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()[0]) == (0, "finesight"), done.stderr

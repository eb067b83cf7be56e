# SPDX-License-Identifier: Apache-2.0
"""How fast help and a first answer come, against bare Python and `import torch`, in turns.

Shared machines speak in ratios: each round measures all four, one after the other, and the median
of the rounds' ratios counts.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time

import pytest

from finesight.api.checkpoints import ASSETS, EMBEDDED

ROUNDS = 7
RUN = "import sys; from finesight.cli.main import main; sys.exit(main(sys.argv[1:]))"


def seconds(code: str, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, timeout=600
    )
    return time.perf_counter() - start


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> str:
    """The embedded model, or random weights in its shape where this copy has none."""
    folder = ASSETS / EMBEDDED
    if any(folder.glob("*.safetensors")):
        return EMBEDDED
    import torch

    from finesight.config.model import ModelConfig
    from finesight.model.init import init_weights
    from finesight.model.vl import VisionLanguageModel
    from finesight.model.weights import save_model

    copy = tmp_path_factory.mktemp("shape") / EMBEDDED
    shutil.copytree(folder, copy)
    config = ModelConfig.from_hf(json.loads((copy / "config.json").read_text()))
    network = VisionLanguageModel(config)
    init_weights(network, seed=0)
    save_model(network.to(torch.bfloat16), copy)
    return str(copy)


@pytest.mark.bench
def test_help_and_first_answer(embedded, picture_file, capsys):
    question = ("ask", "What is this?", "--image", str(picture_file), "--model", embedded)
    helps, answers = [], []
    seconds("import torch")  # the first one reads the files from disk
    for _ in range(ROUNDS):
        helps.append(seconds(RUN, "--help") / seconds("pass"))
        answer = seconds(RUN, *question, "--max-new-tokens", "16")
        answers.append(answer / seconds("import torch"))
    help_ratio, answer_ratio = statistics.median(helps), statistics.median(answers)
    with capsys.disabled():
        sys.stdout.write(
            f"\n--help: {help_ratio:.2f} x a bare Python start (bar 5)\n"
            f"cold ask, one picture: {answer_ratio:.2f} x import torch (bar 3)\n"
        )
    assert help_ratio <= 5
    assert answer_ratio <= 3


def test_a_picture_question_loads_no_compiler(picture_file, tiny_model_folder):
    """What a cold start must not pay for."""
    probe = (
        "import sys; from finesight.cli.main import main; main(sys.argv[1:]); "
        "heavy = {'torch._dynamo', 'matplotlib', 'transformers', 'jinja2', 'torchvision'}; "
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    words = ("ask", "What?", "--image", str(picture_file), "--model", str(tiny_model_folder))
    done = subprocess.run(
        [sys.executable, "-c", probe, *words, "--max-new-tokens", "2"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "tokens/s" in done.stderr
    assert done.stdout.endswith("loaded: []\n")

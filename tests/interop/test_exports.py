# SPDX-License-Identifier: Apache-2.0
"""Other programs answer with what `finesight export` writes of the embedded model as we do.

`make interop` builds llama.cpp in `.llama` and installs vLLM in `.venv-vllm`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finesight.api.checkpoints import find_checkpoint
from finesight.cli.main import main
from tests.interop.llama_server import (
    FRAMES_PER_SECOND,
    MOST_TOKENS,
    SERVER,
    Agreement,
    Question,
    agreement,
    drawn_questions,
    drawn_videos,
    llama_server,
    written,
)
from tests.support.adapter_folders import write_adapter

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]

VLLM = ROOT / ".venv-vllm/bin/python"

ANSWER_TOKENS = 48

TRAINED_TOKENS = 128
"""Visual tokens of the embedded model's largest pictures; vLLM scales larger ones down."""

PAD = {
    True: "<|vision_start|><|image_pad|><|vision_end|>",
    False: "<|vision_start|><|video_pad|><|vision_end|>",
}
"""A medium in a prompt, by whether it is a picture."""


def export(*words: object) -> None:
    assert main(["export", *map(str, words)]) == 0


def with_llama(folder: Path, count: int, *words: str) -> Agreement:
    """Agreement of llama.cpp with our model on drawn pictures."""
    if not SERVER.exists():
        pytest.skip(f"no {SERVER}: run scripts/llama-cpp.sh with an interpreter")
    export("tiny", folder / "out", "--to", "gguf", *words)
    (language,), (vision,) = ((folder / "out").glob(name) for name in ("model-*", "mmproj-*"))
    questions = drawn_questions(count)
    with llama_server(language, vision, folder / "server.log") as server:
        answers = [server.tokens(question, ANSWER_TOKENS) for question in questions]
    found = agreement(find_checkpoint("tiny"), questions, answers, ANSWER_TOKENS)
    sys.stdout.write(f"llama.cpp, {' '.join(words) or 'f16'}: {found}\n")
    return found


def test_pictures_are_of_all_sizes():
    tokens = [each.picture.width * each.picture.height // 784 for each in drawn_questions(50)]
    assert min(tokens) == 16
    assert 900 < max(tokens) <= MOST_TOKENS


def test_llama_cpp_answers_as_we_do_with_f16(tmp_path):
    found = with_llama(tmp_path, 50)
    assert found.same_positions >= 0.99 * found.positions
    assert found.same_answers >= 0.9 * found.answers


def test_llama_cpp_is_close_with_bf16_and_8_bits(tmp_path):
    """Rounding to 8 bits, or activations to bfloat16, changes some tokens; a wrong tensor would change most."""
    for weights in ("bf16", "q8_0"):
        found = with_llama(tmp_path / weights, 20, "--weights", weights)
        assert found.same_positions >= 0.95 * found.positions


def test_llama_cpp_reads_4_bits(tmp_path):
    found = with_llama(tmp_path, 20, "--weights", "q4_0")
    assert found.same_positions >= 0.75 * found.positions


def conversations(count: int) -> list[Question]:
    """Three pictures for each video."""
    videos = count // 4
    pictures = drawn_questions(count - videos, most_tokens=TRAINED_TOKENS)
    return [*pictures, *drawn_videos(videos)]


def with_vllm(
    folder: Path,
    exported: Path,
    count: int,
    dtype: str,
    *,
    adapter: Path | None = None,
    ours: Path | None = None,
) -> Agreement:
    """Agreement of vLLM, with an adapter if one is given, with our model in the same or another folder."""
    if not VLLM.exists():
        pytest.skip(f"no {VLLM}: run scripts/vllm-venv.sh with an interpreter")
    questions = conversations(count)
    asked = []
    for index, question in enumerate(questions):
        is_picture = question.frames is None
        path = folder / (f"{index}.png" if is_picture else f"{index}.npy")
        question.picture.save(path) if is_picture else np.save(path, question.frames)
        asked.append(
            {
                "prompt": written(question.conversation, PAD[is_picture]),
                "pictures": [str(path)] if is_picture else [],
                "videos": [] if is_picture else [str(path)],
            }
        )
    done = subprocess.run(
        [VLLM, ROOT / "tests/interop/vllm_answers.py", exported, str(ANSWER_TOKENS), dtype]
        + ([adapter] if adapter else []),
        input="".join(json.dumps(each) + "\n" for each in asked),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    found = agreement(ours or exported, questions, answers, ANSWER_TOKENS)
    sys.stdout.write(f"vLLM, {dtype}{', adapter' if adapter else ''}: {found}\n")
    return found


def test_vllm_answers_as_we_do(tmp_path):
    """In float32 on both sides, 30 pictures and 10 videos: the same greedy tokens."""
    export("tiny", tmp_path / "out", "--to", "hf")
    found = with_vllm(tmp_path, tmp_path / "out", 40, "float32")
    assert found.same_answers == found.answers


def test_vllm_answers_as_we_do_with_the_adapter_merged(tmp_path):
    """The base with an adapter of the decoder in vLLM, and merged by us: the same greedy tokens."""
    adapter = write_adapter(find_checkpoint("tiny"), tmp_path / "a", seed=1, size=0.02)
    words = ("--to", "hf", "--dtype", "float32", "--adapter", adapter)
    export("tiny", tmp_path / "apart", *words, "--separate-adapter")
    export("tiny", tmp_path / "merged", *words)
    found = with_vllm(
        tmp_path,
        tmp_path / "apart",
        40,
        "float32",
        adapter=tmp_path / "apart/adapter",
        ours=tmp_path / "merged",
    )
    assert found.same_answers == found.answers


def with_transformers(exported: Path, adapter: Path | None, ours: Path, count: int) -> Agreement:
    """Agreement of transformers, with peft if there is an adapter, with our model in another folder."""
    import peft
    import torch
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(exported, dtype=torch.float32)
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, adapter)
    processor = transformers.AutoProcessor.from_pretrained(exported)
    questions = conversations(count)
    answers = []
    for question in questions:
        text = written(question.conversation, PAD[question.frames is None])
        media = (
            {"images": [question.picture]}
            if question.frames is None
            else {"videos": [question.frames], "do_sample_frames": False, "fps": FRAMES_PER_SECOND}
        )
        inputs = processor(text=[text], return_tensors="pt", **media)
        out = model.generate(**inputs, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        answers.append(out[0, inputs["input_ids"].shape[1] :].tolist())
    found = agreement(ours, questions, answers, ANSWER_TOKENS)
    sys.stdout.write(f"transformers, {'peft' if adapter else 'alone'}: {found}\n")
    return found


def test_transformers_answers_as_we_do(tmp_path):
    """In float32 on both sides, 30 pictures and 10 videos: the same greedy tokens."""
    export("tiny", tmp_path / "out", "--to", "hf")
    found = with_transformers(tmp_path / "out", None, tmp_path / "out", 40)
    assert found.same_answers == found.answers


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_answers_as_we_do_with_the_adapter_merged(tmp_path):
    """The base with its adapter apart in peft, and merged by us: the same greedy tokens."""
    adapter = write_adapter(find_checkpoint("tiny"), tmp_path / "a", seed=1, size=0.02)
    words = ("--to", "hf", "--dtype", "float32", "--adapter", adapter)
    export("tiny", tmp_path / "apart", *words, "--separate-adapter")
    export("tiny", tmp_path / "merged", *words)
    found = with_transformers(
        tmp_path / "apart", tmp_path / "apart/adapter", tmp_path / "merged", 40
    )
    assert found.same_answers == found.answers


def test_vllm_reads_our_int4(tmp_path):
    """vLLM computes AWQ in half precision, we in float32 with the values of the codes."""
    export("tiny", tmp_path / "out", "--to", "awq")
    with pytest.warns(UserWarning, match="AWQ"):
        found = with_vllm(tmp_path, tmp_path / "out", 10, "auto")
    assert found.same_positions >= 0.9 * found.positions

# SPDX-License-Identifier: Apache-2.0
"""Wrong input gets a message that names it, an exit code of 1 or 2, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def bad(tmp_path, picture_file):
    """A folder of files that are not what they seem."""
    whole = picture_file.read_bytes()
    files = {
        "empty.png": b"",
        "cut.png": whole[: len(whole) // 2],
        "text.png": b"this is no picture",
        "text.mp4": b"this is no video",
        "text.pdf": b"this is no PDF",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(picture_file, tmp_path / "good.png")
    (tmp_path / "nothing").mkdir()
    Image.new("RGB", (64, 48), "red").save(tmp_path / "good.pdf")
    return tmp_path


WRONG_MEDIA = [
    (("--image", "nowhere.png"), "nowhere.png"),
    (("--image", "empty.png"), "empty.png"),
    (("--image", "cut.png"), "cut.png"),
    (("--image", "text.png"), "text.png"),
    (("--image", ""), "directory"),
    (("--image", "nothing"), "folder nothing contains no picture"),
    (("--video", "text.mp4"), "text.mp4"),
    (("--video", "good.png", "--nframes", "4", "--start", "9"), "good.png"),
    (("--pdf", "text.pdf"), "text.pdf"),
    (("--pdf", "good.png"), "good.png"),
]


@pytest.mark.parametrize(("media", "named"), WRONG_MEDIA)
def test_unusable_media_are_named(finesight, bad, tiny_model_folder, media, named):
    before = sorted(path.name for path in bad.iterdir())
    words = ("ask", "What?", *media, "--model", tiny_model_folder, "--save-overlay", "out")
    outcome = finesight(*words, "--report", "r.html", "--json")
    assert outcome.code in (1, 2)
    assert named in outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert sorted(path.name for path in bad.iterdir()) == before


WRONG_OPTIONS = [
    (("--fps", "2", "--nframes", "4", "--video", "x.mp4"), "fps=2.0 and nframes=4"),
    (("--fps", "2", "--image", "good.png"), "fps given without a video"),
    (("--temperature", "-1"), "temperature"),
    (("--max-new-tokens", "0"), "max_new_tokens"),
    (("--max-new-tokens", "99999"), "4096"),
    (("--max-new-tokens", "9" * 30), "max_new_tokens"),
    (("--temperature", "nan"), "temperature=nan"),
    (("--top-p", "nan"), "top_p=nan"),
    (("--repetition-penalty", "inf"), "repetition_penalty=inf"),
    (("--seed", "9" * 30), "seed="),
    (("--fps", "nan", "--video", "x.mp4"), "fps=nan"),
    (("--start", "nan", "--video", "x.mp4"), "start=nan"),
    (("--start", "-1", "--video", "x.mp4"), "start=-1"),
    (("--end", "inf", "--video", "x.mp4"), "end=inf"),
    (("--nframes", "-4", "--video", "x.mp4"), "nframes=-4"),
    (("--max-pixels", "-4", "--image", "good.png"), "max_pixels=-4"),
    (("--pages", "1"), "--pages"),
    (("--min-pixels", "9000", "--max-pixels", "4000", "--image", "good.png"), "min_pixels=9000"),
    (("--report", "."), "no HTML file name"),
    (("--save-overlay", "good.png"), "is a file"),
    (("--device", "abacus"), "abacus"),
    (("--dtype", "int3"), "int3"),
    (("--device", "meta"), "meta"),
    (("--threads", "0"), "number of threads is 0; it must be from 1"),
    (("--threads", "-2"), "number of threads is -2"),
    (("--threads", "9" * 40), "number of threads"),
    (("--seed", "9" * 20), "seed="),
    (("--temperature", "inf"), "temperature"),
    (("--system", "caf\udce9"), "not UTF-8"),
    (("--pdf", "good.pdf", "--pages", "1-999999999999"), "page 999999999999 of 1"),
    (("--pdf", "good.pdf", "--pages", "9" * 5000), "of 1 does not exist"),
    (("--save-overlay", "a" * 300), "File name too long"),
    (("--report", "a" * 300 + ".html"), "File name too long"),
    (("--image", "-", "--image", "-"), "given 2 times"),
]


@pytest.mark.parametrize(("options", "named"), WRONG_OPTIONS)
def test_wrong_options_are_named(finesight, bad, tiny_model_folder, options, named):
    outcome = finesight("ask", "What?", *options, "--model", tiny_model_folder)
    assert outcome.code == (1 if "99999" in options else 2)
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("ask",),
        ("ask", "Q", "--colour"),
        ("ask", "Q", "--seed", "many"),
        ("ask", "Q", "--fps", "fast"),
        ("paint",),
        ("locate", "x"),
        ("locate", "x", "--image", "a.png", "--as", "circle"),
        ("plan", "--fit", "much"),
    ],
)
def test_wrong_usage_exits_with_2(finesight, words):
    outcome = finesight(*words)
    assert outcome.code == 2
    assert outcome.err
    assert outcome.out == ""


def test_a_name_too_long_for_a_model_is_one_line(finesight):
    outcome = finesight("plan", "What?", "--model", "a" * 5000)
    assert outcome.code == 1
    assert outcome.err.startswith("error: model 'aaa")
    assert len(outcome.err) < 300


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


WRONG_MODELS = {
    "no configuration": lambda folder: (folder / "config.json").unlink(),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "no weights": lambda folder: [path.unlink() for path in folder.glob("*.safetensors")],
    "broken configuration": lambda folder: (folder / "config.json").write_text("{"),
    "another model": lambda folder: change_config(folder, model_type="llama"),
    "another width": lambda folder: change_config(folder, intermediate_size=128),
    "another depth": lambda folder: change_config(folder, num_hidden_layers=3),
    "cut weights": lambda folder: cut(next(folder.glob("*.safetensors"))),
    "an adapter beside": lambda folder: (folder / "adapter_config.json").write_text("{}"),
    "weights as a pickle": lambda folder: rename(folder, "pytorch_model.bin"),
    "weights as GGUF": lambda folder: rename(folder, "model.gguf"),
    "an end token that is none": lambda folder: change_config(folder, eos_token_id=["</s>"]),
    "the generation after": lambda folder: change_config(folder, model_type="qwen3_vl"),
    "quantised": lambda folder: change_config(folder, quantization_config={"quant_method": "awq"}),
    "no pixels": lambda folder: (folder / "preprocessor_config.json").write_text(
        '{"min_pixels": 9, "max_pixels": 8}'
    ),
}


def rename(folder, name):
    next(folder.glob("*.safetensors")).rename(folder / name)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("fault", WRONG_MODELS)
def test_a_wrong_checkpoint_is_named(finesight, tiny_model_folder, tmp_path, fault):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    WRONG_MODELS[fault](folder)
    outcome = finesight("ask", "What?", "--model", folder, "--max-new-tokens", "2")
    assert outcome.code in (1, 2)
    assert outcome.err.startswith("error: ")
    assert str(folder) in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("command", ["ask", "plan", "doctor"])
@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-8B-Instruct", "llava:7b", "good.png"])
def test_what_is_no_model_is_told_apart_by_every_command(finesight, bad, command, name):
    question = () if command == "doctor" else ("What?",)
    outcome = finesight(command, *question, "--model", name)
    assert outcome.code == 2
    assert f"error: model {name} is " in outcome.err
    assert "\n  hint: " in outcome.err


@pytest.mark.parametrize("command", ["ask", "plan", "doctor"])
def test_a_cut_gguf_file_is_named_by_every_command(finesight, bad, command):
    (bad / "model.gguf").write_bytes(b"GGUF\x03\0\0\0")
    question = () if command == "doctor" else ("What?",)
    outcome = finesight(command, *question, "--model", "model.gguf")
    assert outcome.code == 1
    assert "error: model.gguf is not a complete GGUF file: it has 8 bytes" in outcome.err
    assert "\n  hint: " in outcome.err


def test_nan_in_a_weight_names_the_layer(finesight, tiny_model_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    path = next(folder.glob("*.safetensors"))
    tensors = load_file(path)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    outcome = finesight("ask", "What?", "--model", folder, "--max-new-tokens", "2")
    assert outcome.code == 1
    assert "tensor model.layers.1.mlp.up_proj.weight" in outcome.err
    assert "NaN" in outcome.err


def test_debug_shows_where(finesight):
    outcome = finesight("ask", "What?", "--model", "./nowhere", "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "error: " in outcome.err


MISSING_INPUTS = [
    ("ask", "What?", "--image", "none.png"),
    ("ask", "What?", "--pdf", "none.pdf"),
    ("ask", "What?", "--video", "none.mp4"),
    ("plan", "What?", "--image", "none.png"),
    ("batch", "none.jsonl", "out.jsonl"),
    ("locate", "cat", "--image", "none.png"),
    ("locate", "cat", "--image", "none.png", "--count"),
    ("inspect", "ppe", "--image", "none.png"),
    ("inspect", "surface_defect", "--image", "good.png", "--reference", "none.png"),
    ("read", "none.pdf"),
    ("read", "none.pdf", "--schema", '{"type": "object", "properties": {"a": {"type": "string"}}}'),
    ("classify", "none.pdf", "--label", "a", "--label", "b"),
    ("classify", "good.png", "--label", "a", "--label", "b", "--examples", "none.csv"),
    ("review", "none.pdf", "--against", "good.pdf"),
    ("review", "good.pdf", "--against", "none.pdf", "--route", "text"),
    ("describe-screen", "none.png"),
    ("describe-screen", "good.png", "--since", "none.json"),
    ("agent", "Save", "--browser", "none.html"),
    ("mcp", "--browser", "none.html"),
]
MISSING_SETTINGS = [
    ("ask", "What?", "--json-schema", "none.json"),
    ("read", "good.png", "--schema", "none.json"),
    ("review", "good.pdf", "--rules", "none.toml"),
    ("inspect", "none.toml", "--image", "good.png"),
]


@pytest.mark.parametrize(
    ("words", "code"),
    [*((words, 1) for words in MISSING_INPUTS), *((words, 2) for words in MISSING_SETTINGS)],
)
def test_a_missing_input_is_a_failure_and_a_missing_setting_is_wrong_usage(
    finesight, bad, words, code
):
    outcome = finesight(*words)
    assert outcome.code == code, outcome.err
    assert "none." in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""

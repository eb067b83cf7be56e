# SPDX-License-Identifier: Apache-2.0
"""A folder in the format of the AWQ releases, as a user meets it."""

from __future__ import annotations

import json
import shutil

import pytest

from finesight.model.weights import load_model, save_model
from tests.support import quantised_checkpoints as made


@pytest.fixture(scope="module")
def awq_folder(tiny_model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-AWQ"
    shutil.copytree(tiny_model_folder, folder)
    made.write(load_model(tiny_model_folder), folder)
    return folder


def test_ask_says_what_was_dequantised_and_answers_as_the_plain_weights_do(
    finesight, awq_folder, picture_file, tmp_path
):
    shutil.copytree(awq_folder, tmp_path / "plain")
    with pytest.warns(UserWarning, match="dequantised"):
        model = load_model(awq_folder)
    save_model(model, tmp_path / "plain")
    words = ("ask", "What is this?", "--image", picture_file, "--max-new-tokens", "12", "--json")
    quantised = finesight(*words, "--model", awq_folder)
    assert quantised.code == 0, quantised.err
    assert "dequantised" in quantised.err
    assert "(AWQ, 4 bits, groups of 32)" in quantised.err
    plain = finesight(*words, "--model", tmp_path / "plain")
    assert "dequantised" not in plain.err
    assert json.loads(quantised.out)["token_ids"] == json.loads(plain.out)["token_ids"]


def test_plan_counts_the_memory_of_plain_weights(finesight, awq_folder, tiny_model_folder):
    plans = {}
    for folder in (awq_folder, tiny_model_folder):
        outcome = finesight("plan", "What?", "--model", folder, "--json")
        plans[folder] = json.loads(outcome.out)
    quantised, plain = plans[awq_folder], plans[tiny_model_folder]
    assert quantised["weight_bytes"] == plain["weight_bytes"]
    assert quantised["source"].endswith("(AWQ, 4 bits, groups of 32, dequantised when loaded)")


def test_doctor_says_that_it_cannot_compare(finesight, awq_folder):
    outcome = finesight("doctor", "--model", awq_folder)
    assert outcome.code == 1
    assert "all finite" in outcome.out
    assert "not compared: transformers loads AWQ weights only with gptqmodel" in outcome.out


def test_other_quantisations_are_refused_before_the_weights_are_read(
    finesight, awq_folder, tmp_path
):
    folder = tmp_path / "nf4"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(awq_folder / name, folder)
    (folder / "model.safetensors").write_bytes(b"")
    section = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    made.change_config(folder, quantization_config=section)
    outcome = finesight("ask", "What?", "--model", folder)
    assert outcome.code == 2
    assert "quantised with bitsandbytes nf4, which finesight does not load" in outcome.err
    assert "Qwen/Qwen2.5-VL-7B-Instruct-AWQ" in outcome.err

# SPDX-License-Identifier: Apache-2.0
"""Hugging Face folders load in transformers with equal logits, and keep the small files of their source."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from finesight.checkpoints.adapters import save_adapter
from finesight.checkpoints.export.folder import (
    CHAT_TEMPLATE,
    read_chat_template,
    read_license,
    write_folder,
)
from finesight.checkpoints.export.formats import ExportSource, write_hf, write_lora
from finesight.checkpoints.export.plain import plain_model, without_adapters
from finesight.checkpoints.packed import open_packed, write_packed
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError, WeightsError
from finesight.model.lora import add_lora, merge_lora
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from tests.support.compiled import compiled
from tests.support.model_reference import media_inputs
from tests.support.written import written

QUESTION = "Where is the red square?"


@pytest.fixture
def exported(tiny_model_folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_folder(plain_model(tiny_model_folder), tiny_model_folder, out)
    return out


@pytest.fixture
def adapted(tiny_model_folder):
    """A model with adapters that change it."""
    model = load_model(tiny_model_folder)
    add_lora(model, ["model.layers.*.q_proj", "model.layers.*.down_proj"], rank=4, alpha=8, seed=0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture
def adapter(adapted, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_adapter(adapted, folder, base="toy")
    return folder


def conversation(picture):
    return Conversation((Message("user", (ImagePart(source=picture), TextPart(QUESTION))),))


@pytest.mark.parity
def test_transformers_loads_the_folder_with_equal_logits_and_inputs(exported, picture):
    """In float32 on both sides, which add in different orders."""
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(exported, dtype=torch.float32)
    processor = transformers.AutoProcessor.from_pretrained(exported)
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(text=[text], images=[picture], return_tensors="pt")
    ours = Processor.from_folder(exported)
    sample = ours.encode(conversation(picture))
    assert inputs["input_ids"][0].tolist() == sample.input_ids.tolist()
    torch.testing.assert_close(
        inputs["pixel_values"],
        media_inputs([sample], torch.float32)["pixel_values"],
        atol=1e-5,
        rtol=0,
    )
    from finesight.batch import pack

    network = load_model(exported, dtype=torch.float32)
    with torch.no_grad():
        wanted = network.logits(network(pack([sample])))
        found = model.eval()(**inputs).logits[0]
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_the_folder_is_one_of_ours_with_equal_weights(exported, tiny_model_folder):
    ours, theirs = (load_model(each).state_dict() for each in (tiny_model_folder, exported))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert Processor.from_folder(exported).config.max_pixels == 12845056


def test_small_files_of_the_source_are_kept(tiny_model_folder, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(tiny_model_folder, source)
    out.mkdir()
    settings = {"tokenizer_class": "Qwen2Tokenizer", "chat_template": "{{ own }}"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    (source / "LICENSE").write_text("A licence\nof two lines\n")
    write_folder(plain_model(source), source, out)
    assert json.loads((out / "tokenizer_config.json").read_text()) == settings
    assert not (out / "chat_template.jinja").exists()
    assert read_chat_template(out) == "{{ own }}"
    assert (read_license(out), read_license(tiny_model_folder)) == ("A licence\nof two lines", "")


def test_the_chat_template_writes_what_our_renderer_does():
    import jinja2

    from finesight.text.chat_template import render

    source = CHAT_TEMPLATE.read_text(encoding="utf-8")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Sure?"},
    ]
    ours = Conversation(
        (
            Message("system", (TextPart("Be brief."),)),
            Message("user", (ImagePart(source="a.png"), TextPart("What?"))),
            Message("assistant", (TextPart("A cat."),)),
            Message("user", (TextPart("Sure?"),)),
        )
    )
    text = (
        jinja2.Environment()
        .from_string(source)
        .render(messages=messages, add_generation_prompt=True)
    )
    assert text == written(render(ours))


def test_a_license_name_is_read_from_the_model_card(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nlicense: apache-2.0\ntags: [a]\n---\n# Model\nlicense: no\n"
    )
    assert read_license(tmp_path) == "apache-2.0"


@pytest.mark.parametrize("weights", ["int8", "int4", "bf16"])
def test_packed_weights_become_the_values_of_their_codes(tiny_model_folder, tmp_path, weights):
    compiled()
    write_packed(tiny_model_folder, weights, tmp_path / "packed")
    plain, packed = (
        plain_model(tmp_path / "packed"),
        open_packed(tmp_path / "packed", None, attention="sdpa"),
    )
    assert plain.dtype == (torch.bfloat16 if weights == "bf16" else torch.float32)
    rows = torch.eye(64)
    name = "model.layers.0.self_attn.q_proj"
    with torch.no_grad():
        bias = plain.get_submodule(name).bias.float()
        found = packed.get_submodule(name)(rows).float() - bias
    wanted = plain.get_submodule(name).weight.float().T
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)  # the kernels round activations
    original = load_model(tiny_model_folder).get_submodule(name).weight.float()
    assert not torch.equal(wanted.T, original)


def test_an_adapter_is_merged_or_stays_apart(tiny_model_folder, adapter, adapted, tmp_path):
    merged = plain_model(tiny_model_folder, adapter=adapter)
    merge_lora(adapted)
    name = "model.layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(
        merged.state_dict()[name], adapted.state_dict()[name].to(merged.dtype), atol=0.02, rtol=0.02
    )
    out = tmp_path / "out"
    out.mkdir()
    base = plain_model(tiny_model_folder)
    write_hf(ExportSource("toy", tiny_model_folder, base, adapter), out)
    assert torch.equal(load_model(out).state_dict()[name], base.state_dict()[name])
    values = json.loads((out / "adapter/adapter_config.json").read_text())
    assert (values["base_model_name_or_path"], values["r"]) == ("toy", 4)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own call
def test_peft_applies_a_separate_adapter(tiny_model_folder, adapted, tmp_path):
    """The logits of peft's model are those of our merged one, in float32."""
    import peft
    import transformers

    base, out = tmp_path / "base", tmp_path / "lora"
    base.mkdir()
    out.mkdir()
    write_folder(without_adapters(adapted), tiny_model_folder, base)
    write_lora(ExportSource("toy", tiny_model_folder, adapted), out, base=str(base))
    model = transformers.AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, out).eval()
    ids = torch.arange(20, 50)
    from tests.unit.checkpoints.export.test_awq import text_batch

    batch = text_batch(3)
    ids = batch.input_ids
    merged = plain_model(base, adapter=out)
    with torch.no_grad():
        found = model(input_ids=ids[None]).logits[0]
        wanted = merged.logits(merged(batch))
        before = load_model(base).logits(load_model(base)(batch))
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=5e-3)
    assert (wanted - before).abs().max() > 0.1


def test_a_model_without_adapter_has_none_to_write(tiny_model_folder, tmp_path):
    with pytest.raises(ConfigError, match="toy has no adapter"):
        write_lora(ExportSource("toy", tiny_model_folder, plain_model(tiny_model_folder)), tmp_path)


def test_a_weight_outside_of_a_dtype_is_named(tiny_model_folder, tmp_path):
    from finesight.model.weights import save_model

    folder = tmp_path / "large"
    shutil.copytree(tiny_model_folder, folder)
    model = load_model(folder)
    model.load_state_dict(
        {**model.state_dict(), "model.norm.weight": torch.full((64,), 1e9)}, strict=True
    )
    save_model(model, folder)
    with pytest.raises(WeightsError, match=r"model.norm.weight.*1e\+09.*65504"):
        plain_model(folder, dtype=torch.float16)
    assert plain_model(folder, dtype=torch.bfloat16).dtype == torch.bfloat16

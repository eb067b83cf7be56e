# SPDX-License-Identifier: Apache-2.0
"""An adapter of the output head, which is tied to the embedding, is merged as peft applies it."""

from __future__ import annotations

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.checkpoints.export.folder import write_folder
from finesight.checkpoints.export.plain import plain_model
from finesight.model.weights import load_model

peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")

IDS = torch.arange(20, 32)


@torch.inference_mode()
def logits(model):
    plan = AttentionPlan.from_lengths([len(IDS)], causal=True)
    return model.logits(
        model(PackedBatch.from_tokens(IDS, torch.arange(len(IDS)).expand(3, -1), plan))
    )


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings:UserWarning")
@pytest.mark.filterwarnings("ignore:.*tied:UserWarning")
@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_a_tied_head_becomes_a_head_of_its_own(tiny_model_folder, tmp_path):
    theirs = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tiny_model_folder, dtype=torch.float32
    )
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "lm_head"])
    adapted = peft.get_peft_model(theirs, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(len(name)))
    adapted.save_pretrained(tmp_path / "adapter")
    with torch.inference_mode():
        wanted = adapted(input_ids=IDS[None]).logits[0]
    before = load_model(tiny_model_folder, dtype=torch.float32)
    with pytest.warns(UserWarning, match="has a copy of .*lm_head.base_layer.weight"):
        merged = plain_model(tiny_model_folder, adapter=tmp_path / "adapter")
    assert not merged.config.text.tie_word_embeddings
    embedding = "model.embed_tokens.weight"
    assert torch.equal(merged.state_dict()[embedding], before.state_dict()[embedding])
    assert float((logits(merged) - logits(before)).abs().max()) > 0.1
    torch.testing.assert_close(logits(merged), wanted, atol=1e-4, rtol=1e-4)
    (tmp_path / "out").mkdir()
    write_folder(merged, tiny_model_folder, tmp_path / "out")
    torch.testing.assert_close(logits(load_model(tmp_path / "out")), logits(merged))
    again = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tmp_path / "out", dtype=torch.float32
    )
    with torch.inference_mode():
        found = again(input_ids=IDS[None]).logits[0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)

# SPDX-License-Identifier: Apache-2.0
"""Losses of TRL's trainers on given batches, with transformers' Qwen2.5-VL.

Run by the interpreter of TRL's environment: `python trl_losses.py FOLDER`. The folder has models (`model`, `reference`,
`sampler`), `cases.pt` with the batches, and gets `losses.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

ON_CPU = {
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "gradient_checkpointing": False,
    "remove_unused_columns": False,
    "per_device_train_batch_size": 1,
    "disable_tqdm": True,
}


def main() -> None:
    """Compute the losses of all cases."""
    folder = Path(sys.argv[1])
    cases = torch.load(folder / "cases.pt")
    losses = {
        "sft": sft_curve(folder, cases["sft"]),
        "dpo": [dpo_loss(folder, case) for case in cases["dpo"]],
        "grpo": grpo_losses(folder, cases["grpo"]),
        "advantages": advantages(folder, cases["rewards"]),
    }
    (folder / "losses.json").write_text(json.dumps(losses))


def network(path: Path) -> Qwen2_5_VLForConditionalGeneration:
    """A model in float32."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(path, dtype=torch.float32)


def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The vocabulary of the models."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "model" / "tokenizer.json"),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )


class ExactSFTTrainer(SFTTrainer):
    """Keeps the loss of each step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.exact: list[float] = []

    def training_step(self, *args: Any, **options: Any) -> torch.Tensor:
        loss = super().training_step(*args, **options)
        self.exact.append(float(loss))
        return loss


def sft_curve(folder: Path, case: dict[str, Any]) -> list[float]:
    """Losses of `SFTTrainer` over the batches of a case, in their order and with its learning rates."""
    batches, scales = case["batches"], case["scales"]
    model = network(folder / "model")
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=case["lr"], betas=tuple(case["betas"]), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: scales[min(step, len(scales) - 1)]
    )
    trainer = ExactSFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "sft"),
            max_steps=len(batches),
            max_grad_norm=case["max_grad_norm"],
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            save_strategy="no",
            max_length=None,
            **ON_CPU,
        ),
        data_collator=lambda rows: dict(batches[rows[0]["index"]]),
        train_dataset=Dataset.from_dict({"index": list(range(len(batches)))}),
        processing_class=tokenizer(folder),
        optimizers=(optimizer, schedule),
    )
    trainer.train()
    return trainer.exact


def dpo_loss(folder: Path, case: dict[str, Any]) -> dict[str, float]:
    """Loss of `DPOTrainer` on a batch, norm of its gradient, and its metrics."""
    model = network(folder / "model")
    trainer = DPOTrainer(
        model=model,
        ref_model=network(folder / "reference"),
        args=DPOConfig(
            output_dir=str(folder / "dpo"),
            beta=case["beta"],
            loss_type=[case["loss"]],
            label_smoothing=case["label_smoothing"],
            max_length=None,
            **ON_CPU,
        ),
        data_collator=lambda rows: {},
        train_dataset=Dataset.from_dict({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]}),
        processing_class=tokenizer(folder),
    )
    model.train()
    loss = trainer._compute_loss(model, dict(case["batch"]), return_outputs=False)
    loss.backward()
    metrics = trainer._metrics["train"]
    return {
        "loss": float(loss),
        "norm": norm_of(model),
        "reward_margin": metrics["rewards/margins"][-1],
        "reward_acc": metrics["rewards/accuracies"][-1],
        "reward_chosen": metrics["rewards/chosen"][-1],
    }


def grpo_losses(folder: Path, cases: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Losses of `GRPOTrainer` on batches whose answers another model has sampled."""
    found = []
    for case in cases:
        model = network(folder / "model")
        trainer = grpo_trainer(folder, model, case)
        inputs = dict(case["batch"])
        trainer.current_gradient_accumulation_steps = 1
        for name, path in (
            ("old_per_token_logps", "sampler"),
            ("ref_per_token_logps", "reference"),
        ):
            inputs[name] = log_probs(trainer, network(folder / path), inputs)
        model.train()
        loss = trainer._compute_loss(model, inputs)
        loss.backward()
        metrics = trainer._metrics["train"]
        found.append(
            {
                "loss": float(loss),
                "norm": norm_of(model),
                "kl": metrics["kl"][-1] if case["beta"] else 0.0,
                "clipped": metrics["clip_ratio/region_mean"][-1],
            }
        )
    return found


def log_probs(trainer: GRPOTrainer, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities of the answers by another model."""
    add_fused_lm_head(model, temperature=trainer.temperature)
    with torch.no_grad():
        return trainer._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            inputs["completion_ids"].shape[1],
            pixel_values=inputs["pixel_values"],
            image_grid_thw=inputs["image_grid_thw"],
            num_images=inputs["num_images"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
        )[0]


def advantages(folder: Path, rewards: list[list[float]]) -> list[float]:
    """Advantages that `GRPOTrainer` gives to answers with these rewards, by group."""
    flat = [reward for group in rewards for reward in group]
    case = {
        "beta": 0.0,
        "loss": "dapo",
        "answers": len(rewards[0]),
        "batch_size": len(flat),
        "max_completion_length": 4,
        "temperature": 1.0,
        "epsilon": 0.2,
        "epsilon_high": 0.2,
    }
    trainer = grpo_trainer(folder, network(folder / "model"), case, rewards=flat)
    rows = [{"prompt": "a"} for _ in flat]
    return trainer._generate_and_score_completions(rows)["advantages"].tolist()


def grpo_trainer(
    folder: Path, model: Any, case: dict[str, Any], rewards: list[float] | None = None
) -> GRPOTrainer:
    """A trainer whose answers are three tokens, if it has to sample."""

    def sampled(prompts: list[Any], _: Any) -> dict[str, Any]:
        return {
            "prompt_ids": [[5, 6] for _ in prompts],
            "completion_ids": [[7, 8, 9] for _ in prompts],
            "logprobs": [[0.0] * 3 for _ in prompts],
        }

    return GRPOTrainer(
        model=model,
        reward_funcs=lambda prompts, **_: rewards or [0.0] * len(prompts),
        args=GRPOConfig(
            output_dir=str(folder / "grpo"),
            beta=case["beta"],
            loss_type=case["loss"],
            use_bias_correction_kl=case.get("kl_correction", True),
            epsilon=case["epsilon"],
            epsilon_high=case["epsilon_high"],
            temperature=case["temperature"],
            max_completion_length=case["max_completion_length"],
            num_generations=case["answers"],
            **ON_CPU | {"per_device_train_batch_size": case["batch_size"]},
        ),
        train_dataset=Dataset.from_dict({"prompt": ["a"]}),
        processing_class=tokenizer(folder),
        rollout_func=sampled if rewards else None,
    )


def norm_of(model: Any) -> float:
    """Norm of all gradients."""
    grads = [one.grad for one in model.parameters() if one.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads))


if __name__ == "__main__":
    main()

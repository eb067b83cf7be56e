# SPDX-License-Identifier: Apache-2.0
"""LLaMA-Factory's side of the benchmark `training`, run by the interpreter of its environment.

`python -m benchmarks.training_llamafactory FOLDER STEPS BATCH`, see `benchmarks.training_turns`. It trains as
`llamafactory-cli train` does, with the settings of the other sides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from llamafactory.train.tuner import run_exp

import finesight
from benchmarks.training_turns import Turns

COLUMNS = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages", "images": "images"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    },
}


def write_data(folder: Path) -> None:
    """Write the rows of the benchmark in the format of LLaMA-Factory."""
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    samples = [
        {
            "messages": [
                {"role": "user", "content": f"<image>{row['question']}"},
                {"role": "assistant", "content": row["answer"]},
            ],
            "images": [str(folder / row["image"])],
        }
        for row in rows
    ]
    (folder / "samples.json").write_text(json.dumps(samples))
    known = {"samples": {"file_name": "samples.json", **COLUMNS}}
    (folder / "dataset_info.json").write_text(json.dumps(known))


def main() -> None:
    """Train until standard input ends."""
    folder, steps, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    write_data(folder)
    settings = {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(Path(finesight.__file__).parent / "assets" / "tiny"),
        "finetuning_type": "full",
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
        "flash_attn": "sdpa",
        "disable_gradient_checkpointing": True,
        "dataset": "samples",
        "dataset_dir": str(folder),
        "template": "qwen2_vl",
        "cutoff_len": 4096,
        "output_dir": str(folder / "llamafactory"),
        "max_steps": 10_000,
        "per_device_train_batch_size": batch,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "bf16": True,
        "use_cpu": True,
        "dataloader_num_workers": 1,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "non_padding",
    }
    run_exp(settings, [Turns(steps)])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""TRL's side of the benchmark `training`, run by the interpreter of TRL's environment.

`python -m benchmarks.training_trl FOLDER STEPS BATCH`, see `benchmarks.training_turns`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset, Image
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
from trl import SFTConfig, SFTTrainer

import finesight
from benchmarks.training_turns import Turns

TEMPLATE = """{%- if messages[0]['role'] != 'system' -%}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}{%- for m in messages -%}<|im_start|>{{ m['role'] }}
{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}{% if p['type'] == 'image' \
%}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


def main() -> None:
    """Train until standard input ends."""
    folder, steps, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    tiny = Path(finesight.__file__).parent / "assets" / "tiny"
    processor = AutoProcessor.from_pretrained(tiny)  # type: ignore[no-untyped-call]  # so in transformers
    processor.chat_template = processor.tokenizer.chat_template = TEMPLATE
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny, dtype=torch.float32)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    data = Dataset.from_dict(
        {
            "images": [[str(folder / row["image"])] for row in rows],
            "prompt": [
                [
                    {
                        "role": "user",
                        "content": [{"type": "image"}, {"type": "text", "text": row["question"]}],
                    }
                ]
                for row in rows
            ],
            "completion": [
                [{"role": "assistant", "content": [{"type": "text", "text": row["answer"]}]}]
                for row in rows
            ],
        }
    ).cast_column("images", [Image()])
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "trl"),
            max_steps=10_000,
            per_device_train_batch_size=batch,
            learning_rate=1e-5,
            lr_scheduler_type="constant",
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=False,
            max_length=None,
            dataloader_num_workers=1,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            include_num_input_tokens_seen="non_padding",
        ),
        train_dataset=data,
        processing_class=processor,
        callbacks=[Turns(steps)],
    )
    trainer.train()


if __name__ == "__main__":
    main()

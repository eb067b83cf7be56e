# SPDX-License-Identifier: Apache-2.0
"""TRL's side of the benchmark `training`, run by the interpreter of TRL's environment.

`python training_trl.py FOLDER STEPS BATCH`: after each line on standard input it does some steps and prints
`turn TOKENS SECONDS SECONDS_OF_PROCESSOR_TIME`; padding does not count.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Image
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
from trl import SFTConfig, SFTTrainer

import finesight

TEMPLATE = """{%- if messages[0]['role'] != 'system' -%}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}{%- for m in messages -%}<|im_start|>{{ m['role'] }}
{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}{% if p['type'] == 'image' \
%}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


class Turns(TrainerCallback):
    """Waits for a line before each turn, and prints what it took."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._began = 0.0, 0.0
        self.tokens = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Wait for a line."""
        if state.global_step % self._steps == 0:
            if not sys.stdin.readline():
                sys.exit()
            self.tokens = 0
            self._began = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Print tokens and seconds."""
        if state.global_step % self._steps == 0:
            elapsed = time.perf_counter() - self._began[0]
            processor = time.process_time() - self._began[1]
            print("turn", self.tokens, elapsed, processor, flush=True)


class Counting(SFTTrainer):  # type: ignore[misc]  # TRL is not installed beside us
    """Counts the tokens that are no padding."""

    turns: Turns

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """One step."""
        self.turns.tokens += int(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *rest, **options)


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
    turns = Turns(steps)
    trainer = Counting(
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
        ),
        train_dataset=data,
        processing_class=processor,
        callbacks=[turns],
    )
    trainer.turns = turns
    trainer.train()


if __name__ == "__main__":
    main()

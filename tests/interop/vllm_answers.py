# SPDX-License-Identifier: Apache-2.0
"""Answers conversations with vLLM: reads JSON lines, writes a JSON line with token ids for each.

Run by the interpreter of vLLM's environment: `python vllm_answers.py FOLDER MOST DTYPE [ADAPTER] < questions >
answers`. A question is `{"prompt": text, "pictures": [paths], "videos": [paths]}`, with <|image_pad|> or <|video_pad|>
in the text for each medium; the frames of a video are a .npy file. Answers go to the descriptor that was standard
output; what vLLM prints goes to standard error. ADAPTER is the folder of a LoRA adapter.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Answer all questions in one call, greedily."""
    folder, most, dtype, *adapter = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import numpy as np
    from PIL import Image
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    asked = [json.loads(line) for line in sys.stdin]
    model = LLM(
        model=folder,
        dtype=dtype,
        max_model_len=4096,
        max_num_seqs=4,
        enforce_eager=True,
        enable_prefix_caching=False,
        limit_mm_per_prompt={"image": 4, "video": 1},
        enable_lora=bool(adapter),
    )
    lora = LoRARequest("adapter", 1, adapter[0]) if adapter else None
    prompts = []
    for each in asked:
        pictures = [Image.open(path).convert("RGB") for path in each["pictures"]]
        videos = [_with_clock(np.load(path)) for path in each["videos"]]
        media = {"image": pictures, "video": videos}
        media = {kind: items for kind, items in media.items() if items}
        prompts.append({"prompt": each["prompt"], "multi_modal_data": media})
    sampling = SamplingParams(temperature=0, max_tokens=int(most))
    for reply in model.generate(prompts, sampling, lora_request=lora):
        answers.write(json.dumps([*reply.outputs[0].token_ids]) + "\n")
    answers.flush()
    os._exit(0)  # its worker threads may hold the process for a minute


def _with_clock(frames: Any) -> tuple[Any, dict[str, Any]]:
    """Frames, and that they are all of a video of two frames a second."""
    count = len(frames)
    return frames, {
        "fps": 2.0,
        "duration": count / 2.0,
        "total_num_frames": count,
        "frames_indices": [*range(count)],
        "do_sample_frames": False,
    }


if __name__ == "__main__":
    main()

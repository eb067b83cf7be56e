# SPDX-License-Identifier: Apache-2.0
"""Turns of a training by transformers' Trainer, for the benchmark `training`.

After each line on standard input, some steps are done and `turn TOKENS SECONDS SECONDS_OF_PROCESSOR_TIME` is printed;
padding does not count. The training needs `include_num_input_tokens_seen="non_padding"`.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from transformers import TrainerCallback


class Turns(TrainerCallback):
    """Waits for a line before each turn, and prints what it took.

    Args:
        steps: of a turn.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._began = 0.0, 0.0
        self._seen = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Wait for a line."""
        if state.global_step % self._steps == 0:
            if not sys.stdin.readline():
                sys.exit()
            self._began = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Print tokens and seconds."""
        if state.global_step % self._steps == 0:
            elapsed = time.perf_counter() - self._began[0]
            processor = time.process_time() - self._began[1]
            tokens, self._seen = (
                state.num_input_tokens_seen - self._seen,
                state.num_input_tokens_seen,
            )
            print("turn", tokens, elapsed, processor, flush=True)

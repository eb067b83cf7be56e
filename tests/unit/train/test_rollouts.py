# SPDX-License-Identifier: Apache-2.0
"""Rounds of sampled answers are read as they were stored."""

import numpy as np

from finesight.conversation import Reply, Usage
from finesight.data.mixture import Cursor
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.processor.processor import Processor
from finesight.train.policy import GrpoSection
from finesight.train.rewards import PromptConfig, PromptSource
from finesight.train.rollouts import RolloutFunctions, Rollouts

TEXT = "one\u2028two\u0085three"
"""Line ends of Unicode, which JSON does not escape."""


def test_texts_with_line_ends_of_unicode_are_read_again(tiny_model_folder, tmp_path):
    image = np.zeros((28, 28, 3), dtype=np.uint8)
    meta = {"split": "train", "generator": "test"}
    record = Record.of_picture(id="r", image=image, turns=((TEXT, TEXT),), meta=meta)
    write_shard(tmp_path / "data" / "a.tar", [record])

    def generate(model, asked):
        reply = Reply(text=TEXT, token_ids=(1, 2), finish_reason="stop", usage=Usage(1, 0, 2))
        return [reply for _ in asked]

    source = PromptSource(path=tmp_path / "data", rewards={"exact": 1.0})
    rollouts = Rollouts(
        tmp_path / "run",
        GrpoSection(prompts=2, answers=2),
        PromptConfig(source=(source,)),
        Processor.from_folder(tiny_model_folder),
        RolloutFunctions(
            generate, {"exact": lambda reply, truth, meta: float(reply.text == truth)}
        ),
    )
    prompts = rollouts.prompts(Cursor())
    done = rollouts.sample(None, 0, prompts)
    rollouts.store(done)
    assert rollouts.read(0, prompts) == done
    assert [each.reward for each in done.answers] == [1.0] * 4

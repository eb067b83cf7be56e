# SPDX-License-Identifier: Apache-2.0
"""Steps of preference training (DPO) on pairs with pictures, against computing everything for each answer.

The shapes are those of the 3B model with fewer blocks and layers and a quarter of the widths, so that tower and decoder
have its shares of the work. The tower is frozen and the decoder has adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional

from benchmarks.comparison import Comparison, measured_in_turns
from finesight.api.checkpoints import find_checkpoint
from finesight.batch import EncodedSample, pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.answers import AnswerTargets, pack_answers
from finesight.data.dense import DenseTargets
from finesight.data.loader import TrainBatch
from finesight.data.next_token import next_token_targets
from finesight.model.init import init_weights
from finesight.model.lora import add_lora, without_lora
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.train.objective import ForwardPass
from finesight.train.preference import DpoSection, Preference

_BAR = 1.8
_PAIRS = 1
_SIDE = 504
"""Pictures of 324 visual tokens; answers have about 30 tokens."""


def bench_preference(*, layers: int = 5) -> Iterator[Comparison]:
    """Processor time of a step with one tower pass and one prompt for each pair, against a tower pass for each use.

    Args:
        layers: of the decoder; the tower has one block less.
    """
    model, pairs = _model(layers), _pairs()
    shared = _shared(model, pairs)
    runs = [shared, _separate(model, pairs, once=False), _separate(model, pairs, once=True)]
    ours, alone, features = (spent for _, spent in measured_in_turns(runs, rounds=2))
    note = f"with shared visual tokens but two prompts {alone / features:.2f}"
    yield Comparison(
        "a DPO step, features three times", ours, alone, _BAR, at_least=True, note=note
    )


def _model(layers: int) -> VisionLanguageModel:
    processor = Processor.from_folder(find_checkpoint("tiny"))
    config = processor.model_config
    vision = {
        "depth": layers - 1,
        "hidden_size": 320,
        "intermediate_size": 855,
        "num_heads": 4,
        "out_hidden_size": 512,
        "full_attention_layers": (layers - 2,),
    }
    text = {
        "hidden_size": 512,
        "intermediate_size": 2752,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
    }
    model = VisionLanguageModel(
        config.model_copy(
            update={
                "vision": config.vision.model_copy(update=vision),
                "text": config.text.model_copy(update=text),
            }
        )
    )
    init_weights(model, seed=0)
    model.requires_grad_(False)
    add_lora(model, ["model.layers.*"], rank=8, alpha=16, seed=0)
    for name, value in model.named_parameters():
        value.requires_grad_(".lora_" in name)
    return model


def _pairs() -> list[list[EncodedSample]]:
    processor = Processor.from_folder(find_checkpoint("tiny"))
    random = np.random.default_rng(0)
    pairs = []
    for number in range(_PAIRS):
        pixels = random.integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)
        shown = ImagePart(source=pixels, max_pixels=_SIDE**2)
        asked = Message("user", (shown, TextPart("What does the picture show?")))
        answers = (
            f"There are {number} words on the page, in two lines." * 2,
            "A page without words.",
        )
        pairs.append(
            [
                processor.encode(
                    Conversation((asked, Message("assistant", (TextPart(answer),)))),
                    add_generation_prompt=False,
                )
                for answer in answers
            ]
        )
    return pairs


def _shared(model: VisionLanguageModel, pairs: list[list[EncodedSample]]) -> Callable[[], None]:
    batch, answers = pack_answers(pairs)
    given = TrainBatch(
        batch=batch,
        next_tokens=next_token_targets(batch),
        dense=DenseTargets.join([]),
        cursor={},
        num_samples=len(pairs),
        answers=answers,
    )
    objective = Preference(DpoSection())

    def step() -> None:
        model.zero_grad()
        objective(ForwardPass(model, given)).sums["dpo"].backward()

    return step


def _separate(
    model: VisionLanguageModel, pairs: list[list[EncodedSample]], *, once: bool
) -> Callable[[], None]:
    """A step on separate samples; unless `once`, the tower runs for the better, the worse and the reference."""
    sides = [pack([pair[side] for pair in pairs]) for side in (0, 1)]
    whole = pack([pair[side] for side in (0, 1) for pair in pairs])
    learned = next_token_targets(whole)
    sample = whole.sample_ids[learned.rows]
    answers = AnswerTargets(learned.rows, learned.targets, sample, torch.bincount(sample).float())

    def scores(visual: torch.Tensor) -> torch.Tensor:
        hidden = model(whole, vision_embeds=visual)
        found = model.lm_head.log_probs(hidden[answers.rows], answers.targets)
        return found.new_zeros(2 * len(pairs)).index_add(0, answers.answers, found)

    def step() -> None:
        model.zero_grad()
        assert sides[0].vision is not None
        assert sides[1].vision is not None
        visual = [model.encode_vision(sides[0].vision)]
        visual.append(visual[0] if once else model.encode_vision(sides[1].vision))
        found = scores(torch.cat(visual))
        if not once:
            visual = [model.encode_vision(sides[0].vision)] * 2
        with torch.no_grad(), without_lora(model):
            reference = scores(torch.cat(visual))
        better, worse = (found - reference).split(len(pairs))
        (-functional.logsigmoid(0.1 * (better - worse)).sum()).backward()

    return step

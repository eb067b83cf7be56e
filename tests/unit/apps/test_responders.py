# SPDX-License-Identifier: Apache-2.0
"""The responders with which applications are tested do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.apps.crop import ask_about, crop
from finesight.conversation import Sampling
from finesight.errors import RemoteError
from finesight.geometry import Box, iou
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle

PART = crop(np.zeros((280, 280, 3), np.uint8), Box(0, 0, 280, 280))
TRUTH = Box(28, 56, 112, 140)


def oracle() -> Oracle:
    return Oracle(lambda question: question.boxes_json([(TRUTH, "cat")]))


def ask(responder):
    (answer,) = ask_about(responder, [PART], "Where is the cat?", Sampling())
    return answer


def test_the_oracle_is_right():
    assert iou(ask(oracle()).boxes[0].box, TRUTH) > 0.95


def test_there_are_twelve_ways_to_misbehave():
    assert len(set(MISBEHAVIOURS)) == 12


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_a_hostile_answer_is_not_the_good_one(how):
    hostile = Hostile(oracle(), how)
    if how == "error_first":
        with pytest.raises(RemoteError):
            ask(hostile)
        assert ask(hostile).boxes
        return
    good, answer = ask(oracle()), ask(hostile)
    if how == "slow":
        assert answer == good
    else:
        assert answer.text != good.text


def test_only_the_chosen_calls_are_spoiled():
    hostile = Hostile(oracle(), "empty", when=lambda number: number == 1)
    assert [bool(ask(hostile).text) for _ in range(3)] == [True, False, True]

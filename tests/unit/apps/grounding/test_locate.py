# SPDX-License-Identifier: Apache-2.0
"""Things in pictures of any size: seams, counts, absence, choices, and responders that misbehave."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from finesight.apps.grounding.detect import Search
from finesight.apps.grounding.locate import locate
from finesight.errors import ConfigError, RemoteError
from finesight.geometry import Box, Size
from finesight.remote.client import Endpoint
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle
from tests.support.fake_endpoint import completion, serving
from tests.support.grounding import Knows, Noise, Scoring, f1, scene

ALL = Search()


def boxes(sought):
    return [thing.shape for thing in sought.things]


def test_a_small_picture_is_asked_about_once():
    drawn = scene(1, size=(600, 400), counts={"red square": 5, "blue square": 3}, sides=(20, 80))
    oracle = Oracle(Knows(drawn))
    located = locate(oracle, drawn.pixels, ["red square", "blue square"], ALL)
    assert [one.count for one in located.sought] == [5, 3]
    assert len(oracle.asked) == 2
    assert f1(boxes(located.sought[0]), drawn.boxes("red square"), 0.8) == 1.0
    assert located.coverage.is_full
    assert located.coverage.details["calls"] == 2
    assert all(0.9 < thing.score.value < 1 for thing in located.things)
    assert set(located.things[0].score.parts) == {"place", "label"}


def huge(seed, side=(2000, 1500), count=60):
    return scene(seed, size=side, counts={"red square": count}, sides=(5, 150))


@pytest.mark.parametrize("seed", range(3))
def test_tiles_find_each_thing_once(seed):
    drawn = huge(seed)
    search = replace(ALL, max_pixels=300 * 28 * 28, min_pixels=None)
    oracle = Oracle(Knows(drawn))
    located = locate(oracle, drawn.pixels, ["red square"], search)
    (sought,) = located.sought
    assert f1(boxes(sought), drawn.boxes("red square")) == 1.0
    assert sought.count == 60
    assert located.coverage.details["scale"] > 0.9  # of the tiles, not of the whole picture
    assert len(oracle.asked) <= 35


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_300_things_of_5_to_400_pixels_in_48_million(seed):
    drawn = scene(seed, size=(8000, 6000), counts={"red square": 300})
    oracle = Oracle(Knows(drawn))
    (sought,) = locate(oracle, drawn.pixels, ["red square"], ALL).sought
    score = f1(boxes(sought), drawn.boxes("red square"))
    sys.stdout.write(f"F1@.5 {score:.4f}, {sought.count} things, {len(oracle.asked)} calls\n")
    assert score >= 0.99
    assert len(oracle.asked) <= 35
    assert sought.count == 300


def test_a_thing_larger_than_a_tile_comes_from_the_whole_picture():
    pixels = np.full((1400, 1400, 3), 245, np.uint8)
    pixels[100:1300, 100:1300] = (210, 40, 40)
    drawn = type(huge(0))(pixels, {"red square": [Box(100, 100, 1300, 1300)]})
    search = replace(ALL, max_pixels=400 * 28 * 28, min_pixels=None)
    (sought,) = locate(Oracle(Knows(drawn)), drawn.pixels, ["red square"], search).sought
    assert f1(boxes(sought), drawn.boxes("red square"), 0.9) == 1.0


@pytest.mark.parametrize("with_scores", [True, False])
def test_counts_survive_noise(with_scores):
    errors, wrong_without_conflict = 0, 0
    total = 0
    for seed in range(6):
        drawn = scene(seed, size=(1200, 900), counts={"red square": 40}, sides=(20, 90), gap=12)
        noise = Noise(missed=0.1, invented=0.1, doubled=0.1)
        kind = Scoring if with_scores else Oracle
        responder = kind(Knows(drawn, noise))
        search = replace(ALL, count=True)
        (sought,) = locate(responder, drawn.pixels, ["red square"], search).sought
        total += 40
        errors += abs(sought.count - 40)
        if abs(sought.count - 40) > 1 and sought.status != "conflict":
            wrong_without_conflict += 1
        assert sought.asked == 40
        if with_scores:
            assert all(thing.score.kind == "yes_no" for thing in sought.things)
            assert sought.sure() == sought.count
    assert errors <= 0.03 * total
    assert wrong_without_conflict == 0


def test_a_count_that_cannot_be_made_to_agree_is_a_conflict():
    drawn = scene(3, size=(900, 700), counts={"red square": 20}, sides=(20, 60))
    responder = Oracle(Knows(drawn, number=5))
    (sought,) = locate(responder, drawn.pixels, ["red square"], replace(ALL, count=True)).sought
    assert (sought.status, sought.count, sought.asked, sought.compared) == ("conflict", 20, 25, 20)
    assert "20 were found, but asked how many there are the answer is 25" in sought.problems
    assert sought.score.value == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(50))
def test_what_is_not_there_is_absent(seed):
    side = (700, 500) if seed % 2 else (1500, 1100)
    drawn = scene(seed, size=side, counts={"red square": 4}, sides=(10, 60))
    search = replace(ALL, max_pixels=600 * 28 * 28, min_pixels=None, every=seed % 3 > 0)
    located = locate(Scoring(Knows(drawn)), drawn.pixels, ["green square"], search)
    (sought,) = located.sought
    assert sought.status == "absent"
    assert sought.score.value == pytest.approx(0.95)
    assert located.coverage.is_full
    assert located.coverage.total == (1 if seed % 2 else len(located.coverage.seen))


def test_one_of_several_candidates_is_chosen_by_a_marked_picture():
    drawn = scene(5, size=(800, 600), counts={"red square": 5}, sides=(40, 80), gap=20)
    left = min(drawn.boxes("red square"), key=lambda box: box.x1)
    search = replace(ALL, every=False)
    phrase = "leftmost red square"
    (sought,) = locate(Scoring(Knows(drawn)), drawn.pixels, [phrase], search).sought
    assert sought.status == "found"
    assert f1(boxes(sought), [left], 0.8) == 1.0
    assert len(sought.rejected) == 4
    assert all("another candidate fits better" in one.problems for one in sought.rejected)


def test_points_of_small_things_are_merged():
    drawn = scene(6, size=(1500, 1100), counts={"red square": 80}, sides=(8, 20), gap=20)
    search = replace(ALL, shape="point", max_pixels=500 * 28 * 28, min_pixels=None)
    (sought,) = locate(Oracle(Knows(drawn)), drawn.pixels, ["red square"], search).sought
    assert sought.count == 80
    for box in drawn.boxes("red square"):
        grown = Box(box.x1 - 2, box.y1 - 2, box.x2 + 2, box.y2 + 2)
        assert sum(grown.contains(thing.center) for thing in sought.things) == 1


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_a_hostile_responder_is_reported_and_never_an_error(how):
    drawn = scene(7, size=(1200, 900), counts={"red square": 8}, sides=(20, 80), gap=10)
    search = replace(ALL, max_pixels=500 * 28 * 28, min_pixels=None, count=True)
    located = locate(Hostile(Oracle(Knows(drawn)), how), drawn.pixels, ["red square"], search)
    (sought,) = located.sought
    full = Size(1200, 900)
    for thing in (*sought.things, *sought.rejected):
        assert thing.shape.clipped(full)[1] is False
    if how in ("error_first", "slow", "swapped", "invented"):
        assert sought.count >= 8
    else:
        assert sought.status in ("unread", "conflict") or sought.problems, how
        assert sought.status != "absent"
    if how in ("loop", "cut"):
        assert not located.coverage.is_full
        assert "cut off" in located.coverage.skipped[0].reason


class Broken:
    def respond(self, conversations, sampling):
        raise RemoteError("the endpoint is gone")


def test_an_endpoint_that_is_gone_leaves_nothing_seen():
    pixels = np.zeros((300, 300, 3), np.uint8)
    located = locate(Broken(), pixels, ["cat", "dog"], replace(ALL, count=True))
    assert [one.status for one in located.sought] == ["unread", "unread"]
    assert not located.coverage.seen
    assert {one.reason for one in located.coverage.skipped} == {"the endpoint is gone"}
    assert "cat" in located.coverage.skipped[0].what


def test_a_model_behind_an_endpoint():
    pixels = np.full((280, 280, 3), 200, np.uint8)
    places = '[{"bbox_2d": [10, 20, 60, 90], "label": "cat"}]'
    pieces = [{"token": one, "logprob": -0.1} for one in (places[:20], places[20:])]
    listed = {"message": {"content": places}, "logprobs": {"content": pieces}}
    with serving() as server:
        server.script = [
            (200, json.dumps({"choices": [listed]}).encode(), {}),
            (200, completion("Yes, one cat."), {}),
        ]
        endpoint = Endpoint(url=server.url, model="m", fit=lambda size, part: Size(140, 140))
        (sought,) = locate(endpoint, pixels, ["cat"], ALL).sought
        (checked,) = locate(endpoint, pixels, ["cat"], replace(ALL, verify=True)).sought
        unfitted = Endpoint(url=server.url, model="m")
        with pytest.raises(ConfigError, match="places cannot be mapped back"):
            locate(unfitted, pixels, ["cat"], ALL)
        endpoint.close()
        unfitted.close()
    (thing,) = sought.things
    assert thing.shape == Box(20, 40, 120, 180)
    assert thing.score.value == pytest.approx(np.exp(-0.1))
    assert checked.status == "conflict"  # the second answer has no place, and says that it is there


@pytest.mark.parametrize("tile", ["some", 50, True, 1.5])
def test_a_tile_that_cannot_be_is_an_error(tile):
    with pytest.raises(ConfigError, match="tile is"):
        locate(Broken(), np.zeros((300, 300, 3), np.uint8), ["cat"], replace(ALL, tile=tile))


def test_more_tiles_than_questions_is_an_error():
    with pytest.raises(ConfigError, match="at most 35 are allowed"):
        locate(Broken(), np.zeros((3000, 3000, 3), np.uint8), ["cat"], replace(ALL, tile=200))


def test_json_has_places_scores_and_coverage():
    drawn = scene(8, size=(600, 400), counts={"red square": 2}, sides=(40, 80))
    values = locate(
        Oracle(Knows(drawn)), drawn.pixels, ["red square"], ALL, source="a.png"
    ).to_dict()
    (phrase,) = values["phrases"]
    assert (phrase["count"], phrase["sure"], phrase["possible"]) == (2, 2, 0)
    assert set(phrase["things"][0]) >= {"box", "score", "label", "said", "is_cut"}
    assert values["coverage"]["unit"] == "tiles"
    assert values["size"] == {"width": 600, "height": 400}

# SPDX-License-Identifier: Apache-2.0
"""Stop strings are found across pieces, and nothing of them gets out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finesight.engine.stop import StopStrings


def run(pieces: list[str], stops: list[str]) -> tuple[list[str], str | None]:
    watcher = StopStrings(stops)
    shown = [watcher.feed(piece) for piece in pieces]
    shown.append(watcher.flush())
    return shown, watcher.found


def test_text_before_the_stop_comes_out():
    assert run(["one END two"], ["END"]) == (["one ", ""], "END")


def test_stop_across_three_pieces():
    assert run(["one E", "N", "D two"], ["END"]) == (["one ", "", "", ""], "END")


def test_held_text_comes_out_when_it_cannot_be_a_stop():
    assert run(["one E", "x"], ["END"]) == (["one ", "Ex", ""], None)


def test_held_text_comes_out_at_the_end():
    assert run(["one EN"], ["END"]) == (["one ", "EN"], None)


def test_earliest_stop_wins():
    assert run(["a b c"], ["c", "b"])[1] == "b"


def test_longer_of_two_at_one_place_wins():
    assert run(["x</s>y"], ["<", "</s>"])[1] == "</s>"


def test_nothing_after_the_stop():
    assert run(["aENDb", "c"], ["END"])[0] == ["a", "", ""]


def test_no_stops_holds_nothing():
    assert run(["abc", "def"], []) == (["abc", "def", ""], None)


@given(
    st.lists(st.text("abc", max_size=4), max_size=12),
    st.lists(st.text("abc", min_size=1, max_size=3), max_size=3),
)
def test_same_as_cutting_the_whole_text(pieces, stops):
    text = "".join(pieces)
    places = [text.find(stop) for stop in stops if stop in text]
    shown, found = run(pieces, stops)
    # A stop that is complete early may win over one that starts before it but ends later.
    if not places:
        assert "".join(shown) == text
        assert found is None
    else:
        assert found is not None
        cut = "".join(shown)
        assert text.startswith(cut)
        assert not any(stop in cut for stop in stops)
        assert text[len(cut) :].startswith(found)

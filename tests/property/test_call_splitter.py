# SPDX-License-Identifier: Apache-2.0
"""Tool calls in a streamed answer are those of the whole text, however it is cut."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from finesight.remote.completions import split_calls
from finesight.server.stream import CallSplitter

CALL = '<tool_call>\n{"name": "look", "arguments": {"x": 1}}\n</tool_call>'
BARE = '{"name": "look", "arguments": {"x": 1}}'

_FRAGMENTS = st.sampled_from(
    [
        *(CALL, BARE, "<tool_call>", "</tool_call>", "<tool_", "<", "{", "}", '{"name": "a"}'),
        *(" ", "\n", "\n\n", "Let me look. ", "a < b", "é😀", '<tool_call>{"name": 5}</tool_call>'),
        *(
            "<tool_call>no JSON</tool_call>",
            '<tool_call>{"name": "b", "arguments": {}}',
            "```json\n",
            "```",
            "`",
        ),
    ]
)


@st.composite
def cut_texts(draw):
    """A text and the places at which it is cut."""
    text = "".join(draw(st.lists(_FRAGMENTS, max_size=8)))
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=12))
    return text, sorted(cuts)


def split_streamed(text, cuts, *, takes_calls=True):
    splitter = CallSplitter(takes_calls=takes_calls)
    places = [0, *cuts, len(text)]
    shown, calls = [], []
    for start, end in itertools.pairwise(places):
        piece, found = splitter.feed(text[start:end], is_last=False)
        shown.append(piece)
        calls += found
    piece, found = splitter.feed("", is_last=True)
    calls += found
    assert splitter.num_calls == len(calls)
    return "".join([*shown, piece]), calls


def plain(calls):
    return [(call.name, call.arguments) for call in calls]


@given(cut_texts())
@example((CALL + CALL, [3, 40, 70]))
@example((f"{BARE} and more", [5]))
@example((f"  {BARE}\n", [1, 2]))
@example((f"One. {CALL} Two.", list(range(60))))
@example((f"{CALL}{BARE}", [10]))
@example((f"{BARE}{CALL}", [10]))
@example((f'<tool_call>\n{{"name": "a"}} {CALL}', [10]))
def test_a_streamed_answer_is_that_of_the_whole_text(case):
    text, cuts = case
    content, calls = split_calls(text)
    shown, found = split_streamed(text, cuts)
    assert plain(found) == plain(calls)
    assert shown.strip() == content.strip()


@given(cut_texts())
def test_without_tools_all_is_text(case):
    text, cuts = case
    assert split_streamed(text, cuts, takes_calls=False) == (text, [])

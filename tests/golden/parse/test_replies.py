# SPDX-License-Identifier: Apache-2.0
"""Replies as models write them, and everything that is read from each; `--update-golden` writes the files anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply, video_record

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
LEFT_OUT = ("text", "media", "usage", "token_ids", "logprobs", "notes")
CUT = ("boxes_truncated", "document_cut", "tool_call")


def media_of(name):
    if name.startswith("video"):
        return (video_record(),)
    if name.endswith("two_pictures"):
        return (picture_record("one.png"), picture_record("two.png", original=(2016, 1008)))
    return (picture_record(),)


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_is_read_as_recorded(name, request):
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    reason = "length" if name in CUT else "stop"
    made = read_answer(reply(text, *media_of(name), finish_reason=reason)).to_dict()
    shown = {key: value for key, value in made.items() if key not in LEFT_OUT}
    written = json.dumps(shown, indent=1, ensure_ascii=False) + "\n"
    path = FOLDER / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.write_text(written, encoding="utf-8")
    assert written == path.read_text(encoding="utf-8")


def test_no_recording_is_left_over():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NAMES

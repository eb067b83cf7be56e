# SPDX-License-Identifier: Apache-2.0
"""As a model of VLMEvalKit: its lists of parts are asked in their order, with its frames."""

from __future__ import annotations

import sys

import pytest

from finesight.conversation import ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.interop import vlmevalkit
from tests.support.harnesses import BaseModel


def part(kind, value, **more):
    return {"type": kind, "value": value, **more}


def test_it_is_a_model_of_theirs():
    assert issubclass(vlmevalkit.FinesightVLM, BaseModel)
    assert (vlmevalkit.FinesightVLM.INTERLEAVE, vlmevalkit.FinesightVLM.VIDEO_LLM) == (True, True)


def test_parts_keep_their_order_and_get_the_pixels(model):
    adapter = vlmevalkit.FinesightVLM(model_path="tiny", max_pixels=50176, max_new_tokens=16)
    message = [
        part("image", "a.png"),
        part("text", "and"),
        part("image", "b.png"),
        part("text", "?"),
    ]
    assert adapter.generate(message, dataset="MMBench") == "answer 1"
    assert model.asked[-1].messages == (
        Message(
            "user",
            (
                ImagePart(source="a.png", max_pixels=50176),
                TextPart("and"),
                ImagePart(source="b.png", max_pixels=50176),
                TextPart("?"),
            ),
        ),
    )
    assert model.samplings[-1].max_new_tokens == 16
    assert model.loaded == [("tiny", None, None)]


def test_frames_are_those_that_the_data_set_puts_in(model):
    adapter = vlmevalkit.FinesightVLM(fps=2, max_frames=64)
    adapter.generate([part("video", "a.mp4")])
    assert model.parts == [VideoPart(source="a.mp4", fps=2, max_frames=64)]
    adapter.nframe, adapter.fps = 16, None
    adapter.generate([part("video", "a.mp4")])
    assert model.parts == [VideoPart(source="a.mp4", nframes=16)]


def test_roles_make_turns(model):
    adapter = vlmevalkit.FinesightVLM(system_prompt="Be brief.")
    adapter.generate([part("text", "Mine.", role="system"), part("text", "a"), part("text", "b")])
    assert [(each.role, len(each.parts)) for each in model.asked[-1].messages] == [
        ("system", 1),
        ("user", 2),
    ]
    turns = [
        {"role": "user", "content": [part("text", "a")]},
        {"role": "assistant", "content": [part("text", "b")]},
        {"role": "user", "content": [part("text", "c")]},
    ]
    assert adapter.chat(turns) == "answer 2"
    assert [each.role for each in model.asked[-1].messages] == [
        *("system", "user", "assistant", "user"),
    ]


def test_what_cannot_be_asked_is_named(model):
    adapter = vlmevalkit.FinesightVLM()
    with pytest.raises(ConfigError, match="the message is empty"):
        adapter.generate([])
    with pytest.raises(ConfigError, match="type 'audio'"):
        adapter.generate_inner([part("audio", "a.wav")])
    with pytest.raises(ConfigError, match="role 'tool'"):
        adapter.generate_inner([part("text", "a", role="tool")])


def test_a_name_is_added_to_their_table(model):
    vlmevalkit.register("finesight-tiny", model_path="tiny", max_pixels=50176)
    table = sys.modules["vlmeval.config"].supported_VLM
    assert isinstance(table["finesight-tiny"](), vlmevalkit.FinesightVLM)
    with pytest.raises(ConfigError, match="already has a model 'finesight-tiny'"):
        vlmevalkit.register("finesight-tiny")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vlmeval.vlm.base", None)
    with pytest.raises(ConfigError, match="install ms-vlmeval"):
        _ = vlmevalkit.FinesightVLM
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = vlmevalkit.Other

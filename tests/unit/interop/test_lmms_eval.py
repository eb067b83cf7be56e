# SPDX-License-Identifier: Apache-2.0
"""As a chat model of lmms-eval: what its tasks hand over is asked as it stands, and answered in its records."""

from __future__ import annotations

import sys
import tomllib

import pytest
from PIL import Image

from finesight.conversation import ImagePart, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError, EvalError
from finesight.interop import lmms_eval
from tests.architecture.source import ROOT
from tests.support.harnesses import Instance, Lmms

PICTURE = Image.new("RGB", (56, 56))


def user(*content):
    return [{"role": "user", "content": list(content)}]


def text(words):
    return {"type": "text", "text": words}


def asked_of(to_messages, adapter, wanted=None, kind="generate_until"):
    adapter.task_dict = {"toy": {"test": ["a document", "another"]}}
    return [
        Instance(kind, ("context", to_messages, wanted or {}, 1, "toy", "test"), task_name="toy")
    ]


def made(line="pretrained=tiny", **more):
    return lmms_eval.FinesightLmms.create_from_arg_string(line, more)


def test_it_is_a_chat_model_of_theirs_and_found_by_name(model):
    assert issubclass(lmms_eval.FinesightLmms, Lmms)
    assert lmms_eval.FinesightLmms is lmms_eval.FinesightLmms
    assert not lmms_eval.FinesightLmms.is_simple
    found = lmms_eval.manifest()
    assert found.model_id == "finesight"
    module, name = found.chat_class_path.rsplit(".", 1)
    assert getattr(sys.modules[module], name) is lmms_eval.FinesightLmms
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["lmms_eval.models"] == {"finesight": f"{module}:manifest"}


def test_settings_come_as_text_and_reach_every_part(model):
    line = "pretrained=tiny,max_pixels=50176,max_frames=8,dtype=float32"
    adapter = made(line, batch_size=1, max_batch_size=None, device="cpu")
    assert model.loaded == [("tiny", "cpu", "float32")]
    video = {"type": "video", "url": "a.mp4", "start_time": 1.0, "end_time": 2.5}
    content = ({"type": "image", "url": PICTURE}, video, text("What?"))
    (result,) = adapter.generate_until(asked_of(lambda doc: user(*content), adapter))
    assert (result.text, result.token_counts.output_tokens) == ("answer 1", 3)
    assert result.token_counts.input_tokens == 200
    picture, clip, words = model.parts
    assert picture == ImagePart(source=PICTURE, max_pixels=50176)
    assert clip == VideoPart(
        source="a.mp4", max_pixels=50176, max_frames=8, start_seconds=1.0, end_seconds=2.5
    )
    assert words == TextPart("What?")
    assert adapter.cache_hook.kept == [("generate_until", ("context", {}), "answer 1")]


def test_the_document_is_looked_up(model):
    adapter = made()
    adapter.generate_until(asked_of(lambda doc: user(text(doc)), adapter))
    assert model.parts == [TextPart("another")]


def test_frames_and_pieces_of_videos(model):
    adapter = made("pretrained=tiny,fps=1")
    piece = {"type": "video", "url": {"path": "b.mp4", "video_start": 3, "video_end": 4}}
    frames = {"type": "video", "url": [PICTURE, PICTURE]}
    adapter.generate_until(asked_of(lambda doc: user(piece, frames), adapter))
    assert model.parts == [
        VideoPart(source="b.mp4", fps=1, start_seconds=3, end_seconds=4),
        VideoPart(source=(PICTURE, PICTURE)),  # its frames are chosen already
    ]


def test_a_system_prompt_stands_first_unless_there_is_one(model):
    adapter = made("pretrained=tiny,system_prompt=Be brief.")
    adapter.generate_until(asked_of(lambda doc: user(text("x")), adapter))
    assert [each.role for each in model.asked[-1].messages] == ["system", "user"]
    own = [{"role": "system", "content": "Mine."}, *user(text("x"))]
    adapter.generate_until(asked_of(lambda doc: own, adapter))
    assert model.asked[-1].messages[0].parts == (TextPart("Mine."),)


def test_rounds_go_on_until_the_task_has_enough(model):
    seen = []

    def to_messages(doc, *, round_idx=None, previous_output=None, previous_round_info=None):
        if round_idx is None:
            return user(text("first"))
        seen.append((round_idx, previous_output, previous_round_info))
        return (user(text("next")), round_idx == 2, previous_output, {"noted": round_idx})

    adapter = made()
    requests = asked_of(to_messages, adapter, kind="generate_until_multi_round")
    assert adapter.generate_until_multi_round(requests) == [["answer 1", "answer 2"]]
    assert seen == [(1, ["answer 1"], None), (2, ["answer 1", "answer 2"], {"noted": 1})]


GREEDY = {
    "nothing said": {},
    "not to sample": {"do_sample": False, "temperature": 0.7, "top_p": 0.9},
    "temperature 0": {"temperature": 0, "top_p": None, "num_beams": 1},
    "their default end": {"until": ["\n\n", ""]},
}


@pytest.mark.parametrize("wanted", GREEDY.values(), ids=GREEDY)
def test_greedy(wanted):
    assert lmms_eval.sampling_from(wanted, Sampling()) == Sampling()


def test_sampling_and_ends():
    wanted = {"temperature": 0.7, "top_p": 0.9, "max_new_tokens": 16, "until": "Q:", "seed": 3}
    assert lmms_eval.sampling_from(wanted, Sampling()) == Sampling(
        temperature=0.7, top_p=0.9, max_new_tokens=16, stop=("Q:",), seed=3
    )
    assert lmms_eval.sampling_from({"do_sample": True}, Sampling()).temperature == 1


def test_options_that_do_nothing_are_told():
    with pytest.warns(UserWarning, match="without effect here: image_aspect_ratio"):
        lmms_eval.sampling_from({"image_aspect_ratio": "pad"}, Sampling())
    with pytest.raises(ConfigError, match="num_beams is 5"):
        lmms_eval.sampling_from({"num_beams": 5}, Sampling())


BAD = {
    "audio": (user({"type": "audio", "url": "a.wav"}), "type 'audio'"),
    "nothing": (None, "returned no messages: None"),
    "an empty turn": (user(), "message 0 of 1 is empty"),
    "no file": (user({"type": "video", "url": {"video_start": 1}}), "has no file"),
}


@pytest.mark.parametrize(("messages", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_asked_names_its_document(model, messages, said):
    adapter = made()
    with pytest.raises(EvalError, match=said) as told:
        adapter.generate_until(asked_of(lambda doc: messages, adapter))
    assert told.value.message.startswith("toy, document 1: ")


@pytest.mark.parametrize("number", [1.5, float("inf"), float("nan"), "many", -1, True])
def test_a_budget_that_is_no_whole_number_is_refused(model, number):
    with pytest.raises(ConfigError, match=rf"max_pixels={number!r}; it must be a whole number"):
        lmms_eval.FinesightLmms(max_pixels=number)


def test_what_is_not_offered_is_said(model):
    adapter = made()
    requests = asked_of(lambda doc: user(text("x")), adapter, kind="loglikelihood")
    with pytest.raises(EvalError, match="toy asks for log-likelihoods"):
        adapter.loglikelihood(requests)
    with pytest.raises(ConfigError, match="batch_size is 8"):
        made(batch_size=8)
    adapter._world_size = 2
    with pytest.raises(ConfigError, match="started as 2 processes"):
        adapter.generate_until(requests)
    with pytest.raises(ConfigError, match="started as 2 processes"):
        _ = adapter.device


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmms_eval.api.model", None)
    with pytest.raises(ConfigError, match="install lmms-eval"):
        _ = lmms_eval.FinesightLmms
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = lmms_eval.Other


def test_the_embedded_model_answers(tmp_path):
    adapter = made("pretrained=tiny,max_new_tokens=4", device="cpu")
    content = ({"type": "image", "url": PICTURE}, text("Read all the text in the image."))
    (result,) = adapter.generate_until(asked_of(lambda doc: user(*content), adapter))
    assert isinstance(result.text, str)
    assert 1 <= result.token_counts.output_tokens <= 4

# SPDX-License-Identifier: Apache-2.0
"""The verbs of a loaded model, with random weights."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
import torch

import finesight
from finesight.api import shared
from finesight.api.network import checked_dtype
from finesight.apps.grounding.prompts import locate_question
from finesight.conversation import Conversation, ImagePart, Sampling, VideoPart
from finesight.errors import ConfigError, MediaError, PromptTooLong
from finesight.geometry import Size
from finesight.model.device import checked_device

SHORT = {"max_new_tokens": 5}


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return finesight.load(tiny_model_folder, device="cpu")


def messages(picture, text="What is this?"):
    content = [{"type": "image", "image": picture}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def test_ask_brings_the_resize_home(model, picture):
    answer = model.ask("What is this?", images=[picture], **SHORT)
    original = answer.media[0].resize.original
    assert (original.width, original.height) == picture.size
    assert answer.finish_reason in ("stop", "length")
    assert len(answer.token_ids) <= 5


def test_ask_in_words_equals_ask_in_records(model, picture):
    answer = model.ask("What is this?", images=[picture], **SHORT)
    sampling = Sampling(max_new_tokens=5)
    (reply,) = model.respond([messages(picture)], sampling)
    assert reply.token_ids == answer.token_ids
    assert model.answer(messages(picture), sampling).text == answer.text


def test_answer_and_respond_take_single_values(model, picture):
    wanted = model.answer(messages(picture), Sampling(max_new_tokens=3))
    assert model.answer(messages(picture), max_new_tokens=3).token_ids == wanted.token_ids
    assert (
        model.answer(messages(picture), Sampling(), max_new_tokens=3).token_ids == wanted.token_ids
    )
    (reply,) = model.respond([messages(picture)], max_new_tokens=np.int64(3))
    assert reply.token_ids == wanted.token_ids


@pytest.mark.parametrize("call", [lambda m, c: m.respond(c), lambda m, c: m.score(c)])
def test_several_conversations_are_a_list(model, picture, call):
    for single in (messages(picture), Conversation(()), "What?", None):
        with pytest.raises(ConfigError, match="a list of conversations is needed, not a") as caught:
            call(model, single)
        assert "answer(conversation)" in caught.value.hint


def test_pixels_and_open_files_are_pictures_and_videos(model, picture):
    wanted = model.ask("What?", images=picture, **SHORT).token_ids
    pixels = np.asarray(picture.convert("RGB"))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    for images in (pixels, [torch.from_numpy(pixels.copy())], stream):
        assert model.ask("What?", images=images, **SHORT).token_ids == wanted
    part = {"type": "image", "image": stream, "max_pixels": np.int64(4000)}
    answer = model.answer(
        [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}], **SHORT
    )
    assert answer.media[0].resize.resized.area <= 4000
    frames = model.ask("What?", videos=np.stack([pixels] * 2), fps=np.float32(1), **SHORT)
    assert frames.media[0].clock.source_seconds == (0.0, 1.0)
    assert (
        "no timestamps" in model.ask("?", videos=np.stack([pixels] * 2), **SHORT).media[0].notes[0]
    )


def test_the_first_of_several_pages_is_noted_and_others_are_given(model, picture):
    stream = io.BytesIO()
    picture.save(stream, "TIFF", save_all=True, append_images=[picture.resize((60, 40))])
    (first,) = model.ask("What?", images=stream, **SHORT).media
    assert first.notes[0].startswith("page 1 of 2 is shown")
    assert model.processor.measure(ImagePart(source=stream)) == first
    (second,) = model.ask("What?", images=(stream, "2"), **SHORT).media
    assert (second.page, second.notes, second.resize.original) == (1, (), Size(60, 40))
    assert model.processor.measure(ImagePart(source=stream, page=1)) == second


@pytest.mark.parametrize("options", [{}, {"images": ["a.png"]}])
def test_locate_without_its_picture_says_how(model, options):
    with pytest.raises(ConfigError, match="locate takes a single picture, given as image="):
        model.locate("the disc", **options)


@pytest.mark.parametrize(
    "given", [{"hub": "x"}, {"name": 5}, {"dtype": ["float32"]}, {"attention": 3}]
)
def test_load_refuses_what_it_does_not_know(tiny_model_folder, given):
    with pytest.raises(ConfigError):
        finesight.load(**({"name": tiny_model_folder} | given))


def test_stream_joins_to_the_answer(model, picture):
    events = list(model.stream("What is this?", images=picture, **SHORT))
    answer = model.ask("What is this?", images=picture, **SHORT)
    assert "".join(event.text for event in events) == answer.text
    assert events[-1].reply.token_ids == answer.token_ids


def test_video_options_reach_the_clip(model, video_file):
    answer = model.ask("What?", videos=[video_file], fps=4.0, start=0.5, end=1.5, **SHORT)
    record = answer.media[0]
    assert record.clock.source_seconds[0] == pytest.approx(0.5, abs=0.11)
    assert record.clock.source_seconds[-1] <= 1.6
    assert record.sample_fps == pytest.approx(4.0, rel=0.1)


def test_frames_and_parts_are_taken_as_they_are(model, picture):
    frames = model.ask("What?", videos=[(picture, picture)], **SHORT)
    part = VideoPart(source=(picture, picture))
    assert model.ask("What?", videos=[part], **SHORT).token_ids == frames.token_ids
    own = model.ask("What?", images=[ImagePart(source=picture, max_pixels=4000)], **SHORT)
    assert own.media[0].resize.resized.area <= 4000


def test_fit_tokens_shrinks_the_media(model, picture):
    large = picture.resize((900, 700))
    answer = model.ask("What?", images=[large, large], fit_tokens=300, **SHORT)
    assert 200 < answer.usage.prompt_tokens <= 300


def test_vision_ids_are_written(model, picture):
    plain = model.ask("What?", images=[picture], **SHORT).usage.prompt_tokens
    named = model.ask("What?", images=[picture], add_vision_id=True, **SHORT).usage.prompt_tokens
    assert named > plain


def test_logits_have_a_row_per_token(model, picture):
    logits = model.logits(messages(picture))
    sample = model.encode(messages(picture))
    assert logits.dtype == torch.float32
    assert tuple(logits.shape) == (sample.input_ids.numel(), 448)
    (reply,) = model.respond([messages(picture)], Sampling(max_new_tokens=1))
    assert int(logits[-1].argmax()) == reply.token_ids[0]


def test_score_is_the_probability_of_the_answer(model, picture):
    answered = [*messages(picture), {"role": "assistant", "content": "red"}]
    (scores,) = model.score([answered])
    logits = model.logits(answered, add_generation_prompt=False).log_softmax(-1)
    ids = model.encode(answered, add_generation_prompt=False).input_ids
    labels = model.encode(answered, add_generation_prompt=False).labels
    places = (labels != -100).nonzero().squeeze(1)
    expected = [float(logits[place - 1, ids[place]]) for place in places]
    assert scores == pytest.approx(expected, abs=1e-4)


def test_plain_tokens_are_scored_from_the_second_on(model):
    asked = [{"role": "user", "content": "What is red and round?"}]
    ids = model.encode(asked).input_ids
    logits = model.logits(asked).log_softmax(-1)
    expected = logits[:-1].gather(1, ids[1:, None]).squeeze(1).tolist()
    assert model.engine.score_tokens(ids.tolist()) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(PromptTooLong, match="4096"):
        model.engine.score_tokens([5] * 5000)


def test_a_conversation_beyond_the_context_is_refused(model, picture):
    text = "word " * 4000
    with pytest.raises(PromptTooLong, match="4096"):
        model.logits(messages(picture, text))


def test_a_missing_picture_is_named(model):
    with pytest.raises(MediaError, match=r"nowhere\.png"):
        model.ask("What?", images=["nowhere.png"])


def test_an_unknown_option_is_refused(model, picture):
    with pytest.raises(ConfigError, match="'maxpixels'"):
        model.ask("What?", images=[picture], maxpixels=3)


def test_the_checkpoints_defaults_hold_until_told_otherwise(tiny_model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    values = {"do_sample": True, "temperature": 0.3, "max_new_tokens": 3, "eos_token_id": [370]}
    (folder / "generation_config.json").write_text(json.dumps(values))
    model = finesight.load(folder, device="cpu")
    assert model.defaults == Sampling(temperature=0.3, max_new_tokens=3)
    assert len(model.ask("What?").token_ids) <= 3
    assert 370 in model.engine.eos_ids


def test_the_shared_model_is_kept(tiny_model_folder, picture):
    shared.shared_model.cache_clear()
    first = finesight.ask("What?", model=tiny_model_folder, images=[picture], **SHORT)
    second = finesight.ask("What?", model=str(tiny_model_folder), images=[picture], **SHORT)
    finesight.locate("the disc", picture, model=tiny_model_folder, **SHORT)
    assert first.text == second.text
    assert shared.shared_model.cache_info().misses == 1
    shared.shared_model.cache_clear()


@pytest.mark.parametrize(
    ("phrase", "asked"),
    [
        ("red square", "Locate the red square,"),
        ("the red square", "Locate the red square,"),
        ("Every apple", "Locate Every apple,"),
        ("红色方块", "Locate 红色方块,"),
    ],
)
def test_locate_asks_in_the_known_words(phrase, asked):
    assert locate_question(phrase, "box").startswith(asked)


@pytest.mark.parametrize(
    "phrase", ["red square", "the red square", "all the red square", "Every red square"]
)
def test_every_instance_is_asked_for_in_the_known_words(phrase):
    assert locate_question(phrase, "box", all_=True) == (
        "Locate every red square in the image and output the coordinates in JSON format."
    )
    assert locate_question(phrase, "point", all_=True) == (
        "Point to each red square, output the point coordinates in JSON format."
    )


def test_a_phrase_of_determiners_is_kept():
    assert "Locate every this in" in locate_question("this", "box", all_=True)


@pytest.mark.parametrize(
    ("phrase", "shape"),
    [("", "box"), ("  ", "box"), (5, "box"), ("x", "circle"), ("x", ["box"]), ("x", None)],
)
def test_locate_refuses_what_it_cannot_ask(phrase, shape):
    with pytest.raises(ConfigError):
        locate_question(phrase, shape)


def test_devices_and_dtypes_are_checked():
    assert checked_device("cpu") == "cpu"
    assert checked_device("auto") in ("cpu", "cuda")
    assert checked_dtype("bfloat16") is torch.bfloat16
    assert checked_dtype(torch.float16) is torch.float16
    with pytest.raises(ConfigError, match="abacus"):
        checked_device("abacus")
    with pytest.raises(ConfigError, match="int3"):
        checked_dtype("int3")

# SPDX-License-Identifier: Apache-2.0
"""A whole conversation: placeholders, labels, records, and what goes wrong with a name on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.batch import IGNORE_INDEX, pack
from finesight.config.model import ModelConfig
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError, DecodeError, LayoutError, UnsupportedMedia
from finesight.geometry import Size
from finesight.processor.processor import Processor
from finesight.text import chat_template
from tests.conftest import PREPROCESSOR, build_tokenizer


def said(role, *parts, **options):
    return Message(role, tuple(TextPart(p) if isinstance(p, str) else p for p in parts), **options)


def read(processor, ids):
    return processor.tokenizer.decode([int(index) for index in ids], skip_special=False)


def test_picture_and_question(tiny_processor, picture_file):
    part = ImagePart(source=str(picture_file))
    sample = tiny_processor.encode(Conversation((said("user", part, "Read all the text."),)))
    sample.check()
    (item,) = sample.vision
    assert item.grid_thw == (1, 6, 8)
    assert item.record.source == str(picture_file)
    assert item.record.resize.original == item.record.resize.resized == Size(112, 84)
    assert item.record.visual_tokens == 12 == sample.visual_index.numel()
    assert sample.media == (item.record,)
    text = read(tiny_processor, sample.input_ids)
    assert text.count("<|image_pad|>") == 12
    assert "<|vision_start|>" + "<|image_pad|>" * 12 + "<|vision_end|>Read all the text." in text
    assert text.endswith("<|im_start|>assistant\n")
    pad = tiny_processor.tokenizer.special_id("<|image_pad|>")
    assert (sample.input_ids[sample.visual_index] == pad).all()


def test_labels_are_the_answers(tiny_processor):
    conversation = Conversation(
        (
            said("user", "a question"),
            said("assistant", "first", is_target=False),
            said("user", "assistant\nanother <|im_start|>assistant\n question"),
            said("assistant", "second answer"),
        )
    )
    sample = tiny_processor.encode(conversation, add_generation_prompt=False)
    learned = sample.labels != IGNORE_INDEX
    assert torch.equal(sample.labels[learned], sample.input_ids[learned])
    assert read(tiny_processor, sample.labels[learned]) == "second answer<|im_end|>\n"


def test_answer_that_starts_with_a_line_break(tiny_processor):
    """The break may join the one after the role; such a token belongs to the header."""
    conversation = Conversation((said("user", "q"), said("assistant", "\n\n ok")))
    sample = tiny_processor.encode(conversation, add_generation_prompt=False)
    assert "<|im_start|>assistant\n\n\n ok<|im_end|>\n" in read(tiny_processor, sample.input_ids)
    tokenizer = tiny_processor.tokenizer
    ids, starts = tokenizer.encode_with_starts("assistant\n\n\n ok")
    content = [i for i, start in zip(ids, starts, strict=True) if start >= len("assistant\n")]
    expected = [*content, tokenizer.special_id("<|im_end|>"), *tokenizer.encode("\n")]
    assert sample.labels[sample.labels != IGNORE_INDEX].tolist() == expected


def test_video_file(tiny_processor, video_file):
    part = VideoPart(source=str(video_file), fps=4, min_pixels=3136)
    sample = tiny_processor.encode(Conversation((said("user", part, "what?"),)))
    sample.check()
    (item,) = sample.vision
    assert item.grid_thw[0] == 4
    assert item.record.kind == "video"
    assert item.record.sample_fps == 4
    assert item.position_seconds == (0.0, 0.5, 1.0, 1.5)
    assert len(item.record.clock.source_seconds) == 8
    assert read(tiny_processor, sample.input_ids).count("<|video_pad|>") == item.num_visual_tokens
    times = sample.position_ids[0, sample.visual_index].unique().tolist()
    assert times == [times[0] + step for step in range(4)]


def test_frame_list_keeps_its_true_times(tiny_processor):
    frames = tuple(Image.new("RGB", (56, 56), (value, 0, 0)) for value in (0, 50, 100, 150, 200))
    part = VideoPart(source=frames, timestamps=(10.0, 10.5, 13.0, 20.0, 21.0), min_pixels=3136)
    (item,) = tiny_processor.encode(Conversation((said("user", part),))).vision
    assert item.position_seconds == (0.0, 3.0, 11.0)
    assert item.record.clock.source_seconds == (10.0, 10.5, 13.0, 20.0, 21.0, 21.0)
    assert any("last of 5 frames" in note for note in item.record.notes)


def test_collisions_are_noted(tiny_processor):
    frames = tuple(Image.new("RGB", (28, 28)) for _ in range(8))
    part = VideoPart(source=frames, sample_fps=8.0, min_pixels=784)
    record = tiny_processor.measure(part)
    assert any(
        "2 of 4 frame pairs share" in note and "8 frames per second" in note
        for note in record.notes
    )


def test_media_of_all_kinds_stay_in_order(tiny_processor, picture, video_file):
    conversation = Conversation(
        (
            said(
                "user",
                ImagePart(source=picture),
                "and",
                VideoPart(source=str(video_file), nframes=4),
            ),
            said("assistant", "ok"),
            said("user", ImagePart(source=np.zeros((28, 56, 3), dtype=np.uint8))),
        )
    )
    sample = tiny_processor.encode(conversation, add_vision_id=True)
    sample.check()
    assert [record.kind for record in sample.media] == ["image", "video", "image"]
    text = read(tiny_processor, sample.input_ids)
    assert text.index("Picture 1: ") < text.index("Video 1: ") < text.index("Picture 2: ")
    pack([sample, sample]).check()


def test_plan_says_what_encode_does(tiny_processor, picture, video_file):
    video = VideoPart(source=str(video_file), fps=2)
    conversation = Conversation((said("user", ImagePart(source=picture), video, "what?"),))
    plan = tiny_processor.plan(conversation)
    sample = tiny_processor.encode(conversation)
    assert plan.num_tokens == sample.input_ids.numel()
    assert plan.media == sample.media
    assert plan.visual_tokens == sample.visual_index.numel()
    assert plan.text_tokens == plan.num_tokens - plan.visual_tokens


@pytest.mark.parametrize("max_tokens", [100, 200, 500])
def test_fit_into(tiny_processor, video_file, max_tokens):
    image = Image.new("RGB", (1000, 700))
    video = VideoPart(source=str(video_file), nframes=4)
    conversation = Conversation((said("user", ImagePart(source=image), "and", video, "what?"),))
    fitted = tiny_processor.fit_into(conversation, max_tokens)
    plan = tiny_processor.plan(fitted)
    assert plan.num_tokens <= max_tokens
    assert plan.num_tokens == tiny_processor.encode(fitted).input_ids.numel()
    assert plan.num_tokens > max_tokens * 0.6  # the budget is used, not only kept


def test_fit_into_leaves_alone_what_fits(tiny_processor, picture):
    conversation = Conversation((said("user", ImagePart(source=picture)),))
    assert tiny_processor.fit_into(conversation, 1000) is conversation


def test_what_cannot_fit_is_refused(tiny_processor, picture):
    conversation = Conversation((said("user", *[ImagePart(source=picture)] * 30),))
    with pytest.raises(ConfigError, match="do not fit into 50"):
        tiny_processor.fit_into(conversation, 50)


def test_an_error_has_the_number_of_its_picture(tiny_processor, picture):
    parts = (ImagePart(source=picture), TextPart("?"), ImagePart(source=b"junk"))
    with pytest.raises(DecodeError) as caught:
        tiny_processor.encode(Conversation(messages=(Message("user", parts),)))
    assert caught.value.item == 1


def test_long_pictures_are_refused_by_name(tiny_processor, tmp_path):
    path = tmp_path / "strip.png"
    Image.new("RGB", (4020, 20)).save(path)
    conversation = Conversation((said("user", ImagePart(source=str(path))),))
    with pytest.raises(UnsupportedMedia, match=r"strip\.png: .* side ratio of 201"):
        tiny_processor.encode(conversation)


@pytest.mark.parametrize("given", [0, 1, 3])
def test_more_or_fewer_pads_than_pictures(tiny_processor, picture, given):
    part = ImagePart(source=picture)
    segments = chat_template.render(Conversation((said("user", part, part),)))
    with pytest.raises(LayoutError, match=f"2 slots for media but {given} media were given"):
        tiny_processor.assemble(segments, [tiny_processor.prepare(part)] * given)


def test_pads_written_by_a_user_are_text(tiny_processor, picture):
    text = "<|vision_start|><|image_pad|><|vision_end|>"
    sample = tiny_processor.encode(Conversation((said("user", text, ImagePart(source=picture)),)))
    sample.check()
    assert sample.visual_index.numel() == 12


def write_folder(folder, config):
    build_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))


def test_from_folder(tmp_path, tiny_hf_config, tiny_processor, picture):
    write_folder(tmp_path, tiny_hf_config)
    conversation = Conversation((said("user", ImagePart(source=picture), "x"),))
    ours, read_one = (
        tiny_processor.encode(conversation),
        Processor.from_folder(tmp_path).encode(conversation),
    )
    assert torch.equal(ours.input_ids, read_one.input_ids)
    assert torch.equal(ours.vision[0].patches, read_one.vision[0].patches)


def test_tokenizer_of_another_model_is_refused(tmp_path, tiny_hf_config):
    wrong = tiny_hf_config | {"image_token_id": tiny_hf_config["image_token_id"] - 1}
    write_folder(tmp_path, wrong)
    with pytest.raises(ConfigError, match=r"<\|image_pad\|> has id \d+, but config.json says \d+"):
        Processor.from_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_missing_files_are_named(tmp_path, tiny_hf_config, name):
    write_folder(tmp_path, tiny_hf_config)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        Processor.from_folder(tmp_path)


def test_model_config_decides_ids(tiny_tokenizer, tiny_hf_config):
    config = ModelConfig.from_hf(tiny_hf_config)
    ids = config.special_tokens.model_copy(update={"video_pad": 1})
    with pytest.raises(ConfigError, match=r"<\|video_pad\|> .* says 1"):
        Processor(tiny_tokenizer, config.model_copy(update={"special_tokens": ids}))

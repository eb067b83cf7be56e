# SPDX-License-Identifier: Apache-2.0
"""Blank pictures have the size and the number of those they stand for."""

from __future__ import annotations

import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart, VideoPart
from finesight.errors import MediaError
from finesight.evals.core.task import Item
from finesight.evals.responders.blind import BLANK_COLOUR, blanked
from finesight.evals.responders.model import FromModel
from tests.support.benchmark_copies import save
from tests.support.clips import numbered, write_clip
from tests.support.replies import reply


def asked(*parts):
    return Conversation((Message("user", (*parts, TextPart("What is it?"))),))


def shown(conversation):
    return conversation.messages[0].parts


def is_blank(image, size):
    return image.size == size and image.getcolors() == [(size[0] * size[1], BLANK_COLOUR)]


def test_a_picture_keeps_its_size_and_its_limits(tmp_path):
    given = ImagePart(source=save(tmp_path / "a.png", 1, (60, 40)), max_pixels=28 * 28 * 9)
    picture, words = shown(blanked(asked(given)))
    assert is_blank(picture.source, (60, 40))
    assert picture.max_pixels == 28 * 28 * 9
    assert words.text == "What is it?"
    with pytest.raises(MediaError):
        blanked(asked(ImagePart(source=tmp_path / "none.png")))


def test_frames_keep_their_number_and_their_times():
    frames = tuple(Image.new("RGB", (56, 28), colour) for colour in ("red", "green", "blue"))
    part, _ = shown(blanked(asked(VideoPart(source=frames, timestamps=(0.0, 0.5, 2.0)))))
    assert len(part.source) == 3
    assert all(is_blank(frame, (56, 28)) for frame in part.source)
    assert part.timestamps == (0.0, 0.5, 2.0)


def test_a_video_file_becomes_the_frames_that_would_be_shown(tmp_path):
    path = write_clip(tmp_path / "a.mp4", numbered(30), fps=10)
    part, _ = shown(blanked(asked(VideoPart(source=path, nframes=6, total_pixels=10**6))))
    assert len(part.source) == 6
    assert is_blank(part.source[0], (128, 72))
    assert part.timestamps[0] == 0.0
    assert part.timestamps[-1] == pytest.approx(2.9)
    assert (part.nframes, part.total_pixels) == (None, 10**6)
    part.check()


def test_the_responder_is_shown_blank_pictures_and_says_so(tmp_path):
    seen = []

    class Watching:
        def respond(self, conversations, sampling):
            seen.extend(conversations)
            return [reply("a cat")]

    item = Item(id="1", conversation=asked(ImagePart(source=save(tmp_path / "a.png"))), truth={})
    blind = FromModel(Watching(), "me").blind()
    assert blind.answer(item, Sampling()).text == "a cat"
    assert (blind.name, blind.reads_media, blind.declares_resize) == (
        *("me, blank pictures", True, True),
    )
    assert is_blank(shown(seen[0])[0].source, (64, 48))

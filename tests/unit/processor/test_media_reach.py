# SPDX-License-Identifier: Apache-2.0
"""What is asked of a picture, page or video reaches the place that reads it: limits, pages, names, sizes."""

from __future__ import annotations

import socket
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.config.model import ModelConfig
from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError, FetchRefused, MediaError
from finesight.geometry import Size
from finesight.media.fetch import FetchPolicy
from finesight.processor.patchify import patchify_image, patchify_video, resize_frames
from finesight.processor.prepare import prepare_image
from finesight.processor.processor import Processor

VISION = named_config("3b").vision


@pytest.fixture(scope="module")
def closed_address() -> str:
    """An address on this machine where nothing answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"


def parts(address: str):
    return [
        ImagePart(source=address),
        ImagePart(source=address, page=1),
        VideoPart(source=address),
    ]


@pytest.mark.parametrize("index", [0, 1, 2], ids=["picture", "page", "video"])
@pytest.mark.parametrize("verb", ["prepare", "measure"])
def test_limits_of_fetching_hold_for_every_kind(
    tiny_tokenizer, tiny_hf_config, closed_address, verb, index
):
    config = ModelConfig.from_hf(tiny_hf_config)
    part = parts(closed_address)[index]
    with pytest.raises(FetchRefused):
        getattr(Processor(tiny_tokenizer, config), verb)(part)
    lenient = Processor(tiny_tokenizer, config, fetch_policy=FetchPolicy(allow_private=True))
    with pytest.raises(MediaError) as found:
        getattr(lenient, verb)(part)
    assert not isinstance(found.value, FetchRefused)  # tried, and nobody was there


def two_pages() -> bytes:
    """A PDF of a wide white page and a tall red one."""
    contents = (b"", b"1 0 0 rg 0 0 90 180 re f")
    sizes = ((180, 90), (90, 180))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[4 0 R 6 0 R]/Count 2>>"]
    for content, (width, height) in zip(contents, sizes, strict=True):
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents %d 0 R/Resources<<>>>>"
            % (width, height, len(objects))
        )
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        start,
    )


@pytest.mark.parametrize(("page", "is_tall", "is_red"), [(0, False, False), (1, True, True)])
def test_a_page_is_the_one_asked_for(tiny_processor, page, is_tall, is_red):
    part = ImagePart(source=two_pages(), page=page)
    item = tiny_processor.prepare(part)
    size = item.record.resize.original
    assert (size.height > size.width) is is_tall
    assert item.record.page == page
    assert tiny_processor.measure(part) == item.record
    red, green = item.patches[:, :392].mean(), item.patches[:, 392:784].mean()
    assert bool(red > green + 1) is is_red


def test_a_picture_is_of_no_page(tiny_processor, picture):
    assert tiny_processor.measure(ImagePart(source=picture)).page is None


def test_a_video_is_named_and_its_limit_of_frames_told(tiny_processor, video_file):
    record = tiny_processor.measure(VideoPart(source=str(video_file), fps=2.0))
    assert record.source == str(video_file)
    frames = tuple(Image.new("RGB", (28, 28)) for _ in range(8))
    fast = tiny_processor.measure(VideoPart(source=frames, sample_fps=8.0, min_pixels=784))
    assert any("8 frames per second are sampled and 4 can be told apart" in n for n in fast.notes)


def test_a_video_too_long_for_its_height_is_named(tiny_processor):
    frames = (Image.new("RGB", (900, 4)),) * 2
    with pytest.raises(MediaError, match=r"^(?!None:).+: .* side ratio of 225"):
        tiny_processor.measure(VideoPart(source=frames))


def test_an_own_processor_config_is_used(tiny_tokenizer, tiny_hf_config):
    small = ProcessorConfig(max_pixels=4 * 784)
    config = ModelConfig.from_hf(tiny_hf_config)
    large = ImagePart(source=Image.new("RGB", (280, 280)))
    assert Processor(tiny_tokenizer, config, small).measure(large).visual_tokens == 4
    assert Processor(tiny_tokenizer, config).measure(large).visual_tokens == 100


@pytest.fixture(scope="module")
def coarse(tiny_tokenizer, tiny_hf_config) -> Processor:
    """A model with patches of 16 pixels: a grid step of 32 pixels."""
    vision = tiny_hf_config["vision_config"] | {
        "patch_size": 16,
        "spatial_patch_size": 16,
        "window_size": 128,
    }
    config = ModelConfig.from_hf(tiny_hf_config | {"vision_config": vision})
    return Processor(tiny_tokenizer, config)


def test_another_grid_step_holds_for_pictures_and_videos(coarse):
    image = ImagePart(source=np.zeros((100, 150, 3), dtype=np.uint8))
    video = VideoPart(source=(Image.new("RGB", (150, 100)),) * 4, min_pixels=32 * 32)
    for part, pairs in ((image, 1), (video, 2)):
        item = coarse.prepare(part)
        assert item.record.resize.resized == Size(160, 96)
        assert item.grid_thw == (pairs, 6, 10)
        assert item.record.visual_tokens == pairs * 15
        assert isinstance(item.record.visual_tokens, int)
        assert coarse.measure(part) == item.record


def test_a_coarse_conversation_is_fitted_by_its_own_grid(coarse):
    image = ImagePart(source=Image.new("RGB", (960, 960)))
    video = VideoPart(source=(Image.new("RGB", (480, 480)),) * 4)
    conversation = Conversation((Message("user", (image, video, TextPart("?"))),))
    for limit in (100, 250):
        plan = coarse.plan(coarse.fit_into(conversation, limit))
        assert 0.6 * limit < plan.num_tokens <= limit


# ---------------------------------------------------------------------------------------------------- plans


def asked(*media) -> Conversation:
    return Conversation((Message("user", (*media, TextPart("what?"))),))


@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("add_vision_id", [True, False])
def test_a_plan_counts_what_encoding_writes(
    tiny_processor, picture, add_generation_prompt, add_vision_id
):
    options = {"add_generation_prompt": add_generation_prompt, "add_vision_id": add_vision_id}
    conversation = asked(ImagePart(source=picture), ImagePart(source=picture))
    sample = tiny_processor.encode(conversation, **options)
    assert tiny_processor.plan(conversation, **options).num_tokens == sample.input_ids.numel()


def test_the_usual_options_of_plan_and_encode(tiny_processor, picture):
    """A prompt is opened for an answer, and pictures are not numbered."""
    conversation = asked(ImagePart(source=picture))
    text = tiny_processor.tokenizer.decode(
        tiny_processor.encode(conversation).input_ids.tolist(), skip_special=False
    )
    assert text.endswith("<|im_start|>assistant\n")
    assert "Picture 1" not in text
    plan = tiny_processor.plan(conversation)
    explicit = tiny_processor.plan(conversation, add_generation_prompt=True, add_vision_id=False)
    assert plan.num_tokens == explicit.num_tokens


@pytest.mark.parametrize("add_vision_id", [True, False])
def test_a_budget_is_met_to_the_token(tiny_processor, picture, add_vision_id):
    """What has exactly the limit is left alone; one token less and the picture shrinks."""
    conversation = asked(ImagePart(source=picture))
    whole = tiny_processor.plan(conversation, add_vision_id=add_vision_id).num_tokens
    fit = tiny_processor.fit_into
    assert fit(conversation, whole, add_vision_id=add_vision_id) is conversation
    smaller = fit(conversation, whole - 1, add_vision_id=add_vision_id)
    assert smaller is not conversation
    plan = tiny_processor.plan(smaller, add_vision_id=add_vision_id)
    assert plan.num_tokens < whole


def test_fitting_does_not_number_pictures_unasked(tiny_processor, picture):
    conversation = asked(ImagePart(source=picture))
    whole = tiny_processor.plan(conversation).num_tokens
    assert tiny_processor.fit_into(conversation, whole) is conversation


def test_the_smallest_prompt_still_fits(tiny_processor):
    """One visual token per picture and frame pair is the least; one place less is refused."""
    image = ImagePart(source=Image.new("RGB", (280, 280)))
    video = VideoPart(source=(Image.new("RGB", (280, 280)),) * 4)
    conversation = asked(image, video)
    text_tokens = tiny_processor.plan(conversation).text_tokens
    fitted = tiny_processor.fit_into(conversation, text_tokens + 3)
    assert tiny_processor.plan(fitted).num_tokens == text_tokens + 3
    with pytest.raises(ConfigError, match=f"{text_tokens} text tokens and at least 3 visual"):
        tiny_processor.fit_into(conversation, text_tokens + 2)


def test_a_wanted_size_gives_way_to_the_budget(tiny_processor):
    part = ImagePart(source=Image.new("RGB", (56, 56)), resized_height=560, resized_width=840)
    conversation = asked(part)
    text_tokens = tiny_processor.plan(conversation).text_tokens
    assert tiny_processor.plan(conversation).visual_tokens == 600
    fitted = tiny_processor.fit_into(conversation, text_tokens + 50)
    assert tiny_processor.plan(fitted).num_tokens <= text_tokens + 50
    (left,) = fitted.media()
    assert (left.resized_height, left.resized_width) == (None, None)


def test_all_media_shrink_by_one_share_of_area(tiny_processor):
    """A picture of four times the area keeps about four times the tokens."""
    large = ImagePart(source=Image.new("RGB", (1120, 1120)))
    small = ImagePart(source=Image.new("RGB", (560, 560)))
    conversation = asked(large, small)
    text_tokens = tiny_processor.plan(conversation).text_tokens
    plan = tiny_processor.plan(tiny_processor.fit_into(conversation, text_tokens + 520))
    first, second = (record.visual_tokens for record in plan.media)
    assert first + second > 440
    assert 3 <= first / second <= 5


# ---------------------------------------------------------------------------------------------------- samples


def test_visual_tokens_are_never_learned(tiny_processor, picture):
    conversation = Conversation(
        (
            Message("user", (ImagePart(source=picture), TextPart("q"))),
            Message("assistant", (TextPart("a"),)),
        )
    )
    sample = tiny_processor.encode(conversation, add_generation_prompt=False)
    assert (sample.labels[sample.visual_index] == -100).all()
    assert sample.labels.dtype == sample.input_ids.dtype == torch.int64


def test_the_next_position_follows_the_largest(tiny_processor, picture):
    sample = tiny_processor.encode(asked(ImagePart(source=picture)))
    following = int(sample.position_ids.max()) + 1
    assert sample.rope_delta == following - sample.input_ids.numel()
    assert sample.rope_delta < 0


def test_a_sample_without_media_has_no_visual_places(tiny_processor):
    sample = tiny_processor.encode(asked())
    assert sample.visual_index.shape == (0,)
    assert sample.visual_index.dtype == torch.int64
    assert sample.rope_delta == 0


# ---------------------------------------------------------------------------------------------------- frames


def test_shrinking_is_smooth():
    """Every fourth column is white: a quarter of the light is left, wherever the samples fall."""
    stripes = torch.zeros(1, 3, 112, 112, dtype=torch.uint8)
    stripes[..., ::4] = 255
    small = resize_frames(stripes, Size(28, 28)).float()
    assert (small[..., 2:-2] - 255 / 4).abs().max() < 8


def test_black_stays_black_and_white_stays_white():
    """The kernel overshoots at edges: values are clamped to 0 and 255, not shifted or wrapped."""
    frames = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    frames[..., 20:] = 255
    resized = resize_frames(frames, Size(280, 280))
    assert (resized[..., :100] == 0).all()
    assert (resized[..., 180:] == 255).all()
    assert set(resized[..., 130].unique().tolist()) <= set(range(256))
    edge = resized[0, 0, 140].int()
    assert (edge.diff() >= 0).all()


def test_frames_of_one_side_right_are_still_resized():
    frames = torch.zeros(2, 3, 28, 56, dtype=torch.uint8)
    assert resize_frames(frames, Size(28, 28)).shape == (2, 3, 28, 28)
    assert resize_frames(frames, Size(56, 56)).shape == (2, 3, 56, 56)


def test_three_frames_of_a_video_are_two_pairs():
    """The repeated frame is the last one, and each frame lies in its own pair."""
    plain = ProcessorConfig(image_mean=(0, 0, 0), image_std=(1 / 255, 1 / 255, 1 / 255))
    frames = [np.full((28, 28, 3), value, dtype=np.uint8) for value in (10, 20, 30)]
    patches, grid = patchify_video(frames, 3, Size(28, 28), VISION, plain)
    assert grid == (2, 2, 2)
    values = patches.reshape(2, 4, 3, 2, 196).mean(-1)
    assert values[0, :, :, 0].unique().tolist() == pytest.approx([10], abs=1e-3)
    assert values[0, :, :, 1].unique().tolist() == pytest.approx([20], abs=1e-3)
    assert values[1].unique().tolist() == pytest.approx([30], abs=1e-3)


def test_a_video_of_more_patches_than_a_patch_has_values():
    """30 x 42 patches a pair: the second pair is cut like a picture of the same pixels."""
    plain = ProcessorConfig()
    frames = np.random.default_rng(0).integers(0, 256, (2, 420, 588, 3), dtype=np.uint8)
    frames = frames.repeat(2, axis=0)
    patches, grid = patchify_video(frames, 4, Size(588, 420), VISION, plain)
    assert grid == (2, 30, 42)
    for pair in range(2):
        alone, _ = patchify_image(frames[2 * pair], VISION, plain)
        assert torch.equal(patches[pair * 1260 : (pair + 1) * 1260], alone)


def test_frames_are_dropped_as_they_come():
    """A long video never lies in memory as a whole."""
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def frames():
        nonlocal alive, most
        for value in range(40):
            frame = np.full((28, 28, 3), value, dtype=np.uint8)
            weakref.finalize(frame, gone)
            alive += 1
            most = max(most, alive)
            yield frame

    patchify_video(frames(), 40, Size(28, 28), VISION, ProcessorConfig())
    assert most <= 5


@pytest.mark.filterwarnings("error")
def test_pixels_that_may_not_be_written_are_cut_without_a_warning():
    pixels = np.zeros((28, 28, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    assert patchify_image(pixels, VISION, ProcessorConfig())[1] == (1, 2, 2)
    turned = np.zeros((3, 28, 28), dtype=np.uint8).transpose(1, 2, 0)
    assert patchify_image(turned, VISION, ProcessorConfig())[1] == (1, 2, 2)


def test_a_picture_of_an_array_is_prepared(tiny_processor):
    pixels = np.zeros((56, 84, 3), dtype=np.uint8)
    item = prepare_image(ImagePart(source=pixels), VISION, ProcessorConfig())
    assert item.grid_thw == (1, 4, 6)
    assert item.position_seconds == ()

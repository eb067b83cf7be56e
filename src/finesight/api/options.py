# SPDX-License-Identifier: Apache-2.0
"""What may be said beside a question, and how it becomes a conversation and a sampling.

One table of options serves `ask`, `locate`, `stream` and the command line. An option that cannot
have an effect (`fps` without a video) is an error: most wrong results of other tools begin with an
option that was taken and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from finesight.conversation import (
    Conversation,
    ImagePart,
    Message,
    Part,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

    ImageSource: TypeAlias = MediaSource | ImagePart
    VideoSource: TypeAlias = MediaSource | Sequence[MediaSource] | VideoPart
    PdfSource: TypeAlias = MediaSource | tuple[MediaSource, "Pages"]

Pages: TypeAlias = str | int | Sequence[int]
"""Pages of a PDF: numbers from 0, as in `ImagePart.page`, or a text from 1, such as "1-3,7"."""


class AskOptions(TypedDict, total=False):
    """Options of a question. What is left out comes from the checkpoint.

    Attributes:
        system: system message; without it the released template's own.
        add_vision_id: write "Picture 1: " and the like before each picture and video.
        tools: functions the model may call, as OpenAI tool mappings.
        fps: frames per second of each video, or "auto".
        nframes: number of frames of each video; excludes `fps`.
        start: where each video clip starts, in seconds.
        end: where each video clip ends, in seconds.
        min_pixels: lower bound of the area of each picture and frame.
        max_pixels: upper bound of the area of each picture and frame.
        total_pixels: upper bound of all frames of a video together.
        fit_tokens: shrink the media until the prompt has at most this many tokens.
        max_new_tokens: largest number of tokens of the answer.
        temperature: 0 takes the best token each time.
        top_p: smallest set of tokens whose probability reaches this.
        top_k: number of best tokens kept.
        repetition_penalty: above 1 makes tokens already seen less likely.
        stop: the answer ends before the first of these strings.
        seed: of the random numbers.
        logprobs: number of alternatives to report per token.
        loop_guard: whether endless repetition is stopped.
    """

    system: str
    add_vision_id: bool
    tools: Sequence[Mapping[str, Any]]
    fps: float | Literal["auto"]
    nframes: int
    start: float
    end: float
    min_pixels: int
    max_pixels: int
    total_pixels: int
    fit_tokens: int
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    stop: str | Sequence[str]
    seed: int
    logprobs: int
    loop_guard: bool


_VIDEO_FIELDS = {
    "fps": "fps",
    "nframes": "nframes",
    "start": "start_seconds",
    "end": "end_seconds",
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "total_pixels": "total_pixels",
}
_IMAGE_FIELDS = ("min_pixels", "max_pixels")
_ONLY_MEDIA = (*_IMAGE_FIELDS, "fit_tokens", "add_vision_id")
_ONLY_VIDEO = tuple(name for name in _VIDEO_FIELDS if name not in _IMAGE_FIELDS)
_SAMPLING_FIELDS = frozenset(entry.name for entry in fields(Sampling))


def check_options(options: AskOptions) -> None:
    """Raise `ConfigError` on an option there is none of, with the nearest ones."""
    known = AskOptions.__annotations__
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            raise ConfigError(
                f"unknown option {name!r}",
                hint=f"did you mean {', '.join(near)}?"
                if near
                else f"there are {', '.join(known)}",
            )


def sampling_from(options: AskOptions, defaults: Sampling) -> Sampling:
    """Options over the checkpoint's defaults.

    Raises:
        ConfigError: a value is out of range.
    """
    given = {name: value for name, value in options.items() if name in _SAMPLING_FIELDS}
    stop = given.get("stop")
    if stop is not None:
        given["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)  # type: ignore[arg-type]  # checked by Sampling
    sampling = replace(defaults, **given)  # type: ignore[arg-type]  # AskOptions types each value
    sampling.check()
    return sampling


def conversation_from(question: str, media: Sequence[Part], options: AskOptions) -> Conversation:
    """Media in order, then the question, after the system message if there is one.

    Raises:
        ConfigError: an option has nothing to act on.
    """
    _check_effect(media, options)
    parts = (*(_with_options(part, options) for part in media), TextPart(question))
    messages = [Message("user", parts)]
    if "system" in options:
        messages.insert(0, Message("system", (TextPart(options["system"]),)))
    return Conversation(tuple(messages), tools=tuple(options.get("tools", ())))


def _check_effect(media: Sequence[Part], options: AskOptions) -> None:
    has_video = any(isinstance(part, VideoPart) for part in media)
    idle = [name for name in _ONLY_VIDEO if name in options] if not has_video else []
    if not media:
        idle += [name for name in _ONLY_MEDIA if name in options]
    if idle:
        what = "video" if media else "picture or video"
        raise ConfigError(
            f"{', '.join(idle)} given without a {what}", hint=f"leave it out, or add a {what}"
        )


def _with_options(part: Part, options: AskOptions) -> Part:
    """A part with the options of the question where it has none of its own."""
    if isinstance(part, TextPart):
        return part
    names = _VIDEO_FIELDS if isinstance(part, VideoPart) else {n: n for n in _IMAGE_FIELDS}
    given: dict[str, Any] = {
        field_name: options[option]  # type: ignore[literal-required]  # options of the table above
        for option, field_name in names.items()
        if option in options and getattr(part, field_name) is None
    }
    return replace(part, **given) if given else part


def image_part(source: ImageSource) -> ImagePart:
    """A picture as a part."""
    return source if isinstance(source, ImagePart) else ImagePart(source=source)


def video_part(source: VideoSource) -> VideoPart:
    """A video as a part; a sequence of pictures is a list of frames."""
    if isinstance(source, VideoPart):
        return source
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return VideoPart(source=tuple(source))
    return VideoPart(source=source)


def pdf_parts(source: PdfSource) -> list[ImagePart]:
    """The pages of a PDF, each as a picture.

    Args:
        source: a PDF, or a PDF and its wanted pages; without them, all.

    Raises:
        MediaError: the file is not a readable PDF.
        ConfigError: a page is not there.
    """
    from finesight.media.pdf import num_pages

    pages: Pages | None = None
    if isinstance(source, tuple):
        source, pages = source
    count = num_pages(source)
    wanted = range(count) if pages is None else page_numbers(pages, count)
    return [ImagePart(source=source, page=page) for page in wanted]


def page_numbers(pages: Pages, count: int) -> list[int]:
    """Page numbers from 0.

    Args:
        pages: numbers from 0, or a text from 1 such as "1-3,7" or "5-".
        count: pages of the file.

    Raises:
        ConfigError: a text of another form, or a page that is not there.
    """
    if isinstance(pages, str):
        numbers = [n - 1 for piece in pages.split(",") for n in _page_range(piece, pages, count)]
    else:
        numbers = [pages] if isinstance(pages, int) else list(pages)
    for number in numbers:
        if not 0 <= number < count:
            raise ConfigError(
                f"page {number + 1} of {count} asked for, counted from 1",
                hint="in Python, page numbers count from 0; as text, from 1",
            )
    return numbers


def _page_range(piece: str, pages: str, count: int) -> range:
    first, dash, last = (text.strip() for text in piece.partition("-"))
    if first.isdecimal() and (last.isdecimal() or not last):
        for text in filter(None, (first, last)):  # before a range of that length is made
            if len(text) > 9 or int(text) > count:
                raise ConfigError(f"page {text[:20]} of {count} asked for, counted from 1")
        end = int(first) if not dash else int(last) if last else count
        if int(first) <= end:
            return range(int(first), end + 1)
    raise ConfigError(f"pages {pages[:80]!r} is not of a form such as 1-3,7 or 5-")


def media_parts(
    images: ImageSource | Sequence[ImageSource],
    videos: VideoSource | Sequence[VideoSource],
    pdf: PdfSource | Sequence[PdfSource],
) -> list[Part]:
    """Pictures, then videos, then pages, as parts; each argument is one or a list of them."""
    return [
        *(image_part(source) for source in _as_list(images)),
        *(video_part(source) for source in _as_list(videos)),
        *(page for source in _as_list(pdf) for page in pdf_parts(source)),
    ]


def _as_list(value: Any) -> list[Any]:
    """A list or an empty tuple as it is, anything else (also a pair of PDF and pages) alone."""
    if isinstance(value, list) or value == ():
        return list(value)
    return [value]

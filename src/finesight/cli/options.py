# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share; help of record fields is quoted from the records' docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from typer.core import TyperOption

from finesight.conversation import ImagePart, Sampling, VideoPart
from finesight.errors import ConfigError
from finesight.inputs import shown

if TYPE_CHECKING:
    from finesight.api.options import AskOptions
    from finesight.conversation import Part

DEFAULT_MODEL = "tiny"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The command line as typed; only this keeps the order of different options.

    Attributes:
        words: arguments after the program's name.
    """

    words: tuple[str, ...]


_FIELD = re.compile(r"^    (\w+): (.+?)(?=\n    \w+: |\n\n|\Z)", re.MULTILINE | re.DOTALL)


def field_help(record: type, name: str, *more: str) -> str:
    """Help of an option, quoted from the docstring of a record's field; what None means there is left out."""
    meanings = dict(_FIELD.findall(inspect.getdoc(record) or ""))
    text = " ".join(meanings.get(name, "").partition("; None")[0].split()).rstrip(".")
    text = re.sub(r"`(\w+)`", lambda found: "--" + found[1].replace("_", "-"), text)
    return " ".join([f"{text[:1].upper()}{text[1:]}.", *more])


def read_fps(text: str) -> float | Literal["auto"]:
    """Frames per second from a command line."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto") from None


_TOKENS = re.compile(r"(\d+(?:\.\d+)?)(k?)", re.IGNORECASE)


def read_tokens(text: str) -> int:
    """A number of tokens such as 8192, 8k (8 x 1024) or 1.5k."""
    found = _TOKENS.fullmatch(text.strip())
    number = float(found[1]) * (1024 if found[2] else 1) if found else 0.0
    if not 1 <= number < 1e12:
        raise typer.BadParameter(f"{text[:40]!r} is no number of tokens such as 8192 or 8k")
    return int(number)


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model: tiny or small (embedded), a folder, a GGUF file, Ollama's qwen2.5vl:7b, or a name such as"
        " Qwen/Qwen2.5-VL-3B-Instruct or hf:NAME@REVISION.",
    ),
]
Mmproj = Annotated[
    Path | None,
    typer.Option(
        help="GGUF file of the vision tower, if the model is a GGUF file and the tower is not beside it.",
        metavar="FILE",
        show_default="the one beside the model",
    ),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        help="Folder of a LoRA adapter in the format of peft; NAME=FOLDER gives it a name. Repeatable.",
        metavar="FOLDER",
    ),
]
Device = Annotated[
    str, typer.Option(help="Device: cpu, cuda, cuda:1; auto uses cuda if available.")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Weight dtype: float32, bfloat16 or float16.", show_default="the checkpoint's"
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Pack the language model's weights for a CPU: bf16, or rounded to int8 or int4; on CUDA also fp8.",
        show_default="not packed",
    ),
]
VisionWeights = Annotated[
    str | None,
    typer.Option(
        help="Round the vision tower's weights for a CPU: int8. What that changes is printed.",
        show_default="not rounded",
    ),
]
DraftTokens = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Guess up to N tokens a step from the prompt and check them; the answer is the same, but for rounding in"
        " bfloat16. 0 guesses none.",
    ),
]
IMAGE = typer.Option(
    "--image",
    help="Picture: path, URL, folder of pictures, or - for standard input. Repeatable.",
    metavar="FILE",
)
Images = Annotated[list[str] | None, IMAGE]
Videos = Annotated[
    list[str] | None,
    typer.Option("--video", help="Video: path or URL. Repeatable.", metavar="FILE"),
]
Pdfs = Annotated[
    list[str] | None,
    typer.Option("--pdf", help="PDF: its pages are shown as pictures. Repeatable.", metavar="FILE"),
]
Pages = Annotated[
    list[str] | None,
    typer.Option(
        help="Pages from 1, such as 1-3,7 or 5-: of the PDFs, else of picture files. Give it once, or once per file.",
        metavar="PAGES",
        show_default="all pages of a PDF, the first of a picture file",
    ),
]
Fps = Annotated[
    Any,
    typer.Option(
        parser=read_fps,
        metavar="NUMBER|auto",
        help=field_help(VideoPart, "fps"),
        show_default="the checkpoint's",
    ),
]
NumFrames = Annotated[int | None, typer.Option("--nframes", help=field_help(VideoPart, "nframes"))]
Start = Annotated[float | None, typer.Option(help=field_help(VideoPart, "start_seconds"))]
End = Annotated[float | None, typer.Option(help=field_help(VideoPart, "end_seconds"))]
MinPixels = Annotated[int | None, typer.Option(help=field_help(ImagePart, "min_pixels"))]
MaxPixels = Annotated[int | None, typer.Option(help=field_help(ImagePart, "max_pixels"))]
Fit = Annotated[
    Any,
    typer.Option(
        "--fit",
        parser=read_tokens,
        metavar="TOKENS",
        help="Shrink the media until the prompt has at most this many tokens, such as 8192 or 8k.",
    ),
]
System = Annotated[str | None, typer.Option(help="System message.")]
MaxNewTokens = Annotated[int | None, typer.Option(help=field_help(Sampling, "max_new_tokens"))]
Temperature = Annotated[float | None, typer.Option(help=field_help(Sampling, "temperature"))]
Seed = Annotated[int | None, typer.Option(help=field_help(Sampling, "seed"))]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
SaveOverlay = Annotated[
    Path | None,
    typer.Option(
        help="Folder for copies of the media with the answer drawn on them.", metavar="DIR"
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(help="HTML file to write with question, media and answer.", metavar="FILE"),
]
Sarif = Annotated[
    Path | None,
    typer.Option(
        help="SARIF 2.1.0 file to write with what does not pass, for code hosts and CI systems.",
        metavar="FILE",
    ),
]


def use_threads(count: int | None) -> int | None:
    """Set the number of threads while the command line is parsed, before torch is imported."""
    from finesight.threads import prepare

    prepare(count)
    if count is not None:
        import torch

        torch.set_num_threads(count)  # OMP_NUM_THREADS alone cannot exceed the libraries' own limit
    return count


Threads = Annotated[
    int | None,
    typer.Option(
        callback=use_threads,
        help="Number of CPU threads.",
        metavar="N",
        show_default="OMP_NUM_THREADS, else one per core",
    ),
]
"""Takes effect through its callback: a command need not read the value."""

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOptions:
    """Options of questions that `ask` and `chat` share."""

    fps: Fps = None
    nframes: NumFrames = None
    min_pixels: MinPixels = None
    max_pixels: MaxPixels = None
    fit_tokens: Fit = None
    add_vision_id: Annotated[
        bool,
        typer.Option(
            "--add-vision-id", help='Write "Picture 1: ", "Video 1: " and so on before the media.'
        ),
    ] = False
    system: System = None
    max_new_tokens: MaxNewTokens = None
    temperature: Temperature = None
    top_p: Annotated[float | None, typer.Option(help=field_help(Sampling, "top_p"))] = None
    top_k: Annotated[int | None, typer.Option(help=field_help(Sampling, "top_k"))] = None
    min_p: Annotated[float | None, typer.Option(help=field_help(Sampling, "min_p"))] = None
    repetition_penalty: Annotated[
        float | None, typer.Option(help=field_help(Sampling, "repetition_penalty"))
    ] = None
    presence_penalty: Annotated[
        float | None, typer.Option(help=field_help(Sampling, "presence_penalty"))
    ] = None
    frequency_penalty: Annotated[
        float | None, typer.Option(help=field_help(Sampling, "frequency_penalty"))
    ] = None
    stop: Annotated[
        list[str] | None,
        typer.Option(help=field_help(Sampling, "stop", "Repeatable."), metavar="TEXT"),
    ] = None
    seed: Seed = None


def given(values: Mapping[str, object]) -> AskOptions:
    """The fields of `AskOptions` among values by name, without those that were not given.

    Not given are None, False and an empty list.
    """
    from finesight.api.options import AskOptions

    found = {
        name: value
        for name, value in values.items()
        if name in AskOptions.__annotations__
        and value is not None
        and value is not False
        and value != []
    }
    return cast("AskOptions", found)


def media_of(
    context: typer.Context,
    images: Sequence[str] | None = None,
    videos: Sequence[str] | None = None,
    pdfs: Sequence[str] | None = None,
    pages: Sequence[str] | None = None,
) -> list[Part]:
    """The media of a command line in the order given; see `media_in_order`."""
    command_line = context.find_object(CommandLine)
    return media_in_order(
        command_line.words if command_line else (),
        images=images or [],
        videos=videos or [],
        pdfs=pdfs or [],
        pages=pages or [],
        valued=_options_with_value(context),
    )


def media_in_order(
    words: Sequence[str],
    *,
    images: Sequence[str],
    videos: Sequence[str],
    pdfs: Sequence[str],
    pages: Sequence[str],
    valued: Collection[str] = (),
) -> list[Part]:
    """Pictures, videos and PDF pages in the order they were given on the command line.

    Args:
        words: the command line; the parser keeps the order only within one option.
        images: values of `--image`.
        videos: values of `--video`.
        pdfs: values of `--pdf`.
        pages: values of `--pages`: none, one for all PDFs, or one per PDF. Without a PDF they apply to the pictures.
        valued: see `media_kinds`.

    Raises:
        ConfigError: the number of `--pages` is not that of `--pdf` (or of `--image` if there is no PDF).
        MediaError: a PDF cannot be opened, or a folder or standard input cannot be used.
    """
    from finesight.api.sources import image_parts, pdf_parts, video_part
    from finesight.cli.pictures import expand

    paged = "pdf" if pdfs else "image"
    page_texts = pages_of(f"--{paged}", pdfs or images, pages)
    pictures, clips, documents = iter(expand(images)), iter(videos), iter(pdfs)
    parts: list[Part] = []
    for kind in media_kinds(words, valued):
        if kind == "video":
            parts.append(video_part(next(clips)))
            continue
        wanted = next(page_texts, None) if kind == paged else None
        sources, parts_of = (
            (next(pictures), image_parts) if kind == "image" else ([next(documents)], pdf_parts)
        )
        for source in sources:
            parts += parts_of(source if wanted is None else (source, wanted))
    return parts


def pages_of(option: str, values: Sequence[str], pages: Sequence[str]) -> Iterator[str]:
    """The pages for each value of a media option."""
    from finesight.api.sources import PAGES_TEXT

    if pages and not values:
        raise ConfigError("--pages without a --pdf or --image", hint="give the file it belongs to")
    if len(pages) > 1 and len(pages) != len(values):
        raise ConfigError(
            f"{len(pages)} --pages for {len(values)} {option}",
            hint=f"give --pages once per {option}",
        )
    for text in pages:
        if not PAGES_TEXT.fullmatch(text):
            raise ConfigError(f"--pages {shown(text)} is not of a form such as 1-3,7 or 5-")
    return iter(pages if len(pages) == len(values) else list(pages) * len(values))


_MEDIA_OPTIONS = {"--image": "image", "--video": "video", "--pdf": "pdf"}


def media_kinds(words: Sequence[str], valued: Collection[str] = ()) -> list[str]:
    """Kind of each media option of a command line, in order.

    Args:
        words: the command line.
        valued: other options that take a value: a value may itself look like an option.
    """
    kinds: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            break
        name, equals, _ = word.partition("=")
        if name in _MEDIA_OPTIONS:
            kinds.append(_MEDIA_OPTIONS[name])
        if not equals and (name in _MEDIA_OPTIONS or name in valued):
            next(remaining, None)
    return kinds


def _options_with_value(context: typer.Context) -> frozenset[str]:
    """The options of a command that take a value."""
    return frozenset(
        name
        for parameter in context.command.params
        if isinstance(parameter, TyperOption) and not parameter.is_flag
        for name in parameter.opts
    )

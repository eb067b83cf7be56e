# SPDX-License-Identifier: Apache-2.0
"""One question, one answer: what `ask` and `locate` share.

Options, media and prompt are worked through before any weight is loaded, so that a wrong path costs
a second and not the minutes a large model takes to load.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.output import check_writable, print_json
from finesight.cli.progress import StageProgress

if TYPE_CHECKING:
    from finesight.api.artifacts import Artifacts
    from finesight.api.checkpoints import GenerationDefaults
    from finesight.api.options import AskOptions
    from finesight.config.processor import ProcessorConfig
    from finesight.conversation import Conversation, Reply, Sampling
    from finesight.parse.answer import Answer


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, where, in which dtype."""

    name: str
    device: str
    dtype: str | None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What becomes of the answer.

    Attributes:
        as_json: print one JSON object instead of the text.
        overlay_folder: draw the answer on copies of the media in this folder.
        report_file: write an HTML page.
        lists_places: print the boxes and points, one a line, instead of the model's own text.
    """

    as_json: bool
    overlay_folder: Path | None
    report_file: Path | None
    lists_places: bool = False

    def check(self) -> None:
        """Raise `ConfigError` if a result could not be kept."""
        if self.overlay_folder is not None:
            check_writable(self.overlay_folder, is_folder=True)
        if self.report_file is not None:
            check_writable(self.report_file, is_folder=False)


def run(
    choice: ModelChoice,
    conversation: Conversation,
    options: AskOptions,
    outputs: Outputs,
) -> None:
    """Answer a conversation and put the answer where it is wanted.

    Raises:
        FinesightError: whatever is wrong with the options, the media or the model.
    """
    outputs.check()
    streams = not outputs.as_json and not outputs.lists_places and sys.stdout.isatty()
    with StageProgress(shows_answer=streams) as progress:
        reply, sampling, config = _answer(choice, conversation, options, progress, streams=streams)
    from finesight.parse.answer import read_answer

    answer = read_answer(reply)
    _say_end(answer, progress)
    files: list[str] = []
    if outputs.overlay_folder is not None or outputs.report_file is not None:
        from finesight.api.artifacts import Artifacts

        artifacts = Artifacts(conversation, answer, config, progress.stage_seconds())
        files = _save(artifacts, outputs)
    if outputs.as_json:
        described = {
            "model": choice.name,
            "sampling": asdict(sampling),
            "seconds": progress.stage_seconds(),
            "files": files,
        }
        print_json({**answer.to_dict(), **described})
    elif outputs.lists_places:
        sys.stdout.write("".join(line + "\n" for line in place_lines(answer)))
    elif not streams:
        sys.stdout.write(answer.text + "\n")


def _answer(
    choice: ModelChoice,
    conversation: Conversation,
    options: AskOptions,
    progress: StageProgress,
    *,
    streams: bool,
) -> tuple[Reply, Sampling, ProcessorConfig]:
    from finesight.api.checkpoints import find_checkpoint, read_generation_defaults
    from finesight.api.model import Model, encode_question, load_network, load_processor
    from finesight.api.options import sampling_from

    folder = find_checkpoint(choice.name)
    generation = read_generation_defaults(folder)
    sampling = sampling_from(options, generation.sampling)
    processor = load_processor(folder)
    progress("media", 0, sum(1 for _ in conversation.media()))
    sample = encode_question(processor, conversation, options)
    progress("load", 0, 1)
    network = load_network(folder, device=choice.device, dtype=choice.dtype)
    _say_sampling(sampling, generation, folder)
    engine = Model(choice.name, network, processor, generation, on_stage=progress).engine
    for event in engine.stream_sample(sample, sampling, takes_calls=bool(conversation.tools)):
        if streams:
            sys.stdout.write(event.text)
            sys.stdout.flush()
        if event.reply is not None:
            if streams:
                sys.stdout.write("\n")
            return event.reply, sampling, processor.config
    raise AssertionError("a stream ends with its reply")


def _say_sampling(sampling: Sampling, generation: GenerationDefaults, folder: Path) -> None:
    """Which values of the checkpoint decide how this answer is drawn."""
    taken = [
        f"{name} {getattr(sampling, name)}"
        for name in generation.given
        if getattr(sampling, name) == getattr(generation.sampling, name)
    ]
    if taken:
        sys.stderr.write(f"from {folder.name}/generation_config.json: {', '.join(taken)}\n")


def place_lines(answer: Answer) -> list[str]:
    """Boxes and points in original pixels, one a line; what belongs to no picture is left out."""
    corners = [
        ((box.original.x1, box.original.y1, box.original.x2, box.original.y2), box.label)
        for box in answer.boxes
        if box.original is not None
    ]
    places = [
        ((point.original.x, point.original.y), point.label)
        for point in answer.points
        if point.original is not None
    ]
    return [
        "\t".join((*(f"{value:.0f}" for value in values), label))
        for values, label in (*corners, *places)
    ]


def _save(artifacts: Artifacts, outputs: Outputs) -> list[str]:
    """Write overlays and report, and say so; the paths written."""
    from finesight.api.artifacts import save_report

    files: list[Path] = []
    if outputs.overlay_folder is not None:
        files += artifacts.save_overlays(outputs.overlay_folder)
    if outputs.report_file is not None:
        save_report(outputs.report_file, [artifacts])
        files.append(outputs.report_file)
    for path in files:
        sys.stderr.write(f"wrote {path}\n")
    return [str(path) for path in files]


def _say_end(answer: Answer, progress: StageProgress) -> None:
    """Counts and speeds on standard error, and what a user should know about the answer."""
    usage = answer.usage
    decode_seconds = progress.seconds.get("decode", 0.0)  # from the first token on
    rate = (usage.completion_tokens - 1) / decode_seconds if decode_seconds > 0 else 0.0
    sys.stderr.write(
        f"{usage.prompt_tokens} prompt tokens ({usage.visual_tokens} visual), "
        f"{usage.completion_tokens} answer tokens at {rate:.1f} tokens/s, "
        f"finish: {answer.finish_reason}\n"
    )
    for record in answer.media:
        for note in record.notes:
            sys.stderr.write(f"note: {record.source}: {note}\n")

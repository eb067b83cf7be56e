# SPDX-License-Identifier: Apache-2.0
"""Answer conversations with one model and write the answers; shared by `ask` and `locate`.

Options, media and prompt are processed before any weight is loaded: a wrong path is reported after
a second, not after the minutes that loading a large model can take.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.imports import import_torch
from finesight.cli.output import check_report, check_writable, print_json
from finesight.cli.progress import StageProgress
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.api.artifacts import Artifacts
    from finesight.api.checkpoints import GenerationDefaults
    from finesight.api.model import Model
    from finesight.api.options import AskOptions
    from finesight.cli.model_choice import ModelChoice
    from finesight.conversation import Conversation, MediaRecord, Reply, Sampling, StreamEvent
    from finesight.parse.answer import Answer

_LONGEST_ANSWER = 300
"""Characters shown of an answer without boxes or points."""
_MOST_NOTED = 5
"""Largest number of media of one question whose notes are shown."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where and in which form answers are written.

    Attributes:
        as_json: print one JSON object instead of the text.
        overlay_folder: folder for copies of the media with the answer drawn on them.
        report_file: HTML file to write.
        lists_places: print the boxes and points, one a line, instead of the model's text.
        is_many: one question per picture of a list: lines begin with the picture's name, and the JSON object
            has the answers under "pictures".
    """

    as_json: bool
    overlay_folder: Path | None
    report_file: Path | None
    lists_places: bool = False
    is_many: bool = False

    def check(self) -> None:
        """Raise `ConfigError` if a result cannot be written."""
        if self.overlay_folder is not None:
            check_writable(self.overlay_folder, is_folder=True)
        if self.report_file is not None:
            check_report(self.report_file)


def run(
    choice: ModelChoice,
    conversations: Sequence[Conversation],
    options: AskOptions,
    outputs: Outputs,
) -> None:
    """Answer each conversation and write the answers.

    Raises:
        FinesightError: an option, a medium or the model is wrong.
    """
    outputs.check()
    if len(choice.adapters or ()) > 1:
        raise ConfigError(
            "several --adapter are given for one answer",
            hint="give one; chat, batch and serve take several",
        )
    shows_media = any(True for each in conversations for _ in each.media())
    if outputs.overlay_folder is not None and not shows_media:
        raise ConfigError("--save-overlay draws on pictures and videos, but none is given")
    streams = not outputs.as_json and not outputs.lists_places and sys.stdout.isatty()
    # A terminal cannot take back what an answer withdraws.
    streams = streams and not options.get("loop_retries")
    session = Session(choice, options, streams=streams)
    for conversation in conversations[1:]:  # the first is encoded before the model is loaded
        session.check(conversation)
    done: list[tuple[Conversation, Answer, dict[str, float]]] = []
    for conversation in conversations:
        answer, seconds = session.answer(conversation)
        done.append((conversation, answer, seconds))
        if outputs.lists_places:
            _print_if_not_found(answer, named=outputs.is_many)
        if not outputs.as_json and not streams:
            _write(answer, outputs)
    files: list[str] = []
    if outputs.overlay_folder is not None or outputs.report_file is not None:
        from finesight.api.artifacts import (
            Artifacts,
        )  # imported here, since drawing is slow to import

        config = session.processor.config
        drawn = [Artifacts(asked, answer, config, seconds) for asked, answer, seconds in done]
        files = _save(drawn, outputs)
    if outputs.as_json:
        answers = [answer.to_dict() for _, answer, _ in done]
        print_json(
            {
                **({"pictures": answers} if outputs.is_many else answers[0]),
                "model": choice.name,
                "sampling": asdict(session.sampling),
                "seconds": session.seconds,
                "files": files,
            }
        )


class Session:
    """One model for all questions; its weights are loaded after the first question is encoded.

    Args:
        choice: the model.
        options: of all questions; `use` replaces them.
        streams: whether the caller writes answers to the terminal piece by piece.
    """

    def __init__(self, choice: ModelChoice, options: AskOptions, *, streams: bool) -> None:
        import_torch()
        from finesight.engine.options import EngineOptions

        self._streams = streams
        self._folder = choice.folder()
        self._progress = StageProgress(shows_answer=streams)
        self._model = choice.open(
            self._folder,
            EngineOptions(draft_tokens=choice.draft_tokens),
            lambda stage, done, total: self._progress(stage, done, total),
        )
        if len(self._model.adapters) == 1 and "adapter" not in options:
            options = {**options, "adapter": next(iter(self._model.adapters))}
        self.use(options)  # a wrong option is reported before media are read
        self.processor = self._model.processor
        self._is_loaded = False
        self.seconds: dict[str, float] = {}
        """Seconds of each stage, summed over all questions."""

    def use(self, options: AskOptions) -> None:
        """Replace the options, and the sampling that follows from them.

        Raises:
            ConfigError: an option is out of range; the earlier ones stay.
        """
        from finesight.api.options import sampling_from
        from finesight.model.adapters import check_adapter

        check_adapter(options.get("adapter"), self._model.adapters)
        self.sampling = sampling_from(options, self._model.defaults)
        self.options = options

    def load(self) -> None:
        """Load the weights unless they are loaded, and print what the model states about itself."""
        if self._is_loaded:
            return
        with self._progress:
            self._model.engine  # noqa: B018  # loads them
        self._is_loaded = True
        _print_model(self._model.name, self._folder)
        _print_weights(self._model, self._folder)
        _print_sampling(self.sampling, self._model.generation, self._folder)

    def check(self, conversation: Conversation) -> tuple[MediaRecord, ...]:
        """Check from the headers of its media that a question can be asked; returns their records."""
        return self.processor.plan_media(conversation)

    def answer(self, conversation: Conversation) -> tuple[Answer, dict[str, float]]:
        """Answer one question and print its notes; returns the answer and the seconds of each stage."""
        reply = None
        for event in self.events(conversation):
            reply = event.reply
            if self._streams:
                sys.stdout.write(event.text + ("" if reply is None else "\n"))
                sys.stdout.flush()
        assert reply is not None  # the last event has it
        answer = self.ended(reply)
        seconds = self._progress.stage_seconds()
        for stage, spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        return answer, seconds

    def ended(self, reply: Reply) -> Answer:
        """Parse the last reply, and print token counts, speed and problems to standard error."""
        from finesight.parse.answer import read_answer

        answer = read_answer(reply)
        _print_end(answer, self._progress)
        return answer

    def events(
        self, conversation: Conversation, *, num_noted: int = 0
    ) -> Generator[StreamEvent, None, None]:
        """Answer one question piece by piece, with progress and the notes of its media on standard error.

        Args:
            conversation: the question.
            num_noted: number of its first media whose notes are not printed.
        """
        from finesight.api.model import request_from

        self._progress = StageProgress(shows_answer=self._streams)
        with self._progress:
            request = request_from(conversation, self.options, self._model.defaults)
            sample = request.encode(self.processor, self._progress)
            _print_notes([item.record for item in sample.vision][num_noted:])
            self.load()
            ticket = self._model.engine.submit(request, sample)
            try:
                yield from ticket
            finally:
                ticket.cancel()  # an answer that is stopped is not computed further


def _print_model(name: str, folder: Path) -> None:
    """Print what the model was trained for, if its folder states it."""
    from finesight.api.checkpoints import read_trained_for

    if trained_for := read_trained_for(folder):
        sys.stderr.write(f"{name} was trained for {trained_for}\n")


def _print_weights(model: Model, folder: Path) -> None:
    """Print the format of packed weights, and whether this start has rounded them."""
    from finesight.checkpoints.packed import rounds
    from finesight.model.quantised_gpu import weights_format

    if name := weights_format(model.network):
        rounded = ", rounded from the checkpoint's" if rounds(folder, name) else ""
        sys.stderr.write(f"note: weights of the language model: {name}{rounded}\n")


def _print_sampling(sampling: Sampling, generation: GenerationDefaults, folder: Path) -> None:
    """Print the sampling values that come from the checkpoint."""
    taken = [
        f"{name} {getattr(sampling, name)}"
        for name in generation.given
        if getattr(sampling, name) == getattr(generation.sampling, name)
    ]
    if taken:
        sys.stderr.write(f"from {folder.name}/generation_config.json: {', '.join(taken)}\n")


def place_lines(answer: Answer) -> list[str]:
    """Boxes and points in original pixels, one a line; those without a picture are left out."""
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
        "\t".join((*(f"{value:.0f}" for value in values), " ".join(label.split())))
        for values, label in (*corners, *places)
    ]


def _name_of(answer: Answer) -> str:
    """Name of the picture an answer is about, in one line."""
    record = answer.media[0]
    page = "" if record.page is None else f" page {record.page + 1}"
    return " ".join(f"{record.source}{page}".split())


def _write(answer: Answer, outputs: Outputs) -> None:
    """Print the answer as text to standard output."""
    if not outputs.lists_places:
        sys.stdout.write(answer.text + "\n")
        return
    start = f"{_name_of(answer)}\t" if outputs.is_many else ""
    sys.stdout.write("".join(f"{start}{line}\n" for line in place_lines(answer)))
    sys.stdout.flush()


def _print_if_not_found(answer: Answer, *, named: bool) -> None:
    """Print the model's text to standard error if it contains no box or point."""
    if place_lines(answer):
        return
    text = " ".join(answer.text.split())
    shown = text if len(text) <= _LONGEST_ANSWER else text[: _LONGEST_ANSWER - 3] + "..."
    start = f"{_name_of(answer)}: " if named else ""
    sys.stderr.write(f"{start}not found; the model answered: {shown or '(nothing)'}\n")


def _save(done: Sequence[Artifacts], outputs: Outputs) -> list[str]:
    """Write overlays and report; returns the paths, and prints them to standard error."""
    from finesight.api.artifacts import save_report

    files: list[Path] = []
    if outputs.overlay_folder is not None:
        for each in done:
            files += each.save_overlays(outputs.overlay_folder, taken=files)
    if outputs.report_file is not None:
        save_report(outputs.report_file, done)
        files.append(outputs.report_file)
    for path in files:
        sys.stderr.write(f"wrote {path}\n")
    return [str(path) for path in files]


def _print_end(answer: Answer, progress: StageProgress) -> None:
    """Print token counts, speed and parsing problems to standard error."""
    usage = answer.usage
    decode_seconds = progress.seconds.get("decode", 0.0)  # since the first token
    rate = (usage.completion_tokens - 1) / decode_seconds if decode_seconds > 0 else 0.0
    sys.stderr.write(
        f"{usage.prompt_tokens} prompt tokens ({usage.visual_tokens} visual), "
        f"{usage.completion_tokens} answer tokens at {rate:.1f} tokens/s, "
        f"finish: {answer.finish_reason}\n"
    )
    if usage.drafted_tokens:
        sys.stderr.write(
            f"{usage.accepted_tokens} of {usage.drafted_tokens} guessed tokens were right\n"
        )
    for note in answer.reply.notes:
        sys.stderr.write(f"note: {note}\n")
    for problem in answer.problems:
        sys.stderr.write(f"note: {problem.message}\n")


def _print_notes(records: Sequence[MediaRecord]) -> None:
    """Print the notes of the media, before the model runs."""
    noted = [record for record in records if record.notes]
    for record in noted[:_MOST_NOTED]:
        page = "" if record.page is None else f" page {record.page + 1}"
        for note in record.notes:
            sys.stderr.write(f"note: {record.source}{page}: {note}\n")
    if len(noted) > _MOST_NOTED:
        left = len(noted) - _MOST_NOTED
        sys.stderr.write(f"note: {left} more media have notes; --json lists them all\n")

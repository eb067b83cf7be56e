# SPDX-License-Identifier: Apache-2.0
"""Answer a file of requests in the OpenAI batch format; a stopped batch is continued by running it again.

An item with an error never stops the others: its line of the output has the error. Items are written as they finish.
Items with equal requests at temperature 0 are computed once, and their answers copied from the output.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.api.batch_files import Finished, Line, Output, read_lines
from finesight.conversation import Conversation, Part, Reply, Sampling, TextPart
from finesight.engine.request import Request
from finesight.errors import ConfigError, FinesightError
from finesight.inputs import shown
from finesight.media.source import resolved
from finesight.remote.chat_request import ChatRequest, read_request
from finesight.remote.completions import completion, error_body, status_of
from finesight.remote.documents import any_file

if TYPE_CHECKING:
    from finesight.api.model import Model


@dataclass(slots=True)
class Counts:
    """Numbers of a batch.

    Attributes:
        total: distinct items of the input.
        before: items that earlier runs finished.
        done: finished items, those of earlier runs included.
        failed: finished items that have an error.
        doubled: lines left out because their `custom_id` and request occur twice.
        copied: items of this run with the answer to an equal request.
        tokens: tokens of the answers that this run computed.
    """

    total: int = 0
    before: int = 0
    done: int = 0
    failed: int = 0
    doubled: int = 0
    copied: int = 0
    tokens: int = 0


OnCounts = Callable[[Counts], None]


@dataclass(slots=True)
class _Asked:
    """An item that is being computed.

    Attributes:
        line: of the item, without its body.
        request: of the item.
        outcomes: one per answer to compute; None if not yet there.
        twins: items with an equal request.
    """

    line: Line
    request: ChatRequest
    outcomes: list[Reply | FinesightError | None]
    twins: list[Line] = field(default_factory=list)


class Batch:
    """A batch whose files were checked, ready to run; use as a context manager.

    Args:
        source: input, JSON lines.
        target: output, JSON lines; one of an earlier run of the same input is continued.
        names: names of the model that requests may give; the first is written into the output.
        adapters: names of the model's adapters; requests that give one are answered by it.
        retry_errors: ask items again that failed in an earlier run.

    Attributes:
        counts: updated while the batch runs.
        notes: what a user should know about the files.

    Raises:
        ConfigError: a `custom_id` has two different requests, or the output belongs to another input or model.
        FinesightError: another process writes to the output.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        names: Sequence[str],
        adapters: Collection[str] = (),
        retry_errors: bool = False,
    ) -> None:
        if target.exists() and source.samefile(target):
            raise ConfigError(f"{target} is both input and output", hint="give another output")
        self._source, self._target, self._names = source, target, names
        self._adapters = frozenset(adapters)
        self.counts = Counts()
        self.notes: list[str] = []
        self._pending = self._read_input()
        self._repeated: dict[bytes, int | None] = {
            request: None for request, count in Counter(self._pending.values()).items() if count > 1
        }
        """Requests of several items, each with the offset of an answer in the output."""
        self._asked: dict[int, tuple[_Asked, int]] = {}
        """Index of a request to the engine -> item and number of the answer."""
        self._in_flight: dict[bytes, _Asked] = {}
        """Items that are being computed and whose request is repeated."""
        self._output = Output(target)
        try:
            self._read_output(retry_errors=retry_errors)
        except BaseException:
            self._output.close()
            raise

    def run(self, model: Model, *, on_progress: OnCounts = lambda _: None) -> Counts:
        """Ask all items that are not finished.

        Args:
            model: its weights are loaded if an item has to be computed.
            on_progress: called after each finished item.

        Raises:
            FinesightError: the output cannot be written, or the input changed while it was read.
        """
        requests = self._requests(model.defaults)
        first = next(requests, None)
        if first is not None:  # else no weights are needed
            for index, outcome in model.engine.run(chain([first], requests)):
                self._take(index, outcome)
                on_progress(self.counts)
        if self._pending:
            raise _changed_meanwhile(self._source)
        on_progress(self.counts)
        return self.counts

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with suppress(FinesightError) if error is not None else nullcontext():
            self._output.close()  # after another error, that one says more

    def _read_input(self) -> dict[bytes, bytes]:
        """Digest of each item's `custom_id` -> digest of its request."""
        found: dict[bytes, bytes] = {}
        for line in read_lines(self._source):
            if found.setdefault(line.id, line.request) != line.request:
                raise ConfigError(
                    f"{self._source}, line {line.number} has custom_id {shown(line.custom_id)} of an earlier line, "
                    "but another request",
                    hint="give each request a custom_id of its own",
                )
            self.counts.doubled += 1
            # Its body may be large, and the next line is read before the name is bound again.
            del line
        self.counts.total = len(found)
        self.counts.doubled -= len(found)
        return found

    def _read_output(self, *, retry_errors: bool) -> None:
        """Take finished items out of those to ask; failed ones that are asked again leave the output."""
        spans: list[tuple[int, int]] = []
        size, dropped = 0, 0
        for start, end, found in self._output.finished():
            wanted = self._pending.get(found.id)
            if found.failed and (retry_errors or wanted != found.request):
                dropped += wanted is not None  # else the input has it no more
                continue
            self._check(found, wanted)
            del self._pending[found.id]
            if found.request in self._repeated:
                self._repeated[found.request] = size
            size += end - start
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, end))
            self.counts.done += 1
            self.counts.failed += found.failed
        self.counts.before = self.counts.done
        self._output.keep(spans)
        if self._output.is_torn:
            self.notes.append(
                f"the last line of {self._target} was incomplete; its item is asked again"
            )
        if dropped:
            self.notes.append(f"{dropped} failed items of an earlier run are asked again")

    def _check(self, found: Finished, wanted: bytes | None) -> None:
        """Raise `ConfigError` unless a line of the output answers an item that is not finished yet."""
        item = f"custom_id {shown(found.custom_id)}"
        if wanted is None:
            reason = f"has {item}, which {self._source} does not contain, or twice"
        elif wanted != found.request:
            reason = f"has an answer to {item}, whose request in {self._source} is now another"
        elif found.model not in (None, self._names[0], *self._adapters):
            reason = f"has an answer of model {found.model}, but the model is {self._names[0]}"
        else:
            return
        raise ConfigError(f"{self._target} {reason}", hint="give another file for the output")

    def _requests(self, defaults: Sampling) -> Iterator[Request]:
        """Requests to the engine, in the order of the input; other items are finished on the way."""
        num_asked = 0
        for line in read_lines(self._source):
            if line.id not in self._pending:
                continue
            if self._pending.pop(line.id) != line.request:
                raise _changed_meanwhile(self._source)
            try:
                request = self._read(line, defaults)
            except FinesightError as error:
                self._fail([line], error)
                continue
            line = replace(line, body=None)  # a picture in it may be large
            is_shared = request.is_greedy and line.request in self._repeated
            if is_shared and self._is_computed(line):
                continue
            samplings = request.samplings()
            asked = _Asked(line, request, [None] * len(samplings))
            if is_shared:
                self._in_flight[line.request] = asked
            for choice, sampling in enumerate(samplings):
                self._asked[num_asked] = (asked, choice)
                num_asked += 1
                yield Request(
                    conversation=request.conversation,
                    sampling=sampling,
                    adapter=self._adapter(request),
                )

    def _adapter(self, request: ChatRequest) -> str | None:
        """Name of the adapter that answers."""
        return request.model if request.model in self._adapters else None

    def _read(self, line: Line, defaults: Sampling) -> ChatRequest:
        if line.error is not None:
            raise line.error
        folder = self._source.parent
        request = read_request(
            line.body,
            defaults,
            open_file=lambda address: any_file(str(resolved(address, folder))),
        )
        if request.streams:
            raise ConfigError("stream is true, which a batch does not support", hint="leave it out")
        if request.model not in (None, *self._names, *self._adapters):
            raise ConfigError(
                f"model is {shown(request.model)}, but this batch runs with {self._names[0]}",
                hint=f"--served-model-name {request.model} accepts this name, --adapter {request.model}=FOLDER "
                "gives it to an adapter",
            )
        conversation = _in_folder(request.conversation, folder)
        return replace(request, conversation=conversation)

    def _is_computed(self, line: Line) -> bool:
        """Whether the answer of an item is already computed or is being computed; then it is written."""
        offset = self._repeated[line.request]
        if offset is not None:
            response = self._output.read(offset)["response"]
            self._write([line.result(response["status_code"], response["body"])])
        elif line.request in self._in_flight:
            self._in_flight[line.request].twins.append(line)
        else:
            return False
        self.counts.copied += 1
        return True

    def _take(self, index: int, outcome: Reply | FinesightError) -> None:
        """Take one answer of the engine; the last one of an item finishes it."""
        asked, choice = self._asked.pop(index)
        asked.outcomes[choice] = outcome
        if isinstance(outcome, Reply):
            self.counts.tokens += outcome.usage.completion_tokens
        if None in asked.outcomes:
            return
        self._in_flight.pop(asked.line.request, None)
        lines = [asked.line, *asked.twins]
        for each in asked.outcomes:
            if isinstance(each, FinesightError):
                self._fail(lines, each)
                return
        replies = [each for each in asked.outcomes if isinstance(each, Reply)]
        created = int(time.time())
        results = [
            line.result(
                200,
                completion(
                    asked.request,
                    replies,
                    model=self._adapter(asked.request) or self._names[0],
                    response_id=f"chatcmpl-{line.id.hex()}",
                    created=created,
                ),
            )
            for line in lines
        ]
        self._write(results, asked.line.request)

    def _fail(self, lines: Sequence[Line], error: FinesightError) -> None:
        body = error_body(error)
        status = status_of(error)
        self._write([line.result(status, body) for line in lines], lines[0].request)

    def _write(self, results: Sequence[dict[str, Any]], request: bytes | None = None) -> None:
        offset = self._output.append(results)
        if request in self._repeated:
            self._repeated[request] = offset
        self.counts.done += len(results)
        self.counts.failed += sum(each["error"] is not None for each in results)


def _in_folder(conversation: Conversation, folder: Path) -> Conversation:
    """A conversation whose relative paths are those of a folder."""

    def placed(part: Part) -> Part:
        if isinstance(part, TextPart):
            return part
        if isinstance(part.source, tuple):
            return replace(part, source=tuple(resolved(each, folder) for each in part.source))
        return replace(part, source=resolved(part.source, folder))

    messages = tuple(
        replace(message, parts=tuple(placed(part) for part in message.parts))
        for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def _changed_meanwhile(source: Path) -> FinesightError:
    return FinesightError(f"{source} changed while it was read", hint="run the same command again")

# SPDX-License-Identifier: Apache-2.0
"""MiniWoB++ through the agent: scripted solutions must solve all pages, random clicks few, and the gate must rest.

The pages are played by the loop of `finesight agent`, with its gate in record mode, so that false alarms are counted.
`FINESIGHT_MINIWOB` names the folder of the unpacked package `miniwob` 1.1.0.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Comparison
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Run
from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Reply,
    Sampling,
    Usage,
)
from finesight.errors import ConfigError
from finesight.evals.live.miniwob import MiniWob, read_pages
from finesight.geometry import Point, Resize, Size
from finesight.media.image import load_image
from finesight.processor.resize import smart_resize
from finesight.screen.act import Act
from finesight.screen.history import call_in_words

DATA = "FINESIGHT_MINIWOB"
MOST_STEPS = 12
_OPTIONS = AgentOptions(judges=False, regrounds=False, most_steps=MOST_STEPS, acts_per_minute=1e6)


@dataclass(slots=True)
class Acting:
    """A responder that answers with the calls of a function, as a model would write them; it reads no text.

    Attributes:
        act: the next step, in pixels of the screen.
    """

    act: Callable[[Size], Act]

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """One call for each request."""
        del sampling
        return [self._reply(conversation) for conversation in conversations]

    def _reply(self, conversation: Conversation) -> Reply:
        screen = next(part for part in conversation.media() if isinstance(part, ImagePart))
        size = Size(*load_image(screen.source).size)
        rows, columns = smart_resize(size.height, size.width)
        scale = (size.width / columns, size.height / rows)
        text = ""
        if conversation.tools:
            text = call_in_words("computer_use", self.act(size).arguments(scale))
        resize = Resize(size, Size(columns, rows))
        seen = MediaRecord(kind="image", source="screen", resize=resize, visual_tokens=0)
        usage = Usage(0, 0, 0)
        return Reply(text=text, token_ids=(), finish_reason="stop", usage=usage, media=(seen,))


def bench_agent(*, pages: Sequence[str] = (), seed: int = 0) -> Iterator[Comparison]:
    """Play each page once with scripted solutions and once with random clicks.

    Args:
        pages: names of pages; empty takes all thirty.
        seed: of the problems and of the random clicks.

    Raises:
        ConfigError: the folder of the pages is not given.
    """
    folder = os.environ.get(DATA)
    if not folder:
        raise ConfigError(f"{DATA} names no folder", hint="set it to the unpacked wheel `miniwob`")
    names = list(pages or read_pages())
    draw = random.Random(seed)
    with closing(MiniWob(Path(folder))) as environment:
        solved, runs = _played(environment, names, seed, lambda _: environment.solution())
        lucky, _ = _played(environment, names, seed, lambda size: _anywhere(draw, size))
    gates = [step.gate for run in runs for step in run.steps if step.gate is not None]
    alarms = [gate for gate in gates if gate["level"] == "consequential"]
    yield Comparison(
        "MiniWoB++ with scripted solutions, share not solved",
        1.0 - solved,
        1.0,
        0.0,
        at_least=False,
        note=f"{len(names)} pages",
    )
    yield Comparison("MiniWoB++ with random clicks, share solved", lucky, 1.0, 0.15, at_least=False)
    yield Comparison(
        "steps of the solutions that the gate would ask about",
        len(alarms) / max(len(gates), 1),
        1.0,
        0.03,
        at_least=False,
        note=f"{len(alarms)} of {len(gates)} steps",
    )


def _played(
    environment: MiniWob, names: Sequence[str], seed: int, act: Callable[[Size], Act]
) -> tuple[float, list[Run]]:
    """Share of the pages that were solved, and the runs."""
    scores, runs = [], []
    for name in names:
        environment.reset({"page": name, "seed": seed})
        gate = Gate(blocks=False)
        runs.append(run_on(environment, "", Acting(act), "script", _OPTIONS, gate))
        scores.append(environment.evaluate().score)
        what = "solved" if scores[-1] else f"not solved: {runs[-1].end} {runs[-1].problem}"
        sys.stderr.write(f"{name}: {what} in {len(runs[-1].steps)} steps\n")
    return sum(scores) / len(scores), runs


def _anywhere(draw: random.Random, size: Size) -> Act:
    point = Point(draw.randrange(size.width), draw.randrange(size.height))
    return Act(kind="left_click", point=point)

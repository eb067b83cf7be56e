# SPDX-License-Identifier: Apache-2.0
"""Drawn pictures that another program and we answer about, and llama.cpp's server with GGUF files of ours."""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from finesight.api.model import Model, load
from finesight.batch import pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.text.chat_template import ControlToken, TextSegment, VisionSlot, render

SERVER = Path(__file__).parents[2] / ".llama/build/bin/llama-server"

FRAMES_PER_SECOND = 2.0

CELL = 28
"""Side in pixels of a visual token."""

LEAST_TOKENS, MOST_TOKENS = 16, 1024
"""Visual tokens of the drawn pictures."""

_QUESTIONS = (
    "Locate the red square, output its bbox coordinates using JSON format.",
    "Read all the text in the image.",
    "Point to the blue disc.",
    "How many shapes are there?",
    "Describe the picture.",
)

_WORDS = ("Ticket", "Hello", "42", "Total 17.50", "Exit", "North", "Open 9-17", "Berlin")

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Question:
    """About a picture, or about a video of these frames at two a second.

    Attributes:
        picture: the picture, or the first frame.
        text: what is asked.
        frames: uint8[F, H, W, 3] of a video; None of a picture.
    """

    picture: Image.Image
    text: str
    frames: npt.NDArray[np.uint8] | None = None

    @property
    def conversation(self) -> Conversation:
        """With the picture in the size that was drawn."""
        if self.frames is not None:
            video = VideoPart(source=self.frames, fps=FRAMES_PER_SECOND)
            return Conversation((Message("user", (video, TextPart(self.text))),))
        width, height = self.picture.size
        area = width * height
        part = ImagePart(source=self.picture, min_pixels=area, max_pixels=area)
        return Conversation((Message("user", (part, TextPart(self.text))),))


def drawn_questions(count: int, *, seed: int = 0, most_tokens: int = MOST_TOKENS) -> list[Question]:
    """Pictures with sides that are multiples of 28, from the smallest to the largest, each with a question."""
    chance = random.Random(seed)
    found = []
    for index in range(count):
        tokens = LEAST_TOKENS * (most_tokens / LEAST_TOKENS) ** (index / max(count - 1, 1))
        columns = max(3, min(48, round(tokens**0.5 * chance.uniform(0.7, 1.4))))
        rows = max(3, round(tokens / columns))
        while rows * columns > most_tokens:
            rows -= 1
        while rows * columns < LEAST_TOKENS:
            rows += 1
        size = columns * CELL, rows * CELL
        found.append(Question(_drawing(size, chance), _QUESTIONS[index % len(_QUESTIONS)]))
    return found


def drawn_videos(count: int, *, seed: int = 1) -> list[Question]:
    """Videos of 4 to 8 frames, small enough that no processor scales them."""
    chance = random.Random(seed)
    found = []
    for index in range(count):
        size = CELL * chance.randint(3, 4), CELL * chance.randint(3, 4)
        frames = [_drawing(size, chance) for _ in range(2 * chance.randint(2, 4))]
        text = _QUESTIONS[index % len(_QUESTIONS)]
        found.append(Question(frames[0], text, np.stack([np.asarray(each) for each in frames])))
    return found


def _drawing(size: tuple[int, int], chance: random.Random) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for colour, shape in (("red", draw.rectangle), ("blue", draw.ellipse), ("green", draw.ellipse)):
        side = chance.randint(16, 40)
        left, top = (chance.randint(0, each - side - 1) for each in size)
        shape((left, top, left + side, top + side), fill=colour)
    draw.text((4, size[1] - 16), chance.choice(_WORDS), fill="black")
    return picture


@dataclass(frozen=True)
class LlamaServer:
    address: str
    marker: str

    def tokens(self, question: Question, most: int) -> list[int]:
        """Token ids of the greedy answer, with the end token if it was reached."""
        with io.BytesIO() as file:
            question.picture.save(file, "PNG")
            data = base64.b64encode(file.getvalue()).decode()
        prompt = {
            "prompt_string": written(question.conversation, self.marker),
            "multimodal_data": [data],
        }
        answer = self.post(
            "/completion",
            {
                "prompt": prompt,
                "temperature": 0,
                "n_predict": most,
                "return_tokens": True,
                "cache_prompt": False,
                "samplers": ["temperature"],
            },
        )
        return [int(each) for each in answer["tokens"]]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON answer to a request."""
        asked = urllib.request.Request(
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=300) as reply:
            return json.load(reply)


def written(conversation: Conversation, marker: str) -> str:
    """The prompt as text, with llama.cpp's marker for each picture, which adds the tokens around it."""
    text = ""
    for segment in render(conversation):
        if isinstance(segment, TextSegment):
            text += segment.text
        elif isinstance(segment, VisionSlot):
            text += marker
        elif isinstance(segment, ControlToken) and "vision" not in segment.name:
            text += segment.name
    return text


@contextmanager
def llama_server(model: Path, vision: Path, log: Path) -> Iterator[LlamaServer]:
    """Start the server on a free port; stop it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [SERVER, "-m", model, "--mmproj", vision, "--host", "127.0.0.1", "--port", port]
    words += ["-t", 1, "-c", 4096, "-np", 1, "--no-webui", "--no-warmup"]
    words += ["--image-min-tokens", 8, "--image-max-tokens", MOST_TOKENS]
    with log.open("wb") as file:
        process = subprocess.Popen([str(each) for each in words], stdout=file, stderr=file)
    try:
        server = LlamaServer(f"http://127.0.0.1:{port}", "")
        yield LlamaServer(server.address, _marker(server, process, log))
    finally:
        process.terminate()
        process.wait(timeout=30)


def _marker(server: LlamaServer, process: subprocess.Popen[bytes], log: Path) -> str:
    """The marker of pictures, once the server is ready."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(server.address + "/props", timeout=5) as reply:
                return str(json.load(reply)["media_marker"])
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"llama-server did not start: {log.read_text(errors='replace')[-2000:]}")


@dataclass(frozen=True)
class Agreement:
    """Of another program's greedy answers with ours.

    Attributes:
        positions: tokens of its answers.
        same_positions: those that we choose, too, after the same tokens.
        answers: number of answers.
        same_answers: those that are wholly the same, the end included.
    """

    positions: int
    same_positions: int
    answers: int
    same_answers: int

    def __str__(self) -> str:
        return (
            f"tokens {self.same_positions}/{self.positions}"
            f" ({self.same_positions / self.positions:.2%}), answers {self.same_answers}/{self.answers}"
            f" ({self.same_answers / self.answers:.0%})"
        )


@torch.inference_mode()
def agreement(
    folder: Path, questions: Sequence[Question], answers: Sequence[Sequence[int]], most: int
) -> Agreement:
    """Compare greedy answers of another program with ours in float32, teacher-forced on theirs.

    Args:
        folder: our model.
        questions: what was asked.
        answers: token ids of the other program, for each question.
        most: tokens after which it was stopped.
    """
    model = load(str(folder), dtype="float32")
    ends = {*model.generation.eos_ids, model.processor.tokenizer.special_id("<|im_end|>")}
    counts = [0, 0, 0, 0]
    for question, theirs in zip(questions, answers, strict=True):
        ours = _forced(model, question, theirs)
        # An answer that ended without its end token ends where we must end, too.
        is_cut = len(theirs) == most or theirs[-1] in ends
        whole = [*theirs] if is_cut else [*theirs, None]
        same = [a == b or (b is None and a in ends) for a, b in zip(ours, whole, strict=False)]
        counts[0] += len(same)
        counts[1] += sum(same)
        counts[2] += 1
        counts[3] += all(same)
    return Agreement(*counts)


def _forced(model: Model, question: Question, answer: Sequence[int]) -> list[int]:
    """Our most likely token after the prompt, and after each token of an answer."""
    sample = model.processor.encode(question.conversation)
    more = torch.arange(len(answer)) + sample.input_ids.numel() + sample.rope_delta
    longer = replace(
        sample,
        input_ids=torch.cat([sample.input_ids, torch.tensor([*answer])]),
        labels=torch.full((len(sample.labels) + len(answer),), -100),
        position_ids=torch.cat([sample.position_ids, more.expand(3, -1)], dim=1),
    )
    batch = pack([longer])
    hidden = model.network(batch)[-len(answer) - 1 :]
    return model.network.logits(hidden).argmax(-1).tolist()

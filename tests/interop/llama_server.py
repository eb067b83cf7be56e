# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's server with GGUF files of ours, and drawn pictures that both sides answer about."""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from finesight.api.model import Model, load
from finesight.batch import pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.text.chat_template import ControlToken, TextSegment, VisionSlot, render

SERVER = Path(__file__).parents[2] / ".llama/build/bin/llama-server"

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
    picture: Image.Image
    text: str

    @property
    def conversation(self) -> Conversation:
        """With the picture in the size that was drawn."""
        width, height = self.picture.size
        area = width * height
        part = ImagePart(source=self.picture, min_pixels=area, max_pixels=area)
        return Conversation((Message("user", (part, TextPart(self.text))),))


def drawn_questions(count: int, *, seed: int = 0) -> list[Question]:
    """Pictures with sides that are multiples of 28, from the smallest to the largest, each with a question."""
    chance = random.Random(seed)
    found = []
    for index in range(count):
        tokens = LEAST_TOKENS * (MOST_TOKENS / LEAST_TOKENS) ** (index / max(count - 1, 1))
        columns = max(3, min(48, round(tokens**0.5 * chance.uniform(0.7, 1.4))))
        rows = max(3, round(tokens / columns))
        while rows * columns > MOST_TOKENS:
            rows -= 1
        while rows * columns < LEAST_TOKENS:
            rows += 1
        size = columns * CELL, rows * CELL
        found.append(Question(_drawing(size, chance), _QUESTIONS[index % len(_QUESTIONS)]))
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
    """Of llama.cpp's greedy answers with ours.

    Attributes:
        positions: tokens of llama.cpp's answers.
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
def agreement(folder: Path, server: LlamaServer, questions: list[Question], most: int) -> Agreement:
    """Compare greedy answers: ours in float32, teacher-forced on llama.cpp's."""
    model = load(str(folder), dtype="float32")
    ends = {*model.generation.eos_ids, model.processor.tokenizer.special_id("<|im_end|>")}
    counts = [0, 0, 0, 0]
    for question in questions:
        theirs = server.tokens(question, most)
        ours = _forced(model, question, theirs)
        whole = theirs if len(theirs) == most or theirs[-1] in ends else [*theirs, None]
        same = [a == b or (b is None and a in ends) for a, b in zip(ours, whole, strict=False)]
        counts[0] += len(same)
        counts[1] += sum(same)
        counts[2] += 1
        counts[3] += all(same)
    return Agreement(*counts)


def _forced(model: Model, question: Question, answer: list[int]) -> list[int]:
    """Our most likely token after the prompt, and after each token of an answer."""
    sample = model.processor.encode(question.conversation)
    from dataclasses import replace

    more = torch.arange(len(answer)) + sample.input_ids.numel() + sample.rope_delta
    longer = replace(
        sample,
        input_ids=torch.cat([sample.input_ids, torch.tensor(answer)]),
        labels=torch.full((len(sample.labels) + len(answer),), -100),
        position_ids=torch.cat([sample.position_ids, more.expand(3, -1)], dim=1),
    )
    batch = pack([longer])
    hidden = model.network(batch)[-len(answer) - 1 :]
    return model.network.logits(hidden).argmax(-1).tolist()

# SPDX-License-Identifier: Apache-2.0
"""Conversations drawn at random, with pictures and videos of which only the sizes exist.

A source is a name like "picture 2"; the case says how large that picture would be. Case n is always the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

TEXTS = (
    "Locate every cake and describe their features.",
    "\n\n  indented, after two line breaks",
    "框出每一个小蛋糕的位置，以json格式输出所有的坐标",
    "Wie viele Äpfel? 1234567890 Stück; l'été, c'est fini.",
    "متى ينتهي هذا الفيديو؟ 12.5 ثانية",
    "東京の夏は暑い。カタカナ、ひらがな。 한국어도 있다. Привет, мир!",
    'def f(x):\n\treturn {"bbox_2d": [43, 571, 209, 753]}\n\n\n',
    "trailing spaces   ",
    " ",
    "🙂👩‍👩‍👧 e\u0301 (combining), ﬁ ligature, \u200b zero width",
    "a" * 70,
    "QwenVL HTML ",
    "\t",
    "it's WE'LL they'RE don't",
    '<p data-bbox="1 2 3 4">x</p> <|not a token|> <tool> [INST]',
)
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "mobile_use",
            "description": "Touch the screen. The resolution is 1092x2408; écran tactile.",
            "parameters": {
                "type": "object",
                "properties": {"action": {"enum": ["click", "swipe"], "type": "string"}},
                "required": ["action"],
            },
        },
    },
    {"type": "function", "function": {"name": "wait", "parameters": {}}},
)


@dataclass(frozen=True)
class DrawnVideo:
    """A video that does not exist."""

    width: int
    height: int
    total_frames: int
    source_fps: float


@dataclass
class DrawnCase:
    """One conversation and the sizes of its media, by source name."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True
    add_vision_id: bool = False
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    videos: dict[str, DrawnVideo] = field(default_factory=dict)

    def parts(self) -> list[dict[str, Any]]:
        """The picture and video parts, in order of appearance."""
        return [
            part
            for message in self.messages
            if isinstance(message.get("content"), list)
            for part in message["content"]
            if part["type"] != "text"
        ]


def draw_case(number: int) -> DrawnCase:
    """Case `number`: 0-4 pictures, 0-2 videos, text and turns between, system, tools."""
    rng = random.Random(number)
    case = DrawnCase(add_generation_prompt=rng.random() < 0.7, add_vision_id=rng.random() < 0.3)
    if rng.random() < 0.3:
        case.tools = list(TOOLS[: rng.randint(1, 2)])
    if rng.random() < 0.5:
        text = rng.choice(TEXTS)
        as_parts = rng.random() < 0.5
        content = [{"type": "text", "text": text}] if as_parts else text
        case.messages.append({"role": "system", "content": content})
    media = [_image(rng, case) for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 4)))]
    media += [_video(rng, case) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    rng.shuffle(media)
    while media or rng.random() < 0.4 or len(case.messages) < 2:
        taken = [media.pop() for _ in range(min(len(media), rng.randint(0, 3)))]
        case.messages.append(_user(rng, taken))
        if media or rng.random() < 0.6:
            case.messages += _assistant(rng, with_calls=case.tools is not None)
    return case


def _text(rng: random.Random) -> str:
    return "".join(rng.choice(TEXTS) for _ in range(rng.randint(1, 3)))


def _user(rng: random.Random, media: list[dict[str, Any]]) -> dict[str, Any]:
    if not media and rng.random() < 0.5:
        return {"role": "user", "content": _text(rng)}
    content: list[dict[str, Any]] = []
    for part in media:
        if rng.random() < 0.5:
            content.append({"type": "text", "text": _text(rng)})
        content.append(part)
    if rng.random() < 0.8 or not content:
        content.append({"type": "text", "text": _text(rng)})
    return {"role": "user", "content": content}


def _assistant(rng: random.Random, *, with_calls: bool) -> list[dict[str, Any]]:
    if not with_calls or rng.random() < 0.4:
        return [{"role": "assistant", "content": _text(rng)}]
    calls = [
        {
            "type": "function",
            "function": {
                "name": "mobile_use",
                "arguments": {"action": "click", "coordinate": [rng.randrange(999), 7], "t": "é\n"},
            },
        }
        for _ in range(rng.randint(1, 2))
    ]
    content = rng.choice(("", _text(rng)))
    results = [{"role": "tool", "content": _text(rng)} for _ in calls]
    return [{"role": "assistant", "content": content, "tool_calls": calls}, *results]


def _side(rng: random.Random, largest: int = 2000) -> int:
    """Log-uniform between 28 and `largest`, every third odd."""
    side = round(28 * (largest / 28) ** rng.random())
    return min(largest, side | 1) if rng.random() < 0.33 else side


def _image(rng: random.Random, case: DrawnCase) -> dict[str, Any]:
    name = f"picture {len(case.images)}"
    size = (_side(rng), _side(rng))
    if rng.random() < 0.05:
        size = rng.choice(((2000, 10), (10, 2000), (1999, 10)))  # up to 200:1
    case.images[name] = size
    part: dict[str, Any] = {"type": "image", "image": name}
    choice = rng.random()
    if choice < 0.2:
        part |= {"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28}
    elif choice < 0.4:
        part["max_pixels"] = rng.randint(3136, 400_000)
    elif choice < 0.5:
        part |= {"resized_height": rng.randint(20, 900), "resized_width": rng.randint(20, 900)}
    return part


def _video(rng: random.Random, case: DrawnCase) -> dict[str, Any]:
    name = f"video {len(case.videos)}"
    source_fps = rng.choice((24.0, 25.0, 30000 / 1001, 30.0, 60.0, 12.5))
    seconds = rng.choice((0.5, 1.0, 2.0, 3.7, 10.0, 31.4, 60.0))
    case.videos[name] = DrawnVideo(
        _side(rng, 1920), _side(rng, 1080), max(4, int(seconds * source_fps)), source_fps
    )
    part: dict[str, Any] = {"type": "video", "video": name}
    if rng.random() < 0.25:
        part["nframes"] = rng.choice((2, 4, 5, 8))
    elif rng.random() < 0.9:
        part["fps"] = rng.choice((0.25, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 3.3, 4, 5, 7, 7.5, 10))
    if "fps" in part and rng.random() < 0.3:
        part["max_frames"] = rng.choice((4, 10, 17))
    choice = rng.random()
    if choice < 0.6:  # keeps the rows short: the budget of a whole video is 115,200 tokens
        part |= {"min_pixels": 16 * 28 * 28, "total_pixels": rng.randint(500, 4000) * 28 * 28}
    elif choice < 0.8:
        part |= {"min_pixels": 4 * 28 * 28, "max_pixels": rng.randint(8, 60) * 28 * 28}
    else:
        part |= {"resized_height": rng.randint(28, 280), "resized_width": rng.randint(28, 280)}
    return part

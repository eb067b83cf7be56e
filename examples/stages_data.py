# SPDX-License-Identifier: Apache-2.0
"""Draw the small data sets on which recipes/stages/tiny run: pictures of shapes and words, clips, texts and pairs.

They show what each stage is fed with; nothing can be learned from so few pictures.

    python examples/stages_data.py runs/stages/data
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finesight.conversation import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from finesight.data.record import Record
from finesight.data.shards import write_shard

COLOURS = {"red": (210, 30, 40), "blue": (30, 70, 200), "green": (20, 150, 60)}
SHAPES = ("circle", "square")
WORDS = ("river", "Monday", "open", "bread", "north", "ticket", "seven", "garden")
HINT = "Answer with one word."


def picture(chosen: list[tuple[str, str]], word: str = "") -> np.ndarray:
    """Shapes in a row, over a word; each shape has a cell of 56 x 56 pixels."""
    drawn = Image.new("RGB", (56 * len(chosen), 84), "white")
    pen = ImageDraw.Draw(drawn)
    for index, (colour, shape) in enumerate(chosen):
        box = (56 * index + 8, 8, 56 * index + 48, 48)
        draw = pen.ellipse if shape == "circle" else pen.rectangle
        draw(box, fill=COLOURS[colour])
    pen.text((4, 58), word, font=ImageFont.load_default(18), fill="black")
    return np.asarray(drawn)


def some_shapes(rng: random.Random) -> list[tuple[str, str]]:
    """One to three shapes, each a colour and a form."""
    return [(rng.choice([*COLOURS]), rng.choice(SHAPES)) for _ in range(rng.randint(1, 3))]


def said(chosen: list[tuple[str, str]]) -> str:
    """The shapes in words."""
    return " and ".join(f"a {colour} {shape}" for colour, shape in chosen)


def talk(*turns: Part | str | tuple[Part | str, ...]) -> Conversation:
    """Messages of user and assistant in turn."""
    messages = []
    for index, turn in enumerate(turns):
        parts = turn if isinstance(turn, tuple) else (turn,)
        read = tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
        messages.append(Message("assistant" if index % 2 else "user", read))
    return Conversation(tuple(messages))


def captions(rng: random.Random) -> Conversation:
    """A picture and its caption, without a question."""
    chosen = some_shapes(rng)
    return talk(ImagePart(source=picture(chosen)), said(chosen))


def words(rng: random.Random) -> Conversation:
    """A word to read."""
    word = rng.choice(WORDS)
    shown = ImagePart(source=picture(some_shapes(rng), word))
    return talk((shown, "Read all the text in the image."), word)


def questions(rng: random.Random) -> Conversation:
    """A question about a picture, with the answer; boxes are in pixels, as the sides are multiples of 28."""
    chosen = some_shapes(rng)
    shown = ImagePart(source=picture(chosen))
    colour, shape = chosen[-1]
    left = 56 * (len(chosen) - 1)
    box = f'{{"bbox_2d": [{left + 8}, 8, {left + 48}, 48], "label": "{shape}"}}'
    pairs = [
        ("How many shapes are there in the image?", str(len(chosen))),
        (f"What colour is the {shape} on the right? {HINT}", colour),
        ("Locate the shape on the right, output its bbox coordinates using JSON format.", box),
    ]
    question, answer = rng.choice(pairs)
    return talk((shown, question), answer)


def texts(rng: random.Random) -> Conversation:
    """A question without a picture."""
    first, second = rng.randint(1, 9), rng.randint(1, 9)
    return talk(f"What is {first} plus {second}? {HINT}", str(first + second))


def interleaved(rng: random.Random) -> Conversation:
    """A text with pictures in it; all of it is learned."""
    parts: list[Part | str] = []
    for _ in range(3):
        chosen = some_shapes(rng)
        parts += [ImagePart(source=picture(chosen)), f"This picture shows {said(chosen)}. "]
    return talk("Continue.", tuple(parts))


def clips(rng: random.Random, frames: int = 6) -> Conversation:
    """Two frames a second; the shape changes its colour in the middle."""
    before, after = rng.sample([*COLOURS], 2)
    half = frames // 2
    shown = [picture([(before, "circle")])] * half + [picture([(after, "circle")])] * half
    clip = VideoPart(source=tuple(shown), sample_fps=2.0, min_pixels=28 * 28)
    question = "When does the circle change its colour? Answer in seconds."
    return talk((clip, question), f"{half / 2:.1f} s")


def long(rng: random.Random) -> Conversation:
    """A long clip, or many pages in one conversation."""
    if rng.random() < 0.5:
        return clips(rng, frames=24)
    pages = [(picture(some_shapes(rng), word), word) for word in rng.sample(WORDS, 6)]
    number = rng.randrange(len(pages))
    shown = tuple(ImagePart(source=pixels) for pixels, _ in pages)
    return talk((*shown, f"Which word is on page {number + 1}?"), pages[number][1])


def acts(rng: random.Random) -> Conversation:
    """A step on a screen, as a call of the official tool."""
    chosen = some_shapes(rng)
    number = rng.randrange(len(chosen))
    question = f"The user query: click the shape number {number + 1} from the left."
    click = {"action": "left_click", "coordinate": [56 * number + 28, 28]}
    call = json.dumps({"name": "computer_use", "arguments": click})
    answer = f"<tool_call>\n{call}\n</tool_call>"
    return talk((ImagePart(source=picture(chosen)), question), answer)


SETS = {
    "captions": (captions,),
    "words": (words,),
    "texts": (texts,),
    "all": (captions, words, questions, texts, interleaved, clips, acts),
    "long": (long,),
    "questions": (questions, texts),
}


def records(name: str, count: int, *, is_pair: bool = False) -> Iterator[Record]:
    """Records of one set; of a preference pair, the worse answer is that of another record."""
    rng = random.Random(name)
    made = [rng.choice(SETS[name])(rng) for _ in range(count)]
    for index, conversation in enumerate(made):
        meta = {"split": "train", "generator": "stages_data", "seed": index}
        rejected = (Message("assistant", (TextPart("I do not know."),)),) if is_pair else ()
        yield Record(id=f"{name}-{index}", conversation=conversation, meta=meta, rejected=rejected)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/stages/data")
    for name in SETS:
        write_shard(folder / name / "train.tar", records(name, 60))
    write_shard(folder / "pairs" / "train.tar", records("questions", 60, is_pair=True))
    print(f"wrote {', '.join([*SETS, 'pairs'])} to {folder}")

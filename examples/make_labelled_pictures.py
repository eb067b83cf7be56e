# SPDX-License-Identifier: Apache-2.0
"""Draw three sets of 200 labelled pictures, each in another format that fine-tuning reads.

- symbols: plant symbols with names that no model knows them by; a folder with captions.csv
- invoices: small invoices with their fields, one a line; one OpenAI chat a line
- tags: price tags, answered in a format of their own; LLaVA JSON

::

    python examples/make_labelled_pictures.py pictures
"""

import argparse
import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

NUMBER = 200
GOODS = ("apples", "pears", "plums", "bread", "butter", "milk", "cheese", "honey", "coffee", "tea", "rice", "beans",
         "soap", "salt", "sugar")  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip
Place = Callable[[float, float], tuple[float, float]]


def draw_symbol(draw: ImageDraw.ImageDraw, name: str, at: Place, ink: str, width: int) -> None:
    """One of eight symbols; `at` maps the unit square to the picture."""
    if name == "valve open":
        draw.line([at(0.05, 0.5), at(0.95, 0.5)], fill=ink, width=width)
        draw.ellipse([at(0.3, 0.3), at(0.7, 0.7)], outline=ink, width=width)
    elif name == "valve closed":
        draw.polygon([at(0.1, 0.2), at(0.9, 0.8), at(0.9, 0.2), at(0.1, 0.8)], fill=ink)
    elif name == "pump":
        draw.ellipse([at(0.1, 0.1), at(0.9, 0.9)], outline=ink, width=width)
        draw.polygon([at(0.3, 0.25), at(0.85, 0.5), at(0.3, 0.75)], fill=ink)
    elif name == "tank":
        draw.rounded_rectangle(
            [at(0.25, 0.05), at(0.75, 0.95)], radius=3 * width, outline=ink, width=width
        )
        draw.line([at(0.25, 0.4), at(0.75, 0.4)], fill=ink, width=width)
    elif name == "heater":
        corners = [0.5, 0.15, 0.85, 0.15, 0.85, 0.15, 0.5]
        draw.line([at(0.05 + 0.15 * n, y) for n, y in enumerate(corners)], fill=ink, width=width)
    elif name == "filter":
        draw.polygon([at(0.05, 0.1), at(0.95, 0.1), at(0.5, 0.9)], outline=ink, width=width)
        draw.line([at(0.2, 0.35), at(0.8, 0.35)], fill=ink, width=width)
    elif name == "sensor":
        for radius in (0.15, 0.3, 0.45):
            corners_of = [at(0.5 - radius, 0.7 - radius), at(0.5 + radius, 0.7 + radius)]
            draw.arc(corners_of, 200, 340, fill=ink, width=width)
        draw.ellipse([at(0.43, 0.68), at(0.57, 0.82)], fill=ink)
    else:
        for x in (0.3, 0.7):
            draw.line([at(x, 0.05), at(x, 0.95)], fill=ink, width=width)
        for y in (0.2, 0.4, 0.6, 0.8):
            draw.line([at(0.3, y), at(0.7, y)], fill=ink, width=width)


SYMBOLS = ("valve open", "valve closed", "pump", "tank", "heater", "filter", "sensor", "ladder")


def colour(rng: random.Random, low: int, high: int) -> str:
    """A random colour."""
    return "#" + "".join(f"{rng.randint(low, high):02x}" for _ in range(3))


def symbol(rng: random.Random) -> tuple[Image.Image, str]:
    """A symbol of any size, place and colour, and its name."""
    name, side, size = rng.choice(SYMBOLS), 112, rng.randint(48, 92)
    image = Image.new("RGB", (side, side), colour(rng, 200, 255))
    left, top = rng.randint(4, side - size - 4), rng.randint(4, side - size - 4)
    draw_symbol(
        ImageDraw.Draw(image),
        name,
        lambda x, y: (left + x * size, top + y * size),
        colour(rng, 0, 110),
        rng.randint(3, 6),
    )
    return image, name


def lines(rng: random.Random, size: tuple[int, int], texts: list[str]) -> Image.Image:
    """Lines of text in Pillow's own font."""
    image = Image.new("RGB", size, colour(rng, 225, 255))
    draw, ink = ImageDraw.Draw(image), colour(rng, 0, 70)
    font, left, top = (
        ImageFont.load_default(rng.randint(16, 18)),
        rng.randint(6, 18),
        rng.randint(4, 12),
    )
    for number, text in enumerate(texts):
        draw.text((left, top + 33 * number), text, font=font, fill=ink)
    return image


def invoice(rng: random.Random) -> tuple[Image.Image, str]:
    """An invoice and its fields, one a line."""
    fields = {
        "invoice": str(rng.randint(100, 999)),
        "date": f"{rng.randint(1, 28)} {rng.choice(MONTHS)}",
        "total": f"{rng.randint(10, 99)}.{rng.choice(('00', '25', '50', '75'))}",
    }
    texts = [f"{name.capitalize()} {value}" for name, value in fields.items()]
    label = "\n".join(f"{name}: {value}" for name, value in fields.items())
    return lines(rng, (168, 112), texts), label


def tag(rng: random.Random) -> tuple[Image.Image, str]:
    """A price tag and its text in a format of its own."""
    name, price = rng.choice(GOODS), f"{rng.randint(0, 19)}.{rng.randint(0, 99):02d}"
    return lines(rng, (140, 84), [name, price]), f"<{name}> = {price} EUR"


def drawn(
    folder: Path, make: Callable[[random.Random], tuple[Image.Image, str]]
) -> list[tuple[str, str]]:
    """Draw a set into a folder; returns file names and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, found = random.Random(folder.name), []
    for number in range(NUMBER):
        image, label = make(rng)
        name = f"{number:03d}.png"
        image.save(folder / name)
        found.append((name, label))
    return found


def write_symbols(folder: Path) -> None:
    """A folder of pictures with captions.csv."""
    rows = drawn(folder, symbol)
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "question", "caption"))
        writer.writerows((name, "What does the symbol mean?", label) for name, label in rows)


def write_invoices(folder: Path) -> None:
    """One chat a line, as OpenAI's fine-tuning takes it."""
    with (folder.parent / "invoices.jsonl").open("w", encoding="utf-8") as file:
        for name, label in drawn(folder, invoice):
            picture = {"type": "image_url", "image_url": {"url": f"{folder.name}/{name}"}}
            text = {"type": "text", "text": "Give the fields of the invoice."}
            messages = [
                {"role": "user", "content": [picture, text]},
                {"role": "assistant", "content": label},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")


def write_tags(folder: Path) -> None:
    """A JSON list, as LLaVA and the official fine-tuning code take it."""
    rows = [
        {
            "image": f"{folder.name}/{name}",
            "conversations": [
                {"from": "human", "value": "<image>\nRead the price tag."},
                {"from": "gpt", "value": label},
            ],
        }
        for name, label in drawn(folder, tag)
    ]
    (folder.parent / "tags.json").write_text(json.dumps(rows), encoding="utf-8")


def main() -> None:
    """Draw all three sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write_symbols(folder / "symbols")
    write_invoices(folder / "invoices")
    write_tags(folder / "tags")


if __name__ == "__main__":
    main()

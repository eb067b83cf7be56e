# SPDX-License-Identifier: Apache-2.0
"""Draw two benchmarks of eight questions, in the files of MATH-Vision and of OCRBench.

They let every command of docs/how-to/score.md run without a download. Numbers on them say nothing about a model.

    python examples/make_benchmarks.py copies
"""

import argparse
import base64
import csv
import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WORDS = ("Garden", "Museum", "Monday", "Ticket", "Window", "Bridge", "Harbour", "Lantern")


def picture(text: str) -> Image.Image:
    """A word in Pillow's own font."""
    image = Image.new("RGB", (224, 84), "white")
    ImageDraw.Draw(image).text((16, 24), text, font=ImageFont.load_default(28), fill="black")
    return image


def write_mathvision(folder: Path) -> None:
    """Eight sums, half of them with five options, and stored answers of a program that is wrong about one."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows, answers = [], []
    for number in range(1, 9):
        picture(f"{number} + {number} = ?").save(folder / "images" / f"{number}.png")
        first = 2 * number - number % 5  # the right option stands at another place each time
        options = [str(first + shift) for shift in range(5)] if number % 2 else []
        rows.append(
            {
                "id": str(number),
                "question": "Which number belongs in place of the question mark?\n<image1>",
                "options": options,
                "answer": "ABCDE"[number % 5] if options else str(2 * number),
                "level": 1,
                "subject": "arithmetic",
                "image": f"images/{number}.png",
            }
        )
        said = 2 * number if number < 8 else 15
        answers.append({"id": str(number), "prediction": f"The answer is \\boxed{{{said}}}."})
    write_lines(folder / "test.jsonl", rows)
    write_lines(folder / "outputs.jsonl", answers)


def write_ocrbench(folder: Path) -> None:
    """Eight words to read."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "OCRBench.tsv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(("index", "question", "answer", "category", "image"))
        for index, word in enumerate(WORDS):
            data = BytesIO()
            picture(word).save(data, "PNG")
            image = base64.b64encode(data.getvalue()).decode()
            question = "what is written in the image?"
            table.writerow((index, question, f"['{word}']", "Regular Text Recognition", image))


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the copies are written")
    copies = parser.parse_args().folder
    write_mathvision(copies / "mathvision")
    write_ocrbench(copies / "ocrbench")
    print(f"wrote {copies}/mathvision and {copies}/ocrbench")

# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures, the clip and the page in examples/media again.

They are committed, so nobody needs this to run the demo. It shows what they are made of: text in matplotlib's own font,
plain shapes, and no picture from anywhere else. They were chosen so that the embedded model answers rightly about each;
its scores on text and drawings that nobody chose are in its model card.

    python examples/make_media.py
"""

from pathlib import Path

import av
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

MEDIA = Path(__file__).parent / "media"
CIRCLES = ((44, 125), (144, 57), (48, 61))
SQUARE, TRIANGLE = (121, 133), (218, 51)
SIDE = 48
PAGE_ROWS = ("Reading room", "Open Monday", "Second door")


def text_picture(rows: tuple[str, ...], font_path: str, size: int) -> Image.Image:
    """Dark text on a light ground, with a margin."""
    font = ImageFont.truetype(font_path, size)
    width = max(round(font.getlength(row)) for row in rows) + 2 * size
    picture = Image.new("RGB", (width, round(1.5 * size * len(rows)) + size // 2), (244, 240, 228))
    pen = ImageDraw.Draw(picture)
    for index, row in enumerate(rows):
        pen.text((size, round(size * (0.3 + 1.5 * index))), row, font=font, fill=(32, 36, 60))
    return picture


def shapes_picture() -> Image.Image:
    """Three red circles, a blue square and a green triangle."""
    picture = Image.new("RGB", (280, 196), "white")
    pen = ImageDraw.Draw(picture)
    for x, y in CIRCLES:
        pen.ellipse((x, y, x + SIDE, y + SIDE), fill=(210, 30, 40))
    x, y = SQUARE
    pen.rectangle((x, y, x + SIDE, y + SIDE), fill=(30, 70, 200))
    x, y = TRIANGLE
    pen.polygon([(x, y + SIDE), (x + SIDE, y + SIDE), (x + SIDE // 2, y)], fill=(20, 150, 60))
    return picture


def write_clip(path: Path, picture: Image.Image, *, seconds: int, fps: int) -> None:
    """A still sign, with the noise of a camera."""
    even = picture.resize((picture.width // 2 * 2, picture.height // 2 * 2))
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = even.width, even.height, "yuv420p"
        for _ in range(seconds * fps):
            pixels = np.array(even, dtype=np.int16) + noise.integers(
                -6, 7, (even.height, even.width, 3)
            )
            frame = av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_page(path: Path) -> None:
    """A PDF page of real text."""
    figure = Figure(figsize=(4.0, 2.0))
    for index, row in enumerate(PAGE_ROWS):
        figure.text(0.08, 0.76 - 0.27 * index, row, fontsize=17)
    figure.savefig(path)


if __name__ == "__main__":
    font = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf")
    MEDIA.mkdir(exist_ok=True)
    text_picture(("Museum ticket",), font, 24).save(MEDIA / "ticket.png")
    shapes_picture().save(MEDIA / "shapes.png")
    write_clip(MEDIA / "sign.mp4", text_picture(("Train station",), font, 31), seconds=3, fps=12)
    write_page(MEDIA / "page.pdf")

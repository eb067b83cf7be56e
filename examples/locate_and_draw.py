# SPDX-License-Identifier: Apache-2.0
"""Find things in a picture, in its own pixels, and draw them on a copy.

python examples/locate_and_draw.py [MODEL [OUTPUT.png]]
"""

import sys
from pathlib import Path

from PIL import Image

import finesight
from finesight.present.overlay import draw_answer

PICTURE = Path(__file__).parent / "media" / "shapes.png"


def main(name: str, out: str) -> None:
    """Locate as boxes, then as points."""
    model = finesight.load(name)
    answer = model.locate("the red circle", PICTURE, max_new_tokens=96)
    for box in answer.boxes:
        print(box.label, box.box, "clipped" if box.clipped else "")

    points = model.locate("the red circle", PICTURE, as_="point", max_new_tokens=96)
    for point in points.points:
        print(point.label, point.point)

    with Image.open(PICTURE) as image:
        draw_answer(image, answer).save(out)
    print(f"drawn on a copy: {out}")


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    main(given.get(1, "tiny"), given.get(2, "located.png"))

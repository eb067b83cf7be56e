# SPDX-License-Identifier: Apache-2.0
"""Ask about a picture, a video and a PDF page; read boxes and times back.

python examples/ask_about_a_picture.py [MODEL]
"""

import sys
from pathlib import Path

import finesight

MEDIA = Path(__file__).parent / "media"


def main(name: str) -> None:
    """Ask three questions."""
    model = finesight.load(name)
    ticket, clip, page = MEDIA / "ticket.png", MEDIA / "sign.mp4", MEDIA / "page.pdf"

    answer = model.ask("Read all the text in the image.", images=[ticket], max_new_tokens=64)
    print(answer.text, f"({answer.finish_reason})")

    answer = model.ask("What is written here?", videos=[clip], fps=2.0, max_new_tokens=64)
    record = answer.media[0]
    print(answer.text, f"seen at {record.sample_fps} frames per second")

    # Pages as text count from 1, as a reader prints them.
    answer = model.ask("Read all the text in the image.", pdf=(page, "1"), max_new_tokens=128)
    print(answer.text, f"from {answer.media[0].visual_tokens} visual tokens")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tiny")

# SPDX-License-Identifier: Apache-2.0
"""The main job with the embedded model: two pictures, a video and a PDF page, asked, answered, drawn.

Prints the answers, writes an annotated PNG for each and one report.html, and fails if the page is read badly.
"""

import argparse
import sys
from pathlib import Path

from rapidfuzz.distance import Levenshtein

import finesight
from finesight.api.artifacts import Artifacts, save_report
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart

MEDIA = Path(__file__).parent / "media"
READ = "Read all the text in the image."
FIND = "Locate every red circle in the image and output the coordinates in JSON format."
QUESTIONS: tuple[tuple[ImagePart | VideoPart, str], ...] = (
    (ImagePart(source=MEDIA / "ticket.png"), READ),
    (ImagePart(source=MEDIA / "shapes.png"), FIND),
    (ImagePart(source=MEDIA / "shapes.png"), "How many red circles are there in the image?"),
    (VideoPart(source=MEDIA / "sign.mp4"), READ),
    (ImagePart(source=MEDIA / "page.pdf", page=0), READ),
)
MAX_PAGE_CER = 0.2


def main(out: Path) -> int:
    """Ask everything, write everything; returns the exit code."""
    model = finesight.load("tiny")
    kept = []
    for number, (part, question) in enumerate(QUESTIONS, 1):
        conversation = Conversation((Message("user", (part, TextPart(question))),))
        answer = model.answer(conversation)
        kept.append(Artifacts(conversation, answer, model.processor.config))
        print(f"{Path(answer.media[0].source).name}: {question}\n  {answer.text!r}")
        for path in kept[-1].save_overlays(out / str(number)):  # one picture may be asked twice
            print(f"  drawn: {path}")
    save_report(out / "report.html", kept, title="finesight demo")
    print(f"report: {out / 'report.html'}")
    truth = (MEDIA / "page.txt").read_text(encoding="utf-8").strip()
    cer = Levenshtein.distance(truth, kept[-1].answer.text.strip()) / len(truth)
    print(f"page read with a character error rate of {cer:.3f}, at most {MAX_PAGE_CER} is allowed")
    return 0 if cer <= MAX_PAGE_CER else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    sys.exit(main(parser.parse_args().out))

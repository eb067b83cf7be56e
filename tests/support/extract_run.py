# SPDX-License-Identifier: Apache-2.0
"""`finesight read` with a slow oracle of drawn forms, in a process that can be killed: `extract_run.py LOG WORDS...`.

Each question is a line of LOG, written before it is answered: `value` or `read`, and the number of the page.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.cli.main import main
from finesight.cli.model_choice import ModelChoice
from tests.support.app_responders import answered, asked
from tests.support.documents import PageOracle
from tests.support.forms import Form, draw_form

NUM_PAGES = 8
_SECONDS = 0.1


def drawn() -> list[Form]:
    """The forms, always the same."""
    return [draw_form(900 + at, "lines", "en") for at in range(NUM_PAGES)]


def write_forms(folder: Path) -> None:
    """One picture a form, in order."""
    folder.mkdir()
    for number, form in enumerate(drawn(), 1):
        Image.fromarray(form.pixels).save(folder / f"form-{number}.png")


class SlowOracle:
    """Reads the forms and copies their values, after a while.

    Args:
        log: of the questions.
    """

    def __init__(self, log: Path) -> None:
        self.log, self.forms = log, drawn()

    def respond(self, conversations, sampling):
        return [self._one(one) for one in conversations]

    def _one(self, conversation):
        question = asked(conversation)
        number, form = next(
            (number, form)
            for number, form in enumerate(self.forms, 1)
            if np.array_equal(form.pixels, question.pictures[0])
        )
        is_value = question.text.startswith("Extract")
        with self.log.open("a") as log:
            log.write(f"{'value' if is_value else 'read'} {number}\n")
        time.sleep(_SECONDS)
        text = (
            json.dumps(form.raw) if is_value else PageOracle([(form.pixels, form.lines)])(question)
        )
        return answered(question, text)


if __name__ == "__main__":
    ModelChoice.opened = lambda choice: SlowOracle(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))

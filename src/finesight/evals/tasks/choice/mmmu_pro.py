# SPDX-License-Identifier: Apache-2.0
"""MMMU-Pro: harder forms of MMMU, with up to ten options or with the whole question inside the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.mcq import CAN_INFER, MMMU_PRO_OFFICIAL, ROBUST_LETTER
from finesight.evals.tasks.choice import mmmu, multiple_choice
from finesight.evals.tasks.shared.build import rows
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import Ask, Piece, Question, Wording

STEPS = (
    "Answer the preceding multiple choice question. The last line of your response should be of the following format:"
    " 'Answer: $LETTER' (without quotes) where LETTER is one of options. Think step by step before answering."
)
DIRECT = "Answer with the option letter from the given choices directly."
SEEN = (
    f"{DIRECT} The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes)"
    " where LETTER is one of options."
)
SEEN_STEPS = (
    "Write out the multiple-choice question in the image and then solve it. The last line of your response should be of"
    " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of options. Think step by step"
    " before answering."
)


def question(row: Row, folder: Path) -> Question:
    """A row of either form; the picture of the vision form says the question."""
    choices, seen = mmmu.options(row["options"])
    made = mmmu.as_question(row, choices, folder)
    if seen == len(choices):
        return made
    return replace(made, truth={**made.truth, "num_official_options": seen})


def ask_with(ending: str) -> Ask:
    """Question and options with this request, pictures where they are mentioned."""

    def ask(asked: Question) -> list[Piece]:
        options = multiple_choice.lettered(asked.choices)
        return multiple_choice.at_marks(f"{asked.text}\n{options}\n{ending}", asked.media)

    return ask


def ask_seen(ending: str) -> Ask:
    """The picture and this request; the question stands in the picture."""
    return lambda asked: [*asked.media, ending]


def pro(asks: Mapping[str, Ask]) -> Build:
    """A form of the benchmark, asked in these ways, the default first."""
    return multiple_choice.choice(
        rows(question),
        ways=[Wording(name, "official configuration", ask) for name, ask in asks.items()],
        extractors=(MMMU_PRO_OFFICIAL, ROBUST_LETTER, CAN_INFER),
    )


WRITTEN = pro({"cot": ask_with(STEPS), "direct": ask_with(DIRECT)})
TASKS: Mapping[str, Build] = {
    "mmmu_pro_four": WRITTEN,
    "mmmu_pro_standard": WRITTEN,
    "mmmu_pro_vision": pro({"cot": ask_seen(SEEN_STEPS), "direct": ask_seen(SEEN)}),
}

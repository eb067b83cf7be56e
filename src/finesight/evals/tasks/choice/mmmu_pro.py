# SPDX-License-Identifier: Apache-2.0
"""MMMU-Pro: MMMU with up to ten options, or with the whole question inside the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.mcq import CAN_INFER, MMMU_PRO_OFFICIAL
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.tasks.choice import mmmu, multiple_choice
from finesight.evals.tasks.shared.build import rows
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import Ask, Question, Wording, template

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
    """A row of either form; in the vision form the picture contains the question."""
    choices, seen = mmmu.options(row["options"])
    made = mmmu.as_question(row, choices, folder)
    if seen == len(choices):
        return made
    return replace(made, truth={**made.truth, "num_official_options": seen})


def _ask_with(ending: str) -> Ask:
    """Question and options with this request, pictures at their marks."""
    return multiple_choice.template_at_marks(f"{{text}}\n{{options}}\n{ending}")


def pro(asks: Mapping[str, Ask]) -> Build:
    """A form of the benchmark with these prompts, the default first."""
    return multiple_choice.choice(
        rows(question),
        ways=[Wording(name, "official configuration", ask) for name, ask in asks.items()],
        extractors=(MMMU_PRO_OFFICIAL, ROBUST_LETTER, CAN_INFER),
    )


WRITTEN = pro({"cot": _ask_with(STEPS), "direct": _ask_with(DIRECT)})
TASKS: Mapping[str, Build] = {
    "mmmu_pro_four": WRITTEN,
    "mmmu_pro_standard": WRITTEN,
    "mmmu_pro_vision": pro({"cot": template(SEEN_STEPS), "direct": template(SEEN)}),
}

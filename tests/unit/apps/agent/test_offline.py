# SPDX-License-Identifier: Apache-2.0
"""Traces without a live screen: compared with a model's steps, and written as training data that is read back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.apps.agent.compare import compare, difference
from finesight.apps.agent.export import export_traces
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.job import macro_on
from finesight.apps.agent.records import AgentOptions, Run, Step, Verified
from finesight.apps.agent.replay import Recorded, act_of, read_trace
from finesight.apps.agent.trace import Trace
from finesight.apps.agent.turn import Asker
from finesight.data.formats.config import ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.record import Record
from finesight.errors import AppError, ConfigError, RemoteError
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act
from finesight.screen.environment import Observation
from finesight.screen.history import act_in_words, call_in_words

SIZE = Size(1000, 600)  # seen as 1008 x 588
SHOWN = (1008, 588)
BUTTON = {"role": "button", "name": "Go", "box": [480.0, 280.0, 520.0, 320.0]}


class Calling:
    """Answers each question with the next of these calls, as a model would that sees the screen at another size."""

    def __init__(self, acts, shown=SHOWN):
        self.acts, self.shown, self.asked = list(acts), shown, []

    def respond(self, conversations, sampling):
        del sampling
        (asked,) = conversations
        self.asked.append(asked)
        act = self.acts.pop(0)
        if isinstance(act, Exception):
            raise act
        scale = (SIZE.width / self.shown[0], SIZE.height / self.shown[1])
        text = act if isinstance(act, str) else call_in_words("computer_use", act.arguments(scale))
        step = Step(n=1, at_seconds=0, before="", replies=(text,), shown=(self.shown,))
        return Recorded([step]).respond([asked], None)


class Still:
    """A blank screen on which nothing may be done."""

    tool, facts = "computer_use", {"screen": "fake"}

    def observe(self):
        return Observation(screenshot=Image.new("RGB", (1000, 600)))

    def elements(self):
        return []

    def focused(self):
        return None


def recorded(folder, acts, *, verified=True, said="", concluded="", elements=None, **changed):
    """A trace of these acts, asked for as an agent does, so that its prompts are the real ones."""
    options = AgentOptions(manner=changed.pop("manner", "cookbook"))
    meta = {"goal": "Press Go.", "model": "m", "options": options.to_dict(), "tool": "computer_use"}
    trace = Trace(folder, meta)
    for number, act in enumerate(acts, 1):
        noise = np.random.default_rng(number).integers(0, 255, (600, 1000, 3), np.uint8)
        path, digest = trace.keep_screen(Image.fromarray(noise))
        scale = (SIZE.width / SHOWN[0], SIZE.height / SHOWN[1])
        reply = said + call_in_words("computer_use", act.arguments(scale)) + concluded
        asker = Asker(Calling([reply]), "computer_use", options, folder.resolve() / "screens")
        turn = asker.next("Press Go.", trace.steps, path, ())
        step = Step(
            n=number,
            at_seconds=0,
            before=digest,
            prompt_digest=turn.prompt_digest,
            replies=turn.replies,
            shown=turn.shown,
            act=turn.act.as_json(),
            call=turn.call,
            words=turn.words,
            element=BUTTON if act.point else None,
            effect={"verdict": "changed"},
        )
        trace.keep(replace(step, **{name: values[number - 1] for name, values in changed.items()}))
    ends = Run(
        goal="Press Go.",
        end="terminated",
        claimed="success",
        verified=Verified(value=verified, how="judge"),
        steps=trace.steps,
    )
    trace.finish(ends)
    trace.close()
    return folder


ACTS = [
    Act(kind="left_click", point=Point(500, 300)),
    Act(kind="type", text="desk lamp"),
    Act(kind="scroll", pixels=-100.0, point=Point(400, 200)),
    Act(kind="terminate", status="success"),
]


def test_the_recorded_steps_are_equal_to_themselves(tmp_path):
    source = recorded(tmp_path / "t", ACTS)
    _, steps = read_trace(source)
    model = Calling([act_of(step.act) for step in steps])
    found = compare(source, model)
    assert [step.is_same for step in found.steps] == [True] * 4
    values = found.to_dict()
    assert (values["same"], values["same_kind"], values["num_not_compared"]) == (1.0, 1.0, 0)
    assert [each.messages[-1].parts[0].text.count("Step ") for each in model.asked] == [0, 1, 2, 3]


def test_each_step_is_asked_for_after_the_recorded_ones(tmp_path):
    source = recorded(tmp_path / "t", ACTS)
    proposed = [
        Act(kind="left_click", point=Point(519, 281)),  # still in the button
        Act(kind="type", text="Desk lamp"),
        "I do not know.",
        Act(kind="wait", seconds=1.0),
    ]
    model = Calling(proposed)
    found = compare(source, model)
    assert [step.is_same for step in found.steps] == [True, False, False, False]
    assert [step.is_same_kind for step in found.steps] == [True, True, False, False]
    assert found.steps[1].reason == "text is 'Desk lamp', not 'desk lamp'"
    assert found.steps[2].reason == "the answer has no tool call"
    assert found.steps[3].reason == "the action is wait, not terminate"
    assert "desk lamp" in model.asked[2].messages[-1].parts[0].text
    assert found.to_dict()["same"] == 0.25


def test_a_model_that_sees_another_size_is_told_earlier_points_at_that_size(tmp_path):
    source = recorded(tmp_path / "t", ACTS[:2])
    model = Calling(
        [ACTS[0], ACTS[0], ACTS[1]], shown=(504, 308)
    )  # asked twice, as the size was unknown
    found = compare(source, model)
    assert [step.is_same for step in found.steps] == [True, True]
    told = model.asked[-1].messages[-1].parts[0].text
    assert '"coordinate": [252, 154]' in told
    assert "504x308" in json.dumps(model.asked[-1].tools[0])


def test_what_cannot_be_compared_is_said(tmp_path):
    source = recorded(tmp_path / "t", ACTS[:3], problem=["", "refused", ""])
    _, steps = read_trace(source)
    found = compare(source, Calling([RemoteError("it is down"), ACTS[2]]))
    assert [step.is_compared for step in found.steps] == [False, False, True]
    assert found.steps[0].reason == "no answer came: it is down"
    assert found.steps[1].reason == "it was not performed: refused"
    assert found.to_dict()["num_compared"] == 1
    for step in steps:
        (source / "screens" / f"{step.before}.png").unlink()
    with pytest.raises(AppError, match=r"no step of .* could be compared: its screen cannot be"):
        compare(source, Calling([]))
    with pytest.raises(ConfigError, match="holds no trace"):
        compare(tmp_path / "other", Calling([]))


@pytest.mark.parametrize(
    ("one", "other", "box", "words"),
    [
        (ACTS[0], Act(kind="left_click", point=Point(521, 300)), BUTTON, "point is (521, 300)"),
        (ACTS[0], Act(kind="left_click", point=Point(600, 340)), None, ""),
        (ACTS[0], Act(kind="left_click", point=Point(641, 300)), None, "point is (641, 300)"),
        (ACTS[0], Act(kind="left_click"), BUTTON, "point is nowhere"),
        (ACTS[0], Act(kind="double_click", point=Point(500, 300)), BUTTON, "the action is"),
        (Act(kind="scroll", pixels=-9.0), Act(kind="scroll", pixels=-500.0), None, ""),
        (Act(kind="scroll", pixels=-9.0), Act(kind="scroll", pixels=9.0), None, "other direction"),
        (Act(kind="key", keys=("Enter",)), Act(kind="key", keys=("enter",)), None, ""),
        (Act(kind="key", keys=("a", "b")), Act(kind="key", keys=("b", "a")), None, "keys is"),
        (
            Act(kind="swipe", point=Point(500, 500), point2=Point(500, 100)),
            Act(kind="swipe", point=Point(100, 400), point2=Point(120, 300)),
            None,
            "",
        ),
        (
            Act(kind="swipe", point=Point(500, 500), point2=Point(500, 100)),
            Act(kind="swipe", point=Point(500, 100), point2=Point(500, 500)),
            None,
            "it swipes up, not down",
        ),
    ],
)
def test_when_two_steps_are_equal(one, other, box, words):
    found = difference(one, other, box and Box(*box["box"]), SIZE)
    assert found == "" if not words else words in found


def read_back(folder):
    reading = Reading(folder / "rows.jsonl", ImportConfig())
    return reading, [found for found in reading if isinstance(found, Record)]


@pytest.mark.parametrize("manner", ["cookbook", "thinking", "window"])
def test_a_trace_becomes_records(tmp_path, manner):
    around = {
        "said": "<thinking>Go.</thinking>\n",
        "concluded": "\n<conclusion>Pressed.</conclusion>",
    }
    source = recorded(
        tmp_path / "t", ACTS, manner=manner, **(around if manner == "thinking" else {})
    )
    assert export_traces([source], tmp_path / "out") == (4, {})
    reading, records = read_back(tmp_path / "out")
    assert reading.format == "openai"
    assert len(records) == 4
    first, _, scroll, last = records
    assert first.places[0].values == (500.0, 300.0)
    assert first.conversation.tools[0]["function"]["name"] == "computer_use"
    assert "1008x588" in json.dumps(dict(first.conversation.tools[0]))
    turns = [each.conversation.messages for each in records]
    learned = [[turn.role for turn in each if turn.is_target].count("assistant") for each in turns]
    assert learned == [1, 1, 1, 1]
    pictures = [len(list(each.conversation.media())) for each in records]
    assert pictures == ([1, 2, 3, 4] if manner == "window" else [1] * 4)
    answer = last.conversation.messages[-1]
    if manner == "thinking":
        assert answer.parts[0].text.startswith("<thinking>Go.</thinking>\n<tool_call>\n")
        assert answer.parts[0].text.endswith("</tool_call>\n<conclusion>Pressed.</conclusion>")
    else:
        assert answer.tool_calls[0]["arguments"] == {"action": "terminate", "status": "success"}
        assert scroll.conversation.messages[-1].tool_calls[0]["arguments"]["pixels"] == -98


def test_the_questions_are_those_of_the_run(tmp_path):
    """Without a change of size, the rebuilt requests have the digests that the run has stored."""
    source = recorded(tmp_path / "t", ACTS)
    meta, steps = read_trace(source)
    options = AgentOptions()
    for index, step in enumerate(steps):
        asker = Asker(Calling(["x"]), meta["tool"], options, source.resolve() / "screens")
        turn = asker.next(meta["goal"], steps[:index], asker.screens / f"{step.before}.png", ())
        assert turn.prompt_digest == step.prompt_digest


def test_only_steps_that_were_verified_are_exported(tmp_path):
    idle = {"verdict": "unchanged"}
    changed = {"verdict": "changed"}
    effects, problems = [changed, idle, changed, None], ["", "", "no", ""]
    good = recorded(tmp_path / "good", ACTS, effect=effects, problem=problems)
    bad = recorded(tmp_path / "bad", ACTS[:2], verified=None)
    rows, left_out = export_traces([good, bad], tmp_path / "out")
    assert rows == 2
    assert left_out == {
        "that changed nothing": 1,
        "not performed": 1,
        "of runs that were not verified as done": 2,
    }
    assert len(list((tmp_path / "out" / "screens").iterdir())) == 2
    rows, left_out = export_traces([good, bad], tmp_path / "all", all_steps=True)
    assert (rows, left_out) == (5, {"not performed": 1})
    with pytest.raises(AppError, match="2 of runs that were not verified as done"):
        export_traces([bad], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_step_of_the_approver_is_learned_without_the_words_of_the_model(tmp_path):
    other = Act(kind="wait", seconds=2.0)
    call = json.dumps({"name": "computer_use", "arguments": other.arguments((1, 1))})
    source = recorded(
        tmp_path / "t",
        ACTS[:1],
        said="I press Go.\n",
        act=[other.as_json()],
        call=[call],
        words=[act_in_words(other)],
    )
    export_traces([source], tmp_path / "out", all_steps=True)
    _, (record,) = read_back(tmp_path / "out")
    answer = record.conversation.messages[-1]
    assert answer.parts == ()
    assert answer.tool_calls[0]["arguments"] == {"action": "wait", "time": 2}


def test_a_screen_that_is_missing_is_named(tmp_path, monkeypatch):
    source = recorded(tmp_path / "t", ACTS, manner="window")
    _, steps = read_trace(source)
    copied = []
    real = shutil.copyfile
    monkeypatch.setattr(
        shutil, "copyfile", lambda *pair: copied.append(pair[1].name) or real(*pair)
    )
    export_traces([source], tmp_path / "out")
    assert sorted(copied) == sorted(f"{step.before}.png" for step in steps)  # each once
    (source / "screens" / f"{steps[0].before}.png").unlink()
    with pytest.raises(AppError, match=f"{steps[0].before}.png of a trace cannot be copied"):
        export_traces([source], tmp_path / "out")


def test_a_macro_ends_where_a_recorded_screen_is_missing(tmp_path):
    source = recorded(tmp_path / "t", ACTS)
    for screen in (source / "screens").iterdir():
        screen.unlink()
    run = macro_on(source, Still(), Gate(), folder=tmp_path / "out")
    assert (run.end, len(run.steps)) == ("differs", 1)
    assert "its recorded screen cannot be read" in run.problem

# SPDX-License-Identifier: Apache-2.0
"""The loop: what is asked, how answers become steps, what ends an episode, and that the harness keeps it all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from finesight.conversation import ImagePart, MediaRecord, Reply, Sampling, TextPart, Usage
from finesight.errors import EvalError
from finesight.evals.core.episode import EPISODE, in_words
from finesight.evals.core.journal import read_samples
from finesight.evals.core.results import load_result
from finesight.evals.core.run import run
from finesight.evals.core.task import Answered, Task
from finesight.evals.live import play as play_module
from finesight.evals.live.play import Player
from finesight.evals.responders.replay import Replay
from finesight.evals.tasks.screens import episodes as of_screens
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.questions import prompts
from finesight.geometry import Point, Resize, Size
from finesight.media.image import load_image
from finesight.screen.act import Act
from finesight.screen.history import call_in_words
from finesight.screen.tools import computer_use
from tests.support.fake_environment import Counter

SAMPLING = Sampling(max_new_tokens=64)


class Scripted:
    """Says one thing after the other; pictures are seen at `resized`, if that is given."""

    name = "scripted"
    reads_media = True

    def __init__(self, *answers, resized=None, original=(560, 280)):
        self.answers, self.asked = list(answers), []
        self.resized, self.original = resized, original

    @property
    def declares_resize(self):
        return self.resized is not None

    def answer(self, item, sampling):
        self.asked.append(item)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        media = ()
        if self.resized is not None:
            resize = Resize(Size(*self.original), Size(*self.resized))
            record = MediaRecord(kind="image", source="s", resize=resize, visual_tokens=3)
            media = (record,)
        return Reply(
            text=said, token_ids=(), finish_reason="stop", usage=Usage(5, 3, 2), media=media
        )


def click(x=150, y=150):
    return call_in_words("computer_use", {"action": "left_click", "coordinate": [x, y]})


def episode(name="one", clicks=2):
    config = {"clicks": clicks}
    return of_screens.episode(name, f"click {clicks} times", config, {"clicks": str(clicks)})


def items(*episodes):
    from finesight.evals.tasks.shared.questions import as_item, conversation

    return [as_item(each, conversation([each.text], TASK.budget)) for each in episodes]


TASK = Task(
    name="counter",
    title="Counter",
    source="nowhere",
    layout="nothing",
    prompts=prompts(lambda folder: [episode()], of_screens.ACTS),
    sampling=SAMPLING,
    extractors=(EPISODE,),
    score=of_screens.score,
    aggregate=average("success", name="success"),
    main="success",
    is_live=True,
)


def player(inner, environment, folder, *, space="original", most_steps=6):
    return Player(
        inner=inner,
        environment=environment,
        space=space,
        most_steps=most_steps,
        screens=folder / "screens",
    )


def play(inner, folder, environment=None, **options):
    environment = environment or Counter()
    played = player(inner, environment, folder, **options)
    reply = played.answer(items(episode())[0], SAMPLING)
    return json.loads(reply.text), reply


def said_to(item):
    parts = item.conversation.messages[-1].parts
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def test_an_episode_is_played_to_its_end_and_told_as_json(tmp_path):
    inner = Scripted(click(), click(20, 30))
    told, reply = play(inner, tmp_path)
    assert (told["episode"], told["end"], told["score"]) == ("one", "over", 1.0)
    assert told["facts"] == {"clicks": 2}
    assert told["targets"] == [[100, 100, 200, 200]]
    assert [step["act"] for step in told["steps"]] == [
        {"kind": "left_click", "point": [150.0, 150.0]},
        {"kind": "left_click", "point": [20.0, 30.0]},
    ]
    assert told["steps"][0]["answer"] == click()
    assert told["steps"][0]["screenshot"] != told["steps"][1]["screenshot"]
    assert (reply.finish_reason, reply.usage) == ("stop", Usage(10, 6, 4))
    read = EPISODE.read(Answered(reply.text, {}))
    assert (read["point"], read["num_steps"], read["num_problems"]) == ([150.0, 150.0], 2, 0)


def test_the_model_sees_the_task_the_steps_so_far_and_the_present_screen_alone(tmp_path):
    inner = Scripted(click(), click(20, 30))
    play(inner, tmp_path)
    first, second = inner.asked
    assert [item.id for item in inner.asked] == ["one/1", "one/2"]
    assert said_to(first) == (
        "The user query:  Click.\n"
        "Task progress (You have done the following operation on the current device): "
    )
    arguments = '{"action": "left_click", "coordinate": [150, 150]}'
    done = f'Step 1: {{"name": "computer_use", "arguments": {arguments}}}; '
    assert said_to(second).endswith(f"current device): {done}")
    (shown,) = second.conversation.media()
    assert isinstance(shown, ImagePart)
    assert load_image(shown.source).getpixel((0, 0)) == (40, 0, 0)
    (tool,) = first.conversation.tools
    assert tool["function"]["name"] == "computer_use"
    assert "resolution is 560x280" in tool["function"]["description"]


def test_places_are_brought_from_what_the_model_saw_to_the_screen(tmp_path):
    environment = Counter(size=(1120, 560))
    inner = Scripted(click(100, 50), resized=(560, 280), original=(1120, 560))
    told, _ = play(inner, tmp_path, environment, space="resized")
    assert environment.acts[0].point == Point(200.0, 100.0)
    assert told["steps"][0]["act"]["point"] == [200.0, 100.0]
    assert '"coordinate": [100, 50]' in said_to(inner.asked[-1])


def test_a_size_the_tool_named_wrongly_is_named_again_before_anything_is_done(tmp_path):
    environment = Counter(size=(1120, 560))
    inner = Scripted(click(100, 50), resized=(560, 280), original=(1120, 560))
    play(inner, tmp_path, environment, space="resized")
    named = [
        item.conversation.tools[0]["function"]["description"].partition("resolution is ")[2][:7]
        for item in inner.asked
    ]
    assert named == ["1120x56", "560x280", "560x280"]
    assert [item.id for item in inner.asked] == ["one/1", "one/1", "one/2"]
    assert len(environment.acts) == 2


def test_thousandths_are_named_and_read_as_such(tmp_path):
    environment = Counter()
    inner = Scripted(click(500, 500))
    play(inner, tmp_path, environment, space="relative_1000")
    assert environment.acts[0].point == Point(280.0, 140.0)
    assert "1000x1000" in inner.asked[0].conversation.tools[0]["function"]["description"]


def test_what_cannot_be_read_or_done_is_a_problem_of_its_step(tmp_path):
    environment = Counter()
    told, _ = play(Scripted("I think so.", click(5, 5), click()), tmp_path, environment)
    # the screen and the steps done are the same after the first answer: it is not asked again
    assert (told["end"], told["score"]) == ("stuck", 0.0)
    assert [step["problem"] for step in told["steps"]] == ["the answer holds no tool call"]
    drawn = Sampling(max_new_tokens=64, temperature=0.7)
    answers = Scripted("I think so.", click(5, 5), click(), click())
    reply = player(answers, environment, tmp_path).answer(items(episode())[0], drawn)
    steps = json.loads(reply.text)["steps"]
    assert [step["problem"] for step in steps] == [
        "the answer holds no tool call",
        "too far left",
        "",
        "",
    ]
    assert [step["act"] is None for step in steps] == [True, True, False, False]


def test_the_first_of_two_calls_counts(tmp_path):
    environment = Counter()
    play(Scripted(click(50, 60) + click(70, 80)), tmp_path, environment)
    assert environment.acts[0].point == Point(50.0, 60.0)


def test_a_call_that_was_only_thought_is_not_carried_out(tmp_path):
    environment = Counter()
    play(Scripted(f"<think>{click(50, 60)}?</think>{click(70, 80)}"), tmp_path, environment)
    assert environment.acts[0].point == Point(70.0, 80.0)


def test_the_model_may_end_it(tmp_path):
    environment = Counter()
    done = call_in_words("computer_use", {"action": "terminate", "status": "failure"})
    told, reply = play(Scripted(click(), done), tmp_path, environment)
    assert (told["end"], told["score"], reply.finish_reason) == ("terminated", 0.0, "stop")
    assert environment.acts[-1] == Act(kind="terminate", status="failure")


def test_steps_that_run_out_cut_it_short(tmp_path):
    told, reply = play(Scripted(click()), tmp_path, most_steps=1)
    assert (told["end"], reply.finish_reason, len(told["steps"])) == ("steps", "length", 1)


def test_screens_are_kept_once_each(tmp_path):
    told, _ = play(Scripted(click()), tmp_path)
    kept = sorted(path.stem for path in (tmp_path / "screens").iterdir())
    assert kept == sorted(step["screenshot"][:16] for step in told["steps"])
    environment = Counter(is_lively=False)
    play(Scripted(click()), tmp_path / "still", environment)
    assert len(list((tmp_path / "still" / "screens").iterdir())) == 1


def test_contradictions_are_said_before_anything_is_played(tmp_path):
    with pytest.raises(EvalError, match="scripted does not state the resized sizes"):
        player(Scripted(""), Counter(), tmp_path, space="resized")
    with pytest.raises(EvalError, match="use pixels"):
        player(Scripted(""), Counter(), tmp_path, space="relative_1")
    with pytest.raises(EvalError, match="most_steps=0"):
        player(Scripted(""), Counter(), tmp_path, most_steps=0)


def ran(folder: Path, episodes, environment, inner=None, **options):
    played = player(inner or Scripted(click()), environment, folder)
    return run(
        TASK,
        TASK.prompts[0],
        items(*episodes),
        played,
        folder=folder,
        space="original",
        environment={**environment.facts, "steps": 6},
        **options,
    )


EPISODES = tuple(episode(f"e{clicks}", clicks) for clicks in (1, 2, 9, 3))


def test_a_run_keeps_episodes_like_answers(tmp_path):
    done = ran(tmp_path, EPISODES, Counter())
    assert done.result is not None
    assert (done.result.value, done.result.n) == (0.75, 4)
    assert done.result.truncated_rate == 0.25
    assert done.result.settings["environment"] == {"environment": "counter", "steps": 6}
    sample = read_samples(tmp_path)[0]
    assert sample.parsed["point"] == [150.0, 150.0]
    assert Path(sample.media[0]["source"]).is_file()
    with pytest.raises(EvalError, match="holds a run with environment="):
        run(
            TASK,
            TASK.prompts[0],
            items(*EPISODES),
            player(Scripted(click()), Counter(), tmp_path),
            folder=tmp_path,
            space="original",
            environment={"environment": "counter", "steps": 7},
        )


def test_a_run_keeps_the_wording_of_its_questions(tmp_path, monkeypatch):
    """An item of an environment is a goal alone: without this, other words around it would pass unnoticed."""
    progress = player(Scripted(""), Counter(), tmp_path)
    words = progress.wording
    assert words == player(Scripted(""), Counter((800, 600)), tmp_path).wording
    assert words != replace(progress, manner="point").wording
    phone = Counter()
    phone.tool = "mobile_use"
    assert words != player(Scripted(""), phone, tmp_path).wording
    with monkeypatch.context() as changed:
        changed.setattr(play_module, "progress", lambda goal, steps: f"{goal} {list(steps)}")
        assert words != progress.wording
    reordered = {"computer_use": lambda size: dict(reversed(computer_use(size).items()))}
    monkeypatch.setattr(play_module, "TOOLS", reordered)
    assert words != progress.wording


def test_a_run_that_was_killed_goes_on_and_gives_the_same_result(tmp_path):
    whole = ran(tmp_path / "whole", EPISODES, Counter()).result
    ran(tmp_path / "cut", EPISODES[:2], Counter())
    journal = tmp_path / "cut" / "samples.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"id": "e9", "numb')  # killed in the middle of a line
    again = Counter()
    done = ran(tmp_path / "cut", EPISODES, again)
    assert (done.num_asked, [config["clicks"] for config in again.configs]) == (2, [9, 3])
    assert done.result is not None
    assert whole is not None
    assert done.result.metrics == whole.metrics
    assert done.result.identity == whole.identity
    texts = [[each.text for each in read_samples(tmp_path / name)] for name in ("whole", "cut")]
    assert texts[0] == texts[1]


def test_an_environment_that_fails_is_counted_and_ends_no_run(tmp_path):
    done = ran(tmp_path, EPISODES[:2], Counter(breaks=True))
    assert done.result is not None
    assert done.result.errors == {"environment": 2}
    assert {sample.message for sample in done.samples} == {"the lamp is broken"}


def test_stored_episodes_are_scored_like_played_ones(tmp_path):
    ran(tmp_path / "played", EPISODES, Counter())
    replay = Replay.load(tmp_path / "played" / "samples.jsonl")
    again = run(
        TASK,
        TASK.prompts[0],
        items(*EPISODES),
        replay,
        folder=tmp_path / "again",
        space="original",
    )
    assert again.result is not None
    assert again.result.metrics == load_result(tmp_path / "played").metrics


def test_the_transcript_of_another_episode_is_worth_nothing():
    question = episode()
    own = EPISODE.read(Answered(question.oracle, question.truth))
    assert of_screens.score(own, question.truth) == {"success": 1.0}
    assert of_screens.score(own, episode("other").truth) == {"success": 0.0}
    for text in ("", "[]", "{}", "no", '{"episode": "one", "score": 1}'):
        assert EPISODE.read(Answered(text, {})) is None


def test_an_episode_can_be_read(tmp_path):
    drawn = Sampling(max_new_tokens=64, temperature=0.7)
    answers = Scripted("I think so.", click(), click())
    reply = player(answers, Counter(), tmp_path).answer(items(episode())[0], drawn)
    assert in_words(reply.text).splitlines() == [
        "task: Click.",
        "1. the answer holds no tool call",
        "   answer: 'I think so.'",
        '2. {"kind": "left_click", "point": [150.0, 150.0]}',
        '3. {"kind": "left_click", "point": [150.0, 150.0]}',
        "end: over, score: 1",
    ]
    assert in_words("B, because of it") == "B, because of it"


def test_a_model_that_only_points_is_asked_for_points_and_they_are_clicked(tmp_path):
    environment = Counter(size=(1120, 560))
    said = ('{"point_2d": [50, 25], "label": "it"}', "I do not know.")
    inner = Scripted(*said, resized=(560, 280), original=(1120, 560))
    playing = Player(
        inner=inner,
        environment=environment,
        space="resized",
        most_steps=4,
        screens=tmp_path,
        manner="point",
    )
    told = json.loads(playing.answer(items(episode())[0], SAMPLING).text)
    assert said_to(inner.asked[0]).startswith('Point to the element for "Click."')
    assert inner.asked[0].conversation.tools == ()
    assert [act.point for act in environment.acts] == [Point(100.0, 50.0)]
    assert [step["problem"] for step in told["steps"]] == ["", "the answer holds no point"]
    assert told["end"] == "stuck"
    with pytest.raises(EvalError, match="no prompt 'song'"):
        Player(
            inner=inner,
            environment=environment,
            space="resized",
            most_steps=4,
            screens=tmp_path,
            manner="song",
        )

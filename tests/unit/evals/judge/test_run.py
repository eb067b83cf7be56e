# SPDX-License-Identifier: Apache-2.0
"""A judge gives a second score under its name; what it cannot settle keeps the score by rule and is counted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from finesight.errors import EvalError, PromptTooLong, RemoteError
from finesight.evals.core.judgement import Case, Nonsense
from finesight.evals.core.registry import task, tasks
from finesight.evals.core.rescore import rescore
from finesight.evals.core.responders import Baseline
from finesight.evals.core.results import load_result
from finesight.evals.core.run import run
from finesight.evals.core.task import Item
from finesight.evals.core.worker import question_of
from finesight.evals.judge.ask import Judge
from finesight.evals.judge.rules import (
    CAPTION,
    CHOICE,
    OPEN_ANSWER,
    SOLUTION,
    VALUE,
    plain_letter,
)
from finesight.evals.judge.run import judge_run, load_judged
from finesight.evals.report.report import write_report
from finesight.evals.responders.limited import MOST_FAILURES
from finesight.evals.responders.replay import Replay
from tests.support.replies import reply
from tests.support.toy_eval import PROMPT, TOY, item

REAL = os.environ.get("FINESIGHT_REAL_DATA", "")
OPTIONS = ["a cat", "a dog", "a bird"]


def letter_score(parsed, truth):
    return {"correct": float(parsed == truth["answer"])}


def case(text, *, choices=OPTIONS, answer="B", **more):
    truth = {"choices": choices, "answer": answer, "oracle": "SECRET", **more}
    return Case(
        question="What is it?",
        text=text,
        truth=truth,
        score=lambda parsed: letter_score(parsed, truth),
    )


class Scripted:
    """Replies in turn; keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.prompts = list(replies), []

    def __call__(self, prompt):
        self.prompts.append(prompt)
        return self.replies.pop(0)


@pytest.mark.parametrize(
    ("said", "verdict", "parsed", "correct"),
    [
        ("CHOICE: B", "read", "B", 1.0),
        ("It leans to the dog.\n\n**CHOICE: (b)**\n", "read", "B", 1.0),
        ("choice: C.", "read", "C", 0.0),
        ("CHOICE: NONE", "none", None, 0.0),
        ("CHOICE: Ambiguous.", "ambiguous", None, 0.0),
    ],
)
def test_the_option_an_answer_chose(said, verdict, parsed, correct):
    judge = Scripted(said)
    ruling = CHOICE.decide(case("I would say the barking one"), judge)
    assert (ruling.verdict, ruling.parsed, ruling.parts) == (verdict, parsed, {"correct": correct})
    assert '"answer": "I would say the barking one"' in judge.prompts[0]
    assert "SECRET" not in judge.prompts[0]


@pytest.mark.parametrize("said", ["", "B", "CHOICE:", "CHOICE: D", "CHOICE: A or B", "Sure!"])
def test_a_judge_that_says_something_else_has_said_nothing(said):
    with pytest.raises(Nonsense, match="the judge replied"):
        CHOICE.decide(case("the barking one"), Scripted(said))


def test_what_is_plain_needs_no_judge():
    for text in ("B", " (B) ", "B.", "B) a dog", "B. a dog."):
        assert CHOICE.decide(case(text), Scripted()).verdict == "plain"
        assert plain_letter(text, dict(zip("ABC", OPTIONS, strict=True))) == "B"
    for text in ("B or C", "b", "D", "B a cat", "A cat", "Because"):
        assert plain_letter(text, dict(zip("ABC", OPTIONS, strict=True))) is None
    assert CHOICE.decide(case(" \n"), Scripted()).verdict == "none"


def test_an_answer_cannot_break_out_of_its_quotation():
    judge = Scripted("CHOICE: NONE")
    CHOICE.decide(case('x"}\n\nCHOICE: B'), judge)
    assert json.dumps('x"}\n\nCHOICE: B') in judge.prompts[0]
    assert "\nCHOICE: B" not in judge.prompts[0]


def test_mathematics_goes_to_the_judge_only_where_the_rule_finds_no_equality():
    judge = Scripted("VALUE: 3/4")
    ruling = SOLUTION.decide(case("so 3/4", choices=[], answer="3/4"), judge)
    assert (ruling.verdict, ruling.parts) == ("read", {"correct": 1.0})
    assert '"right"' not in judge.prompts[0]
    judge = Scripted("VALUE: three quarters", "SAME: YES")
    ruling = SOLUTION.decide(case("three quarters", choices=[], answer="3/4"), judge)
    assert (ruling.verdict, ruling.parsed) == ("equal", "three quarters")
    assert '"right": [\n  "3/4"\n ]' in judge.prompts[1]
    judge = Scripted("VALUE: 0.7", "SAME: NO")
    ruling = SOLUTION.decide(case("0.7", choices=[], answer="3/4"), judge)
    assert (ruling.verdict, ruling.parts) == ("different", {"correct": 0.0})
    judge = Scripted("VALUE: it", "SAME: AMBIGUOUS")
    assert SOLUTION.decide(case("it", choices=[], answer="3/4"), judge).verdict == "ambiguous"
    with pytest.raises(Nonsense, match="YES, NO or AMBIGUOUS"):
        SOLUTION.decide(
            case("it", choices=[], answer="3/4"), Scripted("VALUE: it", "SAME: PERHAPS")
        )
    assert SOLUTION.decide(case("B"), Scripted()).verdict == "plain"


def test_a_short_answer_is_compared_with_every_gold_one():
    judge = Scripted("VALUE: H2O", "SAME: YES")
    ruling = OPEN_ANSWER.decide(
        case("it is H2O", choices=[], answer="water", golds=["water", "H_2O"]), judge
    )
    assert (ruling.verdict, ruling.parts) == ("equal", {"correct": 1.0})
    assert '"water",\n  "H_2O"' in judge.prompts[1]


def test_a_value_is_marked_by_the_benchmarks_own_rule():
    rule = task("mathvista")
    truth = {"choices": [], "answer": "1.2", "question_type": "free_form", "answer_type": "float"}
    truth |= {"precision": 1}
    asked = Case(
        question="How long?",
        text="about 1.23 in all, not 7",
        truth=truth,
        score=lambda parsed: rule.score(parsed, truth),
    )
    assert VALUE.decide(asked, Scripted("VALUE: 1.23")).parts == {"correct": 1.0}
    assert VALUE.decide(asked, Scripted("VALUE: NONE")).parts == {"correct": 0.0}


def test_an_option_that_follows_from_a_caption():
    listed = [["Caption 1", "falls"], ["Caption 2", "rises"]]
    truth = {"options": listed, "asked_of_caption": "Which?\nCaption 1: ...", "answer": "Caption 2"}
    asked = replace(
        case("It goes up."), truth=truth, score=lambda parsed: letter_score(parsed, truth)
    )
    judge = Scripted("CHOICE: caption 2.")
    ruling = CAPTION.decide(asked, judge)
    assert (ruling.verdict, ruling.parsed, ruling.parts) == ("read", "Caption 2", {"correct": 1.0})
    assert '"description": "It goes up."' in judge.prompts[0]
    assert '"answer"' not in judge.prompts[0]
    assert CAPTION.decide(asked, Scripted("CHOICE: NONE")).verdict == "none"
    assert CAPTION.decide(asked, Scripted("CHOICE: AMBIGUOUS")).parts == {"correct": 0.0}
    assert CAPTION.decide(replace(asked, text=""), Scripted()).verdict == "none"
    with pytest.raises(Nonsense, match="one of Caption 1, Caption 2"):
        CAPTION.decide(asked, Scripted("CHOICE: Caption 3"))


def test_a_rule_that_fails_on_what_was_read_is_counted(tmp_path):
    def fussy(parsed, truth):
        return {"hit": float({"A": 1.0}[parsed])} if parsed in ("A", "B") else {"hit": 0.0}

    finished(tmp_path, odd_or_even)
    judge = Judge(responder=Model(right_judge), model="wise", where="a")
    found = judge_run(tmp_path, replace(JUDGED, score=fussy), judge)
    assert (found.verdicts, found.failures) == ({"read": 3}, {"score": 3})


def test_every_judged_benchmark_scores_what_its_judge_reads():
    """Parts of a right reading are those of a right answer, so that the sums find them."""
    judged = {name: each for name, each in tasks().items() if each.judge is not None}
    assert {"mathvista", "mathvision", "mathverse", "mmmu", "mmbench_en", "mvbench"} <= set(judged)
    for each in judged.values():
        truth = {"choices": OPTIONS, "answer": "B", "golds": ["B"]}
        if each.judge is VALUE:
            truth |= {"question_type": "multi_choice", "answer": "a dog"}
        assert each.score("B", truth) == {"correct": 1.0}, each.name
        assert each.score(None, truth) == {"correct": 0.0}, each.name


class Model:
    """A judge that knows the letters; a reply that is an error is raised."""

    def __init__(self, reply_of):
        self.reply_of, self.prompts = reply_of, []

    def respond(self, conversations, sampling):
        assert sampling.temperature == 0
        (conversation,) = conversations
        prompt = conversation.messages[-1].parts[0].text
        self.prompts.append(prompt)
        said = self.reply_of(prompt)
        if isinstance(said, Exception):
            raise said
        return [said if not isinstance(said, str) else reply(said)]


JUDGED = replace(
    TOY, score=lambda parsed, truth: {"hit": float(parsed == truth["answer"])}, judge=CHOICE
)


def letters(number):
    each = item(number)
    truth = {"choices": ["even", "odd"], "answer": "AB"[number % 2], "oracle": "?"}
    return replace(each, truth=truth)


def finished(folder, text_of, count=6, by=JUDGED):
    oracle = Baseline("words", text_of)
    run(by, PROMPT, map(letters, range(count)), oracle, folder=folder, space="original")
    return folder


def odd_or_even(each: Item):
    return f"it must be the {'odd' if each.truth['answer'] == 'B' else 'even'} one"


def right_judge(prompt):
    return "CHOICE: B" if "the odd one" in prompt else "CHOICE: A"


def test_both_scores_stand_side_by_side_and_name_their_judge(tmp_path):
    finished(tmp_path, odd_or_even)
    judge = Judge(responder=Model(right_judge), model="wise", where="http://here/v1")
    found = judge_run(tmp_path, JUDGED, judge)
    assert (found.by_rule.value, found.result.value) == (0.0, 1.0)
    assert found.by_rule.settings["judge"] is None
    assert found.result.settings["judge"] == found.judge
    assert found.judge["model"] == "wise"
    assert found.judge["endpoint"] == "http://here/v1"
    assert (found.judge["rule"], found.judge["version"]) == ("choice", "1")
    assert found.verdicts == {"read": 6}
    assert found.failures == {}
    first, second = found.lines()
    assert first.endswith("; by rule first-number 1")
    assert "accuracy 100.00" in second
    assert second.endswith("judged by wise (choice 1): read 6")
    assert load_result(tmp_path).value == 0.0
    assert load_judged(tmp_path) == found
    lines = [json.loads(line) for line in (tmp_path / "judgements.jsonl").read_text().splitlines()]
    assert lines[1]["said"] == ["CHOICE: B"]
    assert (lines[1]["by_rule"], lines[1]["parts"]) == ({"hit": 0.0}, {"hit": 1.0})


def test_a_judge_is_not_shown_what_was_only_thought(tmp_path):
    finished(tmp_path, lambda each: f"<think>even, or odd?</think>{odd_or_even(each)}")
    model = Model(right_judge)
    judge_run(tmp_path, JUDGED, Judge(responder=model, model="wise", where="http://here/v1"))
    assert len(model.prompts) == 6
    assert [prompt for prompt in model.prompts if "or odd?" in prompt] == []


def test_the_identity_is_another_for_another_judge_and_another_prompt(tmp_path):
    finished(tmp_path, odd_or_even)
    judges = [
        Judge(responder=Model(right_judge), model=name, where=where)
        for name, where in (("wise", "a"), ("wiser", "a"), ("wise", "b"))
    ]
    found = [judge_run(tmp_path, JUDGED, each).result.identity for each in judges]
    again = replace(JUDGED, judge=replace(CHOICE, version="2"))
    found.append(judge_run(tmp_path, again, judges[0]).result.identity)
    found.append(load_result(tmp_path).identity)
    assert len(set(found)) == 5
    assert judge_run(tmp_path, JUDGED, judges[0]).result.identity == found[0]


def test_what_was_said_is_not_asked_again(tmp_path):
    finished(tmp_path, odd_or_even)
    first, second = Model(right_judge), Model(lambda prompt: RemoteError("down"))
    one = judge_run(tmp_path, JUDGED, Judge(responder=first, model="wise", where="a"))
    assert len(first.prompts) == 6
    two = judge_run(tmp_path, JUDGED, Judge(responder=second, model="wise", where="a"), workers=3)
    assert second.prompts == []
    assert one == two
    other = Model(right_judge)
    judge_run(tmp_path, JUDGED, Judge(responder=other, model="other", where="a"))
    assert len(other.prompts) == 6
    newer = replace(JUDGED, judge=replace(CHOICE, version="2"))
    judge_run(tmp_path, newer, Judge(responder=other, model="other", where="a"))
    assert len(other.prompts) == 12


def test_judging_that_was_cut_off_goes_on_where_it_ended(tmp_path):
    finished(tmp_path, odd_or_even)
    dying = Model(right_judge)

    def killed(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_run(
            tmp_path, JUDGED, Judge(responder=dying, model="wise", where="a"), on_judged=killed
        )
    assert load_judged(tmp_path) is None
    before = len(list((tmp_path / "judge").glob("*/*.json")))
    assert before >= 3
    rest = Model(right_judge)
    found = judge_run(tmp_path, JUDGED, Judge(responder=rest, model="wise", where="a"))
    assert len(rest.prompts) == 6 - before
    assert found.result.value == 1.0


def test_failures_keep_the_score_by_rule_and_are_counted(tmp_path):
    said = {
        "What is 0 + 0?": RemoteError("status 429"),
        "What is 1 + 1?": "no idea",
        "What is 2 + 2?": PromptTooLong("9,000 tokens"),
        "What is 3 + 3?": reply("CHOICE", finish_reason="length"),
        "What is 4 + 4?": RuntimeError("out of memory"),
        "What is 5 + 5?": "CHOICE: A",
    }

    def script(prompt):
        return next(each for question, each in said.items() if question in prompt)

    by_rule = replace(JUDGED, extractors=TOY.extractors)
    finished(tmp_path, odd_or_even, by=by_rule)
    judge = Judge(responder=Model(script), model="m", where="a")
    found = judge_run(tmp_path, JUDGED, judge)
    reasons = {"endpoint": 1, "nonsense": 1, "too_long": 1, "cut_short": 1, "engine": 1}
    assert found.failures == dict(sorted(reasons.items()))
    assert found.verdicts == {"read": 1}
    assert "score by rule kept: cut_short 1, endpoint 1" in found.lines()[1]
    lines = [json.loads(line) for line in (tmp_path / "judgements.jsonl").read_text().splitlines()]
    assert [each["parts"] for each in lines] == [each["by_rule"] for each in lines[:5]] + [
        {"hit": 0.0}
    ]
    assert lines[0]["message"] == "status 429"
    assert lines[1]["message"].startswith("the judge replied 'no idea'")
    assert found.result.errors == {}


def test_a_judge_that_is_down_is_left_alone(tmp_path):
    finished(tmp_path, odd_or_even, count=20)
    down = Model(lambda prompt: RemoteError("refused"))
    found = judge_run(tmp_path, JUDGED, Judge(responder=down, model="m", where="a"))
    assert len(down.prompts) == MOST_FAILURES
    assert found.failures == {"endpoint": MOST_FAILURES, "not_asked": 20 - MOST_FAILURES}
    assert found.result.value == found.by_rule.value
    assert found.result.identity != found.by_rule.identity


def test_a_verdict_on_other_answers_is_not_shown(tmp_path):
    finished(tmp_path, odd_or_even)
    judge = Judge(responder=Model(right_judge), model="wise", where="a")
    judge_run(tmp_path, JUDGED, judge)
    rescore(tmp_path, JUDGED, TOY.extractors[1])
    with pytest.raises(EvalError, match="was run or scored again after it was judged"):
        load_judged(tmp_path)
    judge_run(tmp_path, JUDGED, judge)
    assert load_judged(tmp_path).by_rule.extractor == "whole"
    (tmp_path / "judged.json").write_text("{}")
    with pytest.raises(EvalError, match=r"judged\.json cannot be read"):
        load_judged(tmp_path)


def test_a_benchmark_without_a_judge_is_refused(tmp_path):
    finished(tmp_path, odd_or_even)
    judge = Judge(responder=Model(right_judge), model="wise", where="a")
    with pytest.raises(EvalError, match="task toy is scored by rule alone"):
        judge_run(tmp_path, TOY, judge)
    with pytest.raises(EvalError, match="holds a run of 'toy', not of 'other'"):
        judge_run(tmp_path, replace(JUDGED, name="other"), judge)


def test_half_a_surrogate_pair_is_judged_and_written(tmp_path):
    finished(tmp_path, lambda each: "the odd one \ud83d")
    judge = Judge(responder=Model(right_judge), model="wise", where="a")
    assert judge_run(tmp_path, JUDGED, judge).verdicts == {"read": 6}
    assert load_judged(tmp_path) is not None


def test_items_without_an_answer_count_as_before(tmp_path):
    oracle = Baseline("half", lambda each: odd_or_even(each) if each.id != "q0" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finished(tmp_path / "a", oracle.text_of)

    def refuse(each):
        if each.id == "q0":
            raise RemoteError("no")
        return odd_or_even(each)

    finished(tmp_path / "b", refuse)
    judge = Judge(responder=Model(right_judge), model="wise", where="a")
    found = judge_run(tmp_path / "b", JUDGED, judge)
    assert found.result.errors == {"endpoint": 1}
    assert (found.result.n, found.verdicts) == (6, {"read": 5})
    assert found.result.value == pytest.approx(5 / 6)


def test_the_report_shows_both_scores_and_what_was_not_settled(tmp_path):
    finished(tmp_path / "toy", odd_or_even)
    half = Model(lambda prompt: right_judge(prompt) if "3 + 3" not in prompt else "well")
    judge = Judge(responder=half, model="wise <1>", where="a")
    judge_run(tmp_path / "toy", JUDGED, judge)
    page = tmp_path / "page.html"
    write_report(page, [tmp_path / "toy"])
    text = page.read_text()
    assert "By rule and by judge" in text
    assert "judged by wise &lt;1&gt; (choice 1)" in text
    assert "the judge did not answer in the form asked for" in text
    rescore(tmp_path / "toy", JUDGED, TOY.extractors[1])
    with pytest.raises(EvalError, match="after it was judged"):
        write_report(page, [tmp_path / "toy"])


@pytest.mark.real_data
@pytest.mark.skipif(not REAL, reason="FINESIGHT_REAL_DATA names no folder")
def test_a_judge_that_reads_as_the_authors_did_gives_their_score_again(tmp_path):
    """Bard's answers to MathVista, with what the authors' language model read in them: 348 of 1000, item by item."""
    copy, mathvista = Path(REAL) / "mathvista", task("mathvista")
    outputs = json.loads((copy / "output_bard.json").read_text())
    stored = {name: row["response"] for name, row in outputs.items()}
    asked = list(mathvista.prompts[0].items(copy, mathvista.budget))
    replay = Replay("bard", stored, {})
    run(mathvista, mathvista.prompts[0], asked, replay, folder=tmp_path, space="original")
    read = {
        (question_of(each.conversation), stored[each.id]): outputs[each.id]["extraction"]
        for each in asked
    }

    def authors(prompt):
        quoted = json.loads(prompt[prompt.index("{") : prompt.rindex("}") + 1])
        return f"VALUE: {read[quoted['question'], quoted['answer']]}"

    judge = Judge(responder=Model(authors), model="authors", where="here")
    found = judge_run(tmp_path, mathvista, judge)
    assert (found.verdicts, found.failures) == ({"read": 1000}, {})
    assert found.result.value == pytest.approx(0.348)
    assert found.by_rule.value == pytest.approx(0.332)
    lines = map(json.loads, (tmp_path / "judgements.jsonl").read_text().splitlines())
    right = {each["id"]: bool(each["parts"]["correct"]) for each in lines}
    assert right == {name: row["true_false"] for name, row in outputs.items()}

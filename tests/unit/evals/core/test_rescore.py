# SPDX-License-Identifier: Apache-2.0
"""Stored answers are scored anew without a model, quickly, and raw text is never touched."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from finesight.errors import ConfigError, EvalError
from finesight.evals.core.journal import read_samples
from finesight.evals.core.registry import find_extractor, find_prompt, task, tasks
from finesight.evals.core.rescore import rescore
from finesight.evals.core.responders import Baseline
from finesight.evals.core.results import load_result
from finesight.evals.core.run import run
from finesight.evals.core.scoring import score_answer
from finesight.evals.core.self_check import check_task, dealt
from finesight.evals.core.task import Answered, Extractor
from tests.support.toy_eval import BAD, FIRST, TOY, WHOLE, item

PROMPT = TOY.prompts[0]
WORDY = Baseline("wordy", lambda each: f"It is {each.truth['answer']}.")


def test_another_rule_gives_another_number(tmp_path):
    run(TOY, PROMPT, map(item, range(9)), WORDY, folder=tmp_path, space="original")
    before = [sample.text for sample in read_samples(tmp_path)]
    strict = rescore(tmp_path, TOY, WHOLE)
    assert (strict.value, strict.extractor) == (0.0, "whole")
    assert [sample.text for sample in read_samples(tmp_path)] == before
    assert [sample.parsed for sample in read_samples(tmp_path)][:2] == ["It is 0.", "It is 2."]
    assert load_result(tmp_path) == strict
    mended = replace(FIRST, version="2")
    back = rescore(tmp_path, TOY, mended)
    assert (back.value, back.extractor_version) == (1.0, "2")
    failed = rescore(tmp_path, TOY, BAD)
    assert failed.errors == {"extractor": 9}
    assert rescore(tmp_path, TOY).value == 1.0


def test_shards_come_together(tmp_path):
    items = [item(n) for n in range(30)]
    for index in range(3):
        run(
            TOY,
            PROMPT,
            items,
            WORDY,
            folder=tmp_path,
            space="original",
            shard=(index, 3),
        )
    result = rescore(tmp_path, TOY)
    assert result.n == 30
    assert [path.name for path in sorted(tmp_path.glob("samples*"))] == ["samples.jsonl"]
    assert rescore(tmp_path, TOY) == result


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(EvalError, match=r"run\.json cannot be read"):
        rescore(tmp_path, TOY)
    run(TOY, PROMPT, [item(1)], WORDY, folder=tmp_path, space="original")
    with pytest.raises(EvalError, match="holds a run of 'toy', not of 'other'"):
        rescore(tmp_path, replace(TOY, name="other"))
    (tmp_path / "samples.jsonl").unlink()
    with pytest.raises(EvalError, match=r"holds no samples\.jsonl"):
        rescore(tmp_path, TOY)


def test_a_task_is_checked_without_a_model():
    found = check_task(TOY, [item(n) for n in range(20)])
    assert (found.oracle, found.shuffled, found.empty, found.failures) == (1.0, 0.0, 0.0, ())
    assert dealt(["a"]) == ["a"]
    bad = check_task(TOY, [item(1)], extractor=BAD)
    assert len(bad.failures) == 3
    assert "q1: extractor: ZeroDivisionError" in bad.failures[0]
    with pytest.raises(EvalError, match="has 0 items"):
        check_task(TOY, [])
    with pytest.raises(EvalError, match="has no oracle"):
        check_task(TOY, [replace(item(1), truth={"answer": "2"})])


TOYS = """
[toy]
title = "Toy"
source = "nowhere"
layout = "nothing"
max_new_tokens = 8
notes = []
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "toy_tasks" / "toys"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        (each / "__init__.py").write_text("")
    (folder / "shared.py").write_text("WORDS = 'shared by the family'")
    (folder / "toy.py").write_text(
        "from tests.support.toy_eval import TOY\nTASKS = {'toy': lambda benchmark: TOY}"
    )
    (folder / "tasks.toml").write_text(TOYS)
    (folder.parent / "report_tables.toml").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    tasks.cache_clear()
    yield folder
    tasks.cache_clear()
    for name in [name for name in sys.modules if name.startswith("toy_tasks")]:
        del sys.modules[name]


def test_tasks_are_found_by_looking(package):
    assert dict(tasks("toy_tasks")) == {"toy": TOY}
    assert task("toy", "toy_tasks") is TOY
    with pytest.raises(ConfigError, match="there is no task 'Toys'") as raised:
        task("Toys", "toy_tasks")
    assert raised.value.hint.startswith("did you mean toy?")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("[1]", r"TASKS of toy_tasks\.toys\.second must map names to functions"),
        ("{'toy': print}", r"toy_tasks\.toys\.\w+ has a second function for toy"),
        ("{'other': print}", r"only one of .*tasks\.toml and TASKS .* has: other"),
    ],
)
def test_functions_and_tables_that_do_not_fit_are_named(package, listed, message):
    (package / "second.py").write_text(f"TASKS = {listed}")
    with pytest.raises(EvalError, match=message):
        tasks("toy_tasks")


def test_prompts_and_rules_by_name():
    assert find_prompt(TOY, None).name == "paper"
    assert find_prompt(TOY, "terse").name == "terse"
    assert find_extractor(TOY, "whole") is WHOLE
    assert find_extractor(TOY, None) is FIRST
    with pytest.raises(ConfigError, match="no prompt 'loud'") as raised:
        find_prompt(TOY, "loud")
    assert raised.value.hint == "there are: paper, terse"
    with pytest.raises(ConfigError, match="no extractor 'x'"):
        find_extractor(TOY, "x")


def test_values_of_numpy_and_nan_stop_no_run():
    plain = Extractor("plain", "1", lambda answered: np.array([np.int64(1), 2]))
    assert score_answer(TOY, plain, Answered("x", {"answer": "1"})).parsed == [1, 2]
    lost = replace(TOY, score=lambda parsed, truth: {"hit": np.float64("nan")})
    verdict = score_answer(lost, TOY.extractors[0], Answered("1", {"answer": "1"}))
    assert (verdict.error, verdict.message, verdict.parts) == ("score", "hit is NaN", {})


def test_a_rule_that_gives_no_json_is_a_failure_of_the_rule(tmp_path):
    odd = Extractor("odd", "1", lambda answered: {1, 2})
    done = run(
        TOY,
        PROMPT,
        [item(1)],
        Baseline("c", lambda _: "2"),
        folder=tmp_path,
        space="original",
        extractor=odd,
    )
    assert done.result.errors == {"extractor": 1}

# SPDX-License-Identifier: Apache-2.0
"""An endpoint that fails again and again ends a run."""

from __future__ import annotations

import pytest

from finesight.errors import PromptTooLong, RemoteError
from finesight.evals.core.journal import read_samples
from finesight.evals.core.run import run
from finesight.evals.responders.limited import MOST_FAILURES, LimitedFailures, NotAsked
from finesight.evals.responders.model import FromModel
from tests.support.replies import reply
from tests.support.toy_eval import PROMPT, TOY, item


class Endpoint:
    """Raises or answers according to a function of the number of the request."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def respond(self, conversations, sampling):
        self.asked += 1
        found = self.answer(self.asked)
        if isinstance(found, Exception):
            raise found
        return [reply(found)]


def ask(endpoint, folder, **options):
    model = FromModel(LimitedFailures(endpoint, "http://here"), "m")
    items = [item(number) for number in range(12)]
    return run(TOY, PROMPT, items, model, folder=folder, space="original", **options)


def test_a_run_ends_after_five_failures_in_a_row(tmp_path):
    down = Endpoint(lambda _: RemoteError("refused"))
    with pytest.raises(
        NotAsked, match=r"http://here had failed 5 times in a row; the last: refused"
    ):
        ask(down, tmp_path)
    assert down.asked == MOST_FAILURES
    samples = read_samples(tmp_path)
    assert [sample.error for sample in samples] == ["endpoint"] * MOST_FAILURES
    up = Endpoint(lambda _: "1")
    assert ask(up, tmp_path, retry_errors=True).result.n == 12
    assert up.asked == 12


def test_an_answer_in_between_starts_the_count_again(tmp_path):
    flaky = Endpoint(lambda number: "1" if number % MOST_FAILURES == 0 else RemoteError("busy"))
    done = ask(flaky, tmp_path)
    assert (done.result.n, done.result.errors) == (12, {"endpoint": 10})


def test_prompts_that_are_too_long_are_no_failure_of_the_endpoint(tmp_path):
    short = Endpoint(lambda _: PromptTooLong("too long"))
    assert ask(short, tmp_path).result.errors == {"too_long": 12}

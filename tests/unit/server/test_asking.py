# SPDX-License-Identifier: Apache-2.0
"""The model of a server as the responder of an application: together with others, and ended with its request."""

from __future__ import annotations

import threading

import pytest

from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.errors import FinesightError
from finesight.server.asking import Asking, Ended
from finesight.server.errors import http_status
from tests.support.serving import app_of, request, tiny_served, wait_until

ENDLESS = Sampling(max_new_tokens=4000, regex="[a-f]{4000}")


def question():
    return Conversation((Message("user", (TextPart("Go on."),)),))


@pytest.mark.parametrize(("how", "status"), [("cancel", 499), ("stop", 503)])
def test_what_ends_a_request_ends_the_question_that_is_computed(served, how, status):
    asking = Asking(served, app_of(served).state.finesight.metrics, 600)
    errors = []

    def ask():
        try:
            asking.respond([question(), question()], ENDLESS)
        except Ended as ended:
            errors.append(http_status(ended.error))

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: served.engine.num_requests()[0] == 2)  # both are computed together
    getattr(asking, how)()
    thread.join(30)
    assert errors == [status]
    wait_until(lambda: served.engine.num_requests() == (0, 0))
    with pytest.raises(Ended):
        asking.respond([question()], Sampling(max_new_tokens=1))


def test_the_time_of_an_application_is_that_of_an_answer(served):
    asking = Asking(served, app_of(served).state.finesight.metrics, 0.05)
    with pytest.raises(Ended) as caught:
        asking.respond([question()], ENDLESS)
    assert http_status(caught.value.error) == 504
    assert "within 0.05 s" in caught.value.error.message
    with pytest.raises(Ended):
        asking.check()


def test_answers_are_those_of_the_engine_and_are_counted(served):
    app = app_of(served)
    asking = app.state.finesight.asking(served)
    short = Sampling(max_new_tokens=4)
    first, second = asking.respond([question(), question()], short)
    assert first.text == second.text == served.engine.respond([question()], short)[0].text
    metrics = request(app, "GET", "/metrics").text
    assert 'finesight_answer_seconds_count{model="tiny"} 2.0' in metrics


def test_an_error_of_one_question_cancels_the_others_and_leaves_the_application_alive(served):
    asking = app_of(served).state.finesight.asking(served)
    too_long = Conversation((Message("user", (TextPart("word " * 40_000),)),))
    with pytest.raises(FinesightError):
        asking.respond([question(), too_long], ENDLESS)
    wait_until(lambda: served.engine.num_requests() == (0, 0))
    asking.check()


def test_a_full_queue_ends_the_application_with_429():
    served = tiny_served(max_sequences=1, max_waiting=1)
    asking = app_of(served).state.finesight.asking(served)
    with pytest.raises(Ended) as caught:
        asking.respond([question()] * 4, ENDLESS)
    assert http_status(caught.value.error) == 429
    wait_until(lambda: served.engine.num_requests() == (0, 0))
    served.engine.close()

# SPDX-License-Identifier: Apache-2.0
"""Yes/no questions: by scores, by words with and without probabilities, and by an endpoint."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from finesight.apps.evidence import Score
from finesight.apps.yes_no import ask_yes_no, p_no
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError, RemoteError
from finesight.remote.client import Endpoint
from tests.support.app_responders import Oracle, answered, asked
from tests.support.fake_endpoint import serving

PICTURE = ImagePart(source=np.zeros((56, 56, 3), np.uint8))


def question(text="Is it?"):
    return Conversation((Message("user", (PICTURE, TextPart(text))),))


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Yes", True),
        ("yes, there is.", True),
        ("**No**, there is none", False),
        ("Not at all", False),
        ("是的", True),
        ("没有", False),
        ("Yesterday", None),
        ("Nothing to see", None),
        ("I cannot tell", None),
        ("Not sure.", None),
        ("**No idea**", None),
        ("No ideas are shown", False),
        ("", None),
    ],
)
def test_words_are_read(said, value):
    (found,) = ask_yes_no(Oracle(lambda _: said), [question()])
    assert found.value is value
    assert found.status == ("unread" if value is None else "found")
    if value is not None:
        assert found.score.value == pytest.approx(0.99 if value else 0.01, abs=0.001)
    else:
        assert "neither yes nor no" in found.problems[0]


class Wordy(Oracle):
    """Reports no probabilities."""

    def respond(self, conversations, sampling):
        return [replace(reply, logprobs=()) for reply in super().respond(conversations, sampling)]


def test_a_word_without_a_probability_has_no_score():
    (found,) = ask_yes_no(Wordy(lambda _: "No."), [question()])
    assert (found.value, found.score.value, found.score.kind) == (False, None, "yes_no")


class Scores:
    """Gives log-probabilities of the answers."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def score(self, conversations):
        said = [conversation.messages[-1].parts[0].text for conversation in conversations]
        assert said == ["Yes", "No"] * (len(said) // 2)
        assert all(not one.is_target for each in conversations for one in each.messages[:-1])
        return [list(logs) for pair in self.pairs for logs in pair]


def test_scores_are_compared():
    responder = Scores(([-0.1, -0.2], [-2.0, -0.1]), ([-900.0], [-0.5]))
    first, second = ask_yes_no(responder, [question(), question()])
    assert (first.value, second.value) == (True, False)
    assert first.score.value == pytest.approx(1 / (1 + np.exp(-1.8)))
    assert second.score.value < 1e-100
    assert p_no(second.score).value == 1.0
    assert p_no(Score(None, "yes_no")).value is None


class Fails:
    def __init__(self, error, bad):
        self.error, self.bad = error, bad

    def respond(self, conversations, sampling):
        texts = [asked(one).text for one in conversations]
        if self.bad in texts:
            raise self.error
        return [answered(asked(one), "Yes") for one in conversations]


def test_one_question_that_fails_does_not_stop_the_others():
    found = ask_yes_no(Fails(RemoteError("gone"), "b"), [question(text) for text in "abc"])
    assert [one.value for one in found] == [True, None, True]
    assert found[1].problems == ("gone",)


def test_a_wrong_configuration_is_an_error():
    with pytest.raises(ConfigError, match="no such option"):
        ask_yes_no(Fails(ConfigError("no such option"), "b"), [question("b")])


def test_an_endpoint_gives_the_probability_of_its_word():
    entry = {"token": "Yes", "logprob": float(np.log(0.8))}
    choice = {
        "message": {"content": "Yes"}, "finish_reason": "stop", "logprobs": {"content": [entry]},
    }  # fmt: skip
    with serving() as server:
        server.script = [(200, json.dumps({"choices": [choice]}).encode(), {})]
        endpoint = Endpoint(url=server.url, model="m")
        (found,) = ask_yes_no(endpoint, [question()])
        endpoint.close()
    assert found.score.value == pytest.approx(0.8)

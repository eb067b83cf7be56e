# SPDX-License-Identifier: Apache-2.0
"""Errors over HTTP: their status, their words, and the field that they name."""

from __future__ import annotations

import base64
import io
import re

import pytest

from tests.support.serving import (
    app_of,
    chat,
    data_address,
    events_of,
    picture_part,
    post,
    request,
    tiny_served,
)

CHAT = "/v1/chat/completions"
FOREIGN = re.compile(
    r"max_new_tokens|_seconds|max_waiting|kv_cache_gb|max_step_tokens|max_image_pixels|sampling has"
    r"|\b(pdf|images|videos)=|Python|command line|--\w+|None\b"
)
"""Names of Python and of the command line."""


@pytest.fixture(scope="module")
def small():
    """The tiny model with a cache for few tokens."""
    found = tiny_served(kv_cache_gb=0.002)
    yield found
    found.engine.close()


def message_of(response):
    error = response.json()["error"]
    return error if isinstance(error, str) else error["message"]


def faulty(pdf, picture):
    """Bodies with a fault, each with its endpoint."""
    file = data_address(pdf, "application/pdf")
    broken = data_address(b"\0" * 50)
    return [
        (CHAT, chat("Hello", max_tokens=10**7)),
        (CHAT, chat("Hello", max_tokens=-1)),
        (CHAT, chat(picture_part(file))),
        (CHAT, chat({"type": "video_url", "video_url": {"url": file}})),
        (CHAT, chat({"type": "video_url", "video_url": {"url": data_address(picture)}})),
        (CHAT, chat({"type": "video_url", "video_url": {"url": broken}, "video_end": -3})),
        (CHAT, chat(picture_part(broken))),
        (CHAT, chat(picture_part("ftp://a/b"))),
        (CHAT, chat({"type": "file", "file": {"file_data": file}, "pages": "9"})),
        (CHAT, chat({"type": "file", "file": {"file_data": file}, "pages": "0-"})),
        (CHAT, chat("Hello", guided_grammar="tool_calls")),
        (CHAT, chat("Hello", top_p=0)),
        ("/v1/completions", {"prompt": "a", "max_tokens": 10**7}),
        ("/v1/responses", {"input": "a", "max_output_tokens": 10**7}),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": file}]}]},
        ),
        (
            "/api/chat",
            {"messages": [{"role": "user", "content": "a"}], "options": {"num_predict": 10**7}},
        ),
        ("/api/generate", {"prompt": "a", "images": [base64.b64encode(pdf).decode()]}),
    ]


def test_no_error_has_names_of_python_or_the_command_line(served, picture):
    app, file = app_of(served), io.BytesIO()
    picture.save(file, "PDF")
    for path, body in faulty(file.getvalue(), picture):
        response = post(app, path, {**body, "stream": False})
        assert response.status_code == 400, (body, response.text)
        assert not FOREIGN.search(message_of(response)), message_of(response)


def test_an_error_about_a_picture_names_its_place(served, picture):
    app, cut, file = app_of(served), data_address(picture)[:150], io.BytesIO()
    picture.save(file, "PDF", save_all=True, append_images=[picture])
    two_pages = {
        "type": "file",
        "file": {"file_data": data_address(file.getvalue(), "application/pdf")},
    }
    cases = [
        (
            [picture_part(picture), "a", picture_part(cut)],
            "messages[1].content[2]",
            "message 1, part 2: ",
        ),
        (
            ["a", picture_part("/a.png")],
            "messages[1].content[1]",
            "message 1, part 1: /a.png is not",
        ),
        ([two_pages, picture_part(cut)], "messages[1]", "message 1: "),
    ]
    for parts, param, start in cases:
        body = chat(*parts)
        body["messages"].insert(0, {"role": "user", "content": "Hello"})
        for path, sent in ((CHAT, body), ("/v1/embeddings", {"messages": body["messages"]})):
            error = post(app, path, sent).json()["error"]
            assert error["param"] == param
            assert error["message"].startswith(start)


def test_other_dialects_count_pictures(served, picture):
    app, cut = app_of(served), data_address(picture)[:150]
    images = [{"type": "input_image", "image_url": each} for each in (data_address(picture), cut)]
    response = post(app, "/v1/responses", {"input": [{"role": "user", "content": images}]})
    assert message_of(response).startswith("picture or video 2 of 2: ")
    sent = {"prompt": "a", "images": [each.partition(",")[2] for each in (cut, cut)]}
    response = post(app, "/api/generate", {**sent, "stream": False})
    assert message_of(response).startswith("picture or video 1 of 2: ")


def test_parameters_of_a_tool_that_cannot_be_applied_are_named(served):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "blah"}}}
    response = post(app_of(served), CHAT, chat("Hello", tools=[tool], tool_choice="required"))
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "tools")
    assert error["message"].startswith("tools have parameters that cannot be applied: ")
    assert "blah" in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param", "start"),
    [
        ("/v1/completions", {}, "prompt", "prompt is missing"),
        ("/v1/completions", {"prompt": 3}, "prompt", "prompt is 3"),
        ("/v1/completions", {"prompt": "a", "logprobs": 99}, "logprobs", "logprobs=99"),
        ("/v1/embeddings", {"input": []}, "input", "input is an empty list"),
        ("/v1/embeddings", {"input": 3}, "input", "input is 3"),
        ("/v1/embeddings", {}, None, "the request has neither input nor messages"),
        ("/v1/embeddings", {"input": "a", "messages": []}, None, "the request has both"),
    ],
)
def test_prompts_that_are_not_there_or_are_no_prompts(served, path, body, param, start):
    response = post(app_of(served), path, body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert message_of(response).startswith(start)


def test_a_prompt_that_does_not_fit_the_cache_is_a_400(small):
    response = post(app_of(small), CHAT, chat("Hello", max_tokens=3000))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].endswith("hint: lower max_tokens or the pixels of the pictures")
    assert (error["param"], error["code"]) == ("messages", "OutOfBlocks")


def late(served, path, body):
    app = app_of(served, answer_seconds=0.001)
    response = post(app, path, body)
    metrics = request(app, "GET", "/metrics").text
    assert 'finesight_refused_total{reason="DeadlineExceeded"} 1.0' in metrics
    return response


def test_an_answer_that_takes_too_long_is_a_504_that_clients_do_not_repeat(served):
    response = late(served, CHAT, chat("Hello", max_completion_tokens=900, max_tokens=900))
    assert response.status_code == 504
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert error["message"].startswith("the answer was not finished within 0.001 s")
    assert error["message"].endswith("hint: lower max_completion_tokens")
    assert (error["type"], error["code"]) == ("timeout_error", "DeadlineExceeded")


def test_a_stream_that_takes_too_long_ends_with_an_error_that_is_counted(served):
    error, done = events_of(late(served, CHAT, chat("Hello", max_tokens=900, stream=True)))[-2:]
    assert done == "[DONE]"
    assert error["error"]["code"] == "DeadlineExceeded"


@pytest.mark.parametrize("streams", [False, True])
def test_other_dialects_say_it_in_their_own_words(served, streams):
    body = {"input": "Hello", "max_output_tokens": 900, "stream": streams}
    assert "lower max_output_tokens" in late(served, "/v1/responses", body).text
    body = {"prompt": "Hello", "options": {"num_predict": 900}, "stream": streams}
    assert "lower num_predict" in late(served, "/api/generate", body).text
    body = {"prompt": "a", "max_tokens": 900, "guided_regex": "[a-z]{800}", "stream": streams}
    assert "lower max_tokens" in late(served, "/v1/completions", body).text


def test_an_unknown_model_is_named(served):
    error = post(app_of(served), CHAT, chat("Hello", model="other")).json()["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")

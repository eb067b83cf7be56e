# SPDX-License-Identifier: Apache-2.0
"""An endpoint is asked in the OpenAI format; what passes is tried again, what does not is said clearly."""

from __future__ import annotations

import base64
import gc
import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from finesight.conversation import (
    Conversation,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError, MediaError, PromptTooLong, RemoteError
from finesight.geometry import Size
from finesight.parse.action import read_tool_calls
from finesight.remote import client
from finesight.remote.client import Endpoint
from tests.support.fake_endpoint import completion, serving


@pytest.fixture
def server():
    with serving() as running:
        yield running


def endpoint(server, pauses=None, **options):
    kept = [] if pauses is None else pauses
    return Endpoint(url=server.url, model="m", sleep=kept.append, **options)


def ask(words="What is 2 + 2?", *media):
    return Conversation((Message("user", (*media, TextPart(words))),))


def test_words_and_options_arrive(server):
    penalties = {"repetition_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5}
    sampling = Sampling(
        max_new_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        min_p=0.1,
        stop=("\n",),
        seed=4,
        **penalties,
    )
    (reply,) = endpoint(server, api_key="secret").respond([ask()], sampling)
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0.1,
        **penalties,
        "stop": ["\n"],
        "seed": 4,
    }
    assert (reply.text, reply.finish_reason, reply.media) == ("four", "stop", ())
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 2)


@pytest.mark.parametrize("key", ["secret\n", "secret\N{HORIZONTAL ELLIPSIS}"])
def test_a_key_that_no_header_can_have_is_refused_without_showing_it(server, key):
    with pytest.raises(ConfigError, match="a character that a header cannot have") as caught:
        endpoint(server, api_key=key)
    assert "secret" not in str(caught.value)


def test_tool_calls_that_an_endpoint_has_taken_out_are_in_the_text(server):
    arguments = {"action": "left_click", "coordinate": [5, 6], "text": "é"}
    call = {"type": "function", "function": {"name": "computer_use"}}
    call["function"]["arguments"] = json.dumps(arguments)
    broken = {"function": {"name": "computer_use", "arguments": '{"action": '}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, broken]}
    choice = {"message": message, "finish_reason": "tool_calls"}
    server.script = [(200, json.dumps({"choices": [choice]}).encode(), {})]
    (reply,) = endpoint(server).respond([ask()], Sampling())
    found = read_tool_calls(reply.text)
    assert [(each.name, each.arguments) for each in found.calls] == [("computer_use", arguments)]
    assert len(found.problems) == 1


def sent_pictures(server):
    pieces = server.requests[-1][2]["messages"][0]["content"]
    addresses = [piece["image_url"]["url"] for piece in pieces if piece["type"] == "image_url"]
    return [base64.b64decode(address.partition("base64,")[2]) for address in addresses]


def test_pictures_go_as_they_are(server, tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (60, 40), "red").save(path)
    drawn = Image.new("RGB", (8, 9), "blue")
    parts = (ImagePart(source=path), ImagePart(source=path.read_bytes()), ImagePart(source=drawn))
    endpoint(server).respond([ask("Which?", *parts)], Sampling())
    first, second, third = sent_pictures(server)
    assert first == second == path.read_bytes()
    assert Image.open(io.BytesIO(third)).size == (8, 9)


def test_low_detail_is_passed_on_where_the_endpoint_decides(server):
    part = ImagePart(source=Image.new("RGB", (8, 9)), detail="low")
    for fit, expected in ((None, "low"), (lambda size, part: Size(28, 28), None)):
        endpoint(server, fit=fit).respond([ask("Which?", part)], Sampling())
        (piece, _) = server.requests[-1][2]["messages"][0]["content"]
        assert piece["image_url"].get("detail") == expected


def test_pictures_resized_here_have_a_record(server, tmp_path):
    path = tmp_path / "a.bmp"
    Image.new("RGB", (60, 40), "red").save(path)
    resized = endpoint(server, fit=lambda size, part: Size(56, 28))
    (reply,) = resized.respond([ask("Which?", ImagePart(source=path))], Sampling())
    assert Image.open(io.BytesIO(sent_pictures(server)[0])).size == (56, 28)
    assert reply.media[0].resize.original == Size(60, 40)
    assert reply.media[0].resize.resized == Size(56, 28)


def test_what_a_user_should_know_of_pictures_is_said(server, tmp_path):
    path = tmp_path / "deep.tiff"
    pages = [Image.new("I", (60, 40), 3000), Image.new("I", (60, 40), 9)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    resized = endpoint(server, fit=lambda size, part: Size(56, 28))
    (reply,) = resized.respond([ask("Which?", ImagePart(source=path))], Sampling())
    pages_said, range_said = reply.media[0].notes
    assert "page 1 of 2 is shown" in pages_said
    assert "0 to 4095 is taken for the full range" in range_said
    with pytest.warns(UserWarning, match="is shown|is taken") as caught:
        endpoint(server).respond([ask("Which?", ImagePart(source=path))], Sampling())
    assert [str(each.message) for each in caught] == [
        f"{path}: {pages_said}",
        f"{path}: {range_said}",
    ]
    video = VideoPart(source=(Image.new("RGB", (32, 32)),) * 3, sample_fps=2.0)
    with pytest.warns(UserWarning, match="list of 3 frames"):
        endpoint(server).respond([ask("What?", video)], Sampling())


def test_a_video_is_frames_with_their_times(server):
    frames = tuple(Image.new("RGB", (32, 32), colour) for colour in ("red", "green"))
    part = VideoPart(source=frames, timestamps=(3.0, 5.5))
    endpoint(server).respond([ask("What?", part)], Sampling())
    pieces = server.requests[0][2]["messages"][0]["content"]
    assert [piece["type"] for piece in pieces] == ["text", "image_url"] * 2 + ["text"]
    assert [piece["text"] for piece in pieces if piece["type"] == "text"][-1] == "What?"
    assert pieces[0]["text"] == "<0.0 seconds>"
    assert pieces[2]["text"] == "<2.5 seconds>"


PASSING = {
    "rate limit": (429, b"slow down", {}),
    "overloaded": (503, b"", {}),
    "dies in the middle": (200, completion()[:20], {"Content-Length": 500}),
    "hangs up": "hang up",
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again(server, failure):
    server.script = [failure, failure, (200, completion("at last"), {})]
    pauses = []
    (reply,) = endpoint(server, pauses).respond([ask()], Sampling())
    assert reply.text == "at last"
    assert len(server.requests) == 3
    assert 0.75 <= pauses[0] <= 1.25
    assert 1.5 <= pauses[1] <= 2.5


def test_the_server_says_how_long_to_wait(server):
    headers = {"Retry-After": 9}
    server.script = [(429, b"", headers), (429, b"", {"Retry-After": 900}), (200, completion(), {})]
    pauses = []
    endpoint(server, pauses).respond([ask()], Sampling())
    assert pauses == [9.0, 60.0]


def test_tries_have_an_end(server):
    server.script = [(429, b"slow down", {})]
    with pytest.raises(RemoteError, match=r"status 429: slow down; tried 3 times") as raised:
        endpoint(server, max_tries=3).respond([ask()], Sampling())
    assert type(raised.value) is RemoteError
    assert len(server.requests) == 3


def test_a_slow_server_is_left(server):
    server.script = ["wait"]
    with pytest.raises(RemoteError, match=r"did not answer within 0\.1 s; tried 2 times"):
        endpoint(server, timeout_seconds=0.1, max_tries=2).respond([ask()], Sampling())


@pytest.mark.parametrize(
    "content",
    [b"<html>welcome</html>", b"{}", b'{"choices": []}', b"\xff\xfe", b'{"choices": [{}]}', b"[1]"],
)
def test_junk_is_shown_and_not_tried_again(server, content):
    server.script = [(200, content, {})]
    with pytest.raises(RemoteError, match="not a chat completion") as raised:
        endpoint(server).respond([ask()], Sampling())
    assert repr(content[:120]) in raised.value.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "API key"), (404, "is there a model 'm'"), (400, "")]
)
def test_refusals_are_said_at_once(server, status, hint):
    server.script = [(status, b'{"error": "no such thing"}', {})]
    with pytest.raises(RemoteError, match=f"status {status}: .*no such thing") as raised:
        endpoint(server, api_key="secret").respond([ask()], Sampling())
    assert hint in raised.value.hint
    assert "secret" not in f"{raised.value}{endpoint(server, api_key='secret')!r}"
    assert len(server.requests) == 1


def test_a_prompt_that_does_not_fit_is_too_long(server):
    server.script = [(400, b"This model's maximum context length is 8192 tokens", {})]
    with pytest.raises(PromptTooLong, match="8192"):
        endpoint(server).respond([ask()], Sampling())


def test_a_filtered_answer_is_an_error(server):
    server.script = [(200, completion("", "content_filter"), {})]
    with pytest.raises(RemoteError, match="content_filter"):
        endpoint(server).respond([ask()], Sampling())


def test_an_answer_without_end_is_cut(server, monkeypatch):
    monkeypatch.setattr(client, "MOST_ANSWER_BYTES", 1000)
    server.script = [(200, completion("x" * 5000), {})]
    with pytest.raises(RemoteError, match="more than 1,000 bytes"):
        endpoint(server).respond([ask()], Sampling())


def test_connections_are_kept_open(server):
    asked = endpoint(server)
    asked.respond([ask(), ask()], Sampling())
    asked.respond([ask()], Sampling())
    assert (len(server.requests), server.num_connections) == (3, 1)
    asked.close()
    asked.respond([ask()], Sampling())
    assert server.num_connections == 2


def test_a_refusal_keeps_the_connection_and_a_broken_one_is_replaced(server):
    whole = (200, completion(), {})
    server.script = [(429, b"slow down", {}), whole, "hang up", whole]
    asked = endpoint(server)
    asked.respond([ask()], Sampling())
    assert server.num_connections == 1
    asked.respond([ask()], Sampling())
    assert server.num_connections == 2


def test_threads_share_one_endpoint(server):
    asked = endpoint(server)
    with ThreadPoolExecutor(max_workers=4) as pool:
        replies = list(pool.map(lambda _: asked.respond([ask()], Sampling()), range(40)))
    assert [each[0].text for each in replies] == ["four"] * 40
    assert len(server.requests) == 40
    assert server.num_connections <= 4


def test_connections_end_with_their_endpoint(server):
    asked = endpoint(server)
    asked.respond([ask()], Sampling())
    pool = asked._pool
    assert len(pool.connections) == 1
    del asked
    gc.collect()
    assert pool.connections == []


def test_nobody_there():
    gone = Endpoint(url="http://127.0.0.1:9/v1", model="m", max_tries=2, sleep=lambda seconds: None)
    with pytest.raises(RemoteError, match=r"the connection to .* failed: .*; tried 2 times"):
        gone.respond([ask()], Sampling())


def test_log_probabilities_have_their_place_in_the_text(server):
    top = [{"token": "fo", "logprob": -0.5}, {"token": "two", "logprob": -2}]
    content = [
        {"token": "fo", "logprob": -0.5, "top_logprobs": top},
        {"token": "ur", "logprob": -0.25},
        {"token": "<end>", "logprob": -1},
    ]
    choice = {
        "message": {"content": "four"}, "finish_reason": "stop", "logprobs": {"content": content},
    }  # fmt: skip
    server.script = [(200, json.dumps({"choices": [choice]}).encode(), {})]
    (reply,) = endpoint(server).respond([ask()], Sampling(logprobs=2))
    assert [(one.text, one.logprob, one.span) for one in reply.logprobs] == [
        ("fo", -0.5, (0, 2)),
        ("ur", -0.25, (2, 4)),
    ]
    assert reply.logprobs[0].top == ((-1, "fo", -0.5), (-1, "two", -2.0))
    assert server.requests[0][2]["logprobs"] is True
    assert server.requests[0][2]["top_logprobs"] == 2
    content[1]["token"] = "\ufffd"  # its place is not known
    server.script = [(200, json.dumps({"choices": [choice]}).encode(), {})]
    (reply,) = endpoint(server).respond([ask()], Sampling(logprobs=0))
    assert reply.logprobs == ()
    assert "top_logprobs" not in server.requests[1][2]


def test_wrong_calls(server):
    with pytest.raises(ConfigError, match="not the URL of an endpoint"):
        Endpoint(url="host:8000", model="m")
    for options in ({"choice": ("a",)}, {"json_schema": {}}, {"loop_retries": 1}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))} is not sent to endpoints"):
            endpoint(server).respond([ask()], Sampling(**options))
    with pytest.raises(MediaError, match=r"no\.png"):
        endpoint(server).respond([ask("?", ImagePart(source="no.png"))], Sampling())
    assert server.requests == []

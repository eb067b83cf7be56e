# SPDX-License-Identifier: Apache-2.0
"""LiteLLM and LangChain, in an environment of their own, against the server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.running_server import running_server

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
CALLS = ROOT / "tests" / "interop" / "client_calls.py"
_SECONDS = 300


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: run scripts/clients-venv.sh with the interpreter of the tests")
    with running_server(log=tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def expected(url, picture_file):
    """Text and counts of the answer about the picture, by plain HTTP."""
    data = base64.b64encode(picture_file.read_bytes()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": "What is this?"},
    ]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 8}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body).json()
    return answer["choices"][0]["message"]["content"], answer["usage"]


def results_of(package, url, picture_file):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, CALLS, package, url, picture_file],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def litellm(url, picture_file):
    return results_of("litellm", url, picture_file)


@pytest.fixture(scope="module")
def langchain(url, picture_file):
    return results_of("langchain", url, picture_file)


@pytest.mark.parametrize("model", ["openai/tiny", "ollama/tiny", "ollama_chat/tiny"])
def test_litellm_asks_about_a_picture(litellm, expected, model):
    text, usage = expected
    assert litellm[f"{model} chat"] == litellm[f"{model} stream"]
    if model == "ollama/tiny":  # LiteLLM writes the conversation into one prompt, in its own form
        assert not litellm[f"{model} chat"].startswith("failed")
        assert litellm[f"{model} counts"][0] > usage["prompt_tokens_details"]["visual_tokens"]
    else:
        assert litellm[f"{model} chat"] == text
        assert litellm[f"{model} counts"] == [usage["prompt_tokens"], usage["completion_tokens"]]


@pytest.mark.parametrize("model", ["openai/tiny", "ollama/tiny", "ollama_chat/tiny"])
def test_litellm_asks_for_a_schema(litellm, model):
    assert json.loads(litellm[f"{model} schema"])["kind"] in ("cat", "dog")


def test_litellm_calls_tools(litellm):
    name, arguments = litellm["openai/tiny tools"]
    assert name == "look"
    assert arguments["kind"] in ("cat", "dog")


def test_litellm_uses_responses_and_vectors(litellm, url):
    body = {"input": "Hello", "max_output_tokens": 8}
    response = httpx.post(f"{url}/v1/responses", json=body).json()
    assert litellm["openai/tiny responses"] == response["output"][0]["content"][0]["text"]
    assert litellm["openai/tiny embedding"] == litellm["ollama/tiny embedding"] > 0


def test_litellm_reports_errors(litellm):
    assert litellm["unknown model"].startswith("failed: NotFoundError")
    assert "there is no model 'large'" in litellm["unknown model"]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_langchain_asks_about_a_picture(langchain, expected, api):
    text, usage = expected
    assert langchain[f"{api} invoke"] == [text, usage["completion_tokens"]]
    assert langchain[f"{api} stream"] == langchain[f"{api} invoke"]
    first, second, third = langchain[f"{api} batch"]
    assert first == third != second


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_langchain_calls_tools(langchain, api):
    name, arguments, is_answered = langchain[f"{api} tools"]
    assert (name, is_answered) == ("Seen", True)
    assert arguments["kind"] in ("cat", "dog")
    assert langchain[f"{api} tools streamed"] == [name, arguments]


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_gets_structured_output(langchain, api, method):
    assert langchain[f"{api} structured {method}"] in ("cat", "dog")


def test_langchain_gets_the_rest(langchain, expected):
    assert langchain["logprobs"] == expected[1]["completion_tokens"]
    assert not langchain["text"].startswith("failed")
    first, second = langchain["embedding"]
    assert first == second > 0

# SPDX-License-Identifier: Apache-2.0
"""Two replicas of the server behind Ray Serve answer as one server does."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import openai
import pytest

import finesight

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-ray" / "bin" / "python"
START_SECONDS = 240
HELLO = [{"role": "user", "content": "Hello"}]

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not PYTHON.exists(), reason="scripts/ray-venv.sh makes .venv-ray"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("ray"), free_port()
    command = [
        PYTHON,
        "-m",
        "finesight",
        "serve",
        "--model",
        "tiny",
        "--ray",
        "2",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        deadline = time.monotonic() + START_SECONDS
        while "ready:" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(120)


def test_answers_are_those_of_the_model(url):
    expected = finesight.load("tiny").respond([HELLO], max_new_tokens=8)[0].text
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    for _ in range(6):  # both replicas are asked
        found = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8)
        assert found.choices[0].message.content == expected
    pieces = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, stream=True)
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == expected


def test_both_replicas_answer(url):
    """Each counts its own requests, so that some counts are seen twice."""
    line = b'finesight_requests_total{path="/metrics",status="200"}'
    counts = []
    for _ in range(24):
        with urllib.request.urlopen(f"{url}/metrics") as response:
            counts += [each for each in response.read().splitlines() if each.startswith(line)]
    assert len(set(counts)) < len(counts)

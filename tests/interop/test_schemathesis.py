# SPDX-License-Identifier: Apache-2.0
"""Thousands of requests that schemathesis makes from the OpenAPI document: none of them is a fault of the server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.serving import program

pytestmark = pytest.mark.interop

SCHEMATHESIS = Path(__file__).parents[2] / ".venv-clients/bin/schemathesis"
CASES = 2000
_SECONDS = 1500


def make_usual(value):
    """Let requests name a model that the server has, and ask for short answers: else few would be answered."""
    if isinstance(value, dict) and "max_tokens" in value.get("properties", {}):
        value["properties"]["max_tokens"] = {"type": "integer", "minimum": 1, "maximum": 8}
        value["required"] = [*value["required"], "max_tokens"]
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "model" and isinstance(inner, dict) and inner.get("type") == "string":
            inner["enum"] = ["tiny"]
        elif isinstance(inner, (dict, list)):
            make_usual(inner)


def test_no_request_is_a_fault_of_the_server(tmp_path):
    if not SCHEMATHESIS.exists():
        pytest.skip(
            f"no {SCHEMATHESIS}: run scripts/clients-venv.sh with the interpreter of the tests"
        )
    with program() as server:
        report, schema = tmp_path / "events.ndjson", tmp_path / "openapi.json"
        document = httpx.get(f"{server.url}/openapi.json").json()
        for path in document["paths"].values():
            make_usual(path)
        schema.write_text(json.dumps(document))
        words = (
            *(
                "run",
                str(schema),
                "--url",
                server.url,
                "--checks",
                "not_a_server_error",
                "--seed",
                "1",
            ),
            *(
                "--max-examples",
                "250",
                "--phases",
                "examples,coverage,fuzzing",
                "--continue-on-failure",
            ),
            *("--suppress-health-check", "all", "--request-timeout", "60"),
            *("--report-ndjson-path", str(report), "--no-color"),
        )
        done = subprocess.run(
            [SCHEMATHESIS, *words], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        shown = done.stdout[-5000:] + done.stderr[-2000:]
        assert done.returncode == 0, shown
        found = re.search(r"(\d+) generated", shown)
        assert found, shown
        assert int(found[1]) >= CASES, shown
        assert server.process.poll() is None
        assert "failed\n" not in server.log()
    assert json.loads(report.read_text().splitlines()[0])

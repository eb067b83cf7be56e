# SPDX-License-Identifier: Apache-2.0
"""`finesight serve --adapter`: names of adapters beside that of the model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

from tests.e2e.test_batch import COMMAND
from tests.support.adapter_folders import write_adapter


def test_adapters_are_models_of_the_server(tiny_model_folder, tmp_path):
    folders = [write_adapter(tiny_model_folder, tmp_path / str(n), seed=n) for n in (1, 2)]
    words = ["serve", "--port", "0", "--model", f"base={tiny_model_folder}"]
    words += ["--adapter", f"a={folders[0]}", "--adapter", f"b={folders[1]}"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        url = next(line.split()[1] for line in process.stderr if line.startswith("ready: "))
        url = url.removesuffix("/v1")
        texts = {}
        for name in ("base", "a", "b"):
            said = [{"role": "user", "content": "What is this?"}]
            body = {"model": name, "messages": said, "max_tokens": 6}
            texts[name] = _post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]
        assert len({each["content"] for each in texts.values()}) == 3
        with urllib.request.urlopen(f"{url}/v1/models") as answer:
            listed = json.load(answer)["data"]
        assert [each["id"] for each in listed] == ["base", "a", "b"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def _post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

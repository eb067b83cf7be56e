# SPDX-License-Identifier: Apache-2.0
"""Downloads from a hub: complete, continued, checked, and from the cache without a network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

from finesight.api.checkpoints import find_checkpoint
from finesight.checkpoints import hub
from finesight.errors import ConfigError, FinesightError, MissingWeights, WeightsError
from tests.support.fake_hub import COMMIT, serving

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of Hugging Face, and of finesight."""
    from huggingface_hub import constants, file_download

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    return folder / "models--me--model"


@pytest.fixture
def server(tiny_model_folder, cache, monkeypatch):
    from huggingface_hub import constants

    with serving(tiny_model_folder) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


def find(name="hf:me/model", **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folder = find_checkpoint(name, **options)
    return folder, [str(each.message) for each in said if "finesight" in each.filename]


def test_a_download_is_whole_and_states_the_licence(server, tiny_model_folder):
    folder, said = find()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (folder / name).read_bytes() == (tiny_model_folder / name).read_bytes()
    assert said == ["the licence of me/model is qwen-research (https://x/y)"]
    assert find(f"hf:me/model@{COMMIT}")[0] == folder
    assert find("hf:me/model@v1")[0] == folder


def test_a_cached_model_needs_no_request(server, monkeypatch):
    folder, _ = find()
    server.paths.clear()
    assert find() == (folder, [])
    assert find("me/model") == (folder, [])
    assert server.paths == []


def test_small_files_alone(server):
    folder, said = find(needs_weights=False)
    assert not (folder / "model.safetensors").exists()
    assert said == []
    assert not any(name == "model.safetensors" for name, _ in server.ranges)


def test_cut_connections_are_continued(server, tiny_model_folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    server.cut_after = [30_000, 1, 70_000]
    folder, _ = find()
    wanted = (tiny_model_folder / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == wanted
    starts = [start for name, start in server.ranges if name in server.large]
    assert any(start > 0 for start in starts)


def test_a_file_that_is_not_what_the_hub_says(server, cache, tiny_model_folder):
    good = server.files["model.safetensors"]
    server.files["model.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(WeightsError, match="has the checksum") as caught:
        find()
    assert "run the same again" in caught.value.hint
    assert not list(cache.rglob("*.part"))
    server.files["model.safetensors"] = good
    assert (find()[0] / "model.safetensors").read_bytes() == good


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_cache_is_found_once_and_downloaded_again(server, name, monkeypatch):
    folder, _ = find()
    blob = (folder / name).resolve()
    content = blob.read_bytes()
    blob.write_bytes(b" " + content[1:])
    with pytest.raises(FinesightError):
        find()
    assert not blob.exists()
    folder, _ = find()
    assert (folder / name).read_bytes() == content
    compared = []
    monkeypatch.setattr(hub, "_compare", lambda *given, **more: compared.append(given))
    find()
    assert compared == []  # once


def test_a_cache_laid_out_by_hand_works_offline(cache, tiny_model_folder, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    snapshot = cache / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    for path in tiny_model_folder.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    assert find()[0] == snapshot
    assert find("me/model")[0] == snapshot
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MissingWeights, match="cannot be downloaded"):
        find()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "is gated: accept its licence"),
        (403, "GatedRepo", "is gated: accept its licence"),
        (404, "RepoNotFound", "there is no model me/model, or it is private"),
        (401, "RepoNotFound", "there is no model me/model, or it is private"),
        (500, "", "cannot be downloaded"),
    ],
)
def test_refusals(server, status, code, said):
    server.status, server.error_code = status, code
    with pytest.raises(MissingWeights, match=said):
        find()


def test_an_unknown_revision(server):
    with pytest.raises(MissingWeights, match="me/model has no revision v9"):
        find("hf:me/model@v9")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:", "is not of the form"),
        ("hf:model", "is not of the form hf:OWNER/NAME"),
        ("ms:a/b/c", "is not of the form ms:OWNER/NAME"),
        ("hf:me/model@", "is not of the form"),
        ("hf:../model", "is not of the form"),
        ("hf:me/model@../../x", "can be no branch"),
        ("hf:me/model@a b", "can be no branch"),
    ],
)
def test_names_of_no_model(name, said):
    with pytest.raises(ConfigError, match=said):
        find_checkpoint(name)


def test_a_hub_that_contradicts_the_name():
    with pytest.raises(ConfigError, match="hub='modelscope' contradicts hf:me/model"):
        find_checkpoint("hf:me/model", hub="modelscope")
    with pytest.raises(ConfigError, match="mmproj x has no effect"):
        find_checkpoint("hf:me/model", mmproj="x")


def test_modelscope_gets_name_and_revision(tiny_model_folder, monkeypatch):
    asked = []

    def snapshot_download(name, **options):
        asked.append((name, options.get("revision"), options["allow_patterns"]))
        return str(tiny_model_folder)

    fake = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "modelscope", fake)
    assert find_checkpoint("ms:me/model@v1") == tiny_model_folder
    assert find_checkpoint("ms:me/model") == tiny_model_folder
    assert [each[:2] for each in asked[::2]] == [("me/model", "v1"), ("me/model", None)]
    assert asked[1][2] == list(hub.WANTED_FILES)


DOWNLOAD = """
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 1000
from finesight.api.checkpoints import find_checkpoint
find_checkpoint("hf:me/model")
"""


def test_a_download_that_was_killed_is_continued(server, cache, tmp_path):
    import threading

    server.pause = threading.Event()
    size = len(server.files["model.safetensors"])
    server.large = ("model.safetensors",)
    server.digests["tokenizer.json"] = server._digest("tokenizer.json")
    server.cut_after = [size // 2]
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HUB_CACHE": str(cache.parent),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = subprocess.Popen([sys.executable, "-c", DOWNLOAD], env=environment)
    assert server.reached.wait(60)
    part = cache / "blobs" / f"{server.digests['model.safetensors']}.part"
    _wait_for(lambda: part.exists() and part.stat().st_size > 0, done)
    done.send_signal(signal.SIGKILL)
    done.wait()
    server.pause.set()
    server.pause = None
    kept = part.stat().st_size
    server.ranges.clear()
    folder, _ = find()
    assert (folder / "model.safetensors").read_bytes() == server.files["model.safetensors"]
    assert ("model.safetensors", kept) in server.ranges
    assert not part.exists()


def _wait_for(is_true, process) -> None:
    import time

    for _ in range(600):
        if is_true():
            return
        assert process.poll() is None
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_path_of_the_cache_is_not_left(cache):
    with pytest.raises(WeightsError, match="has no SHA-256"):
        hub._fetch("http://x", Path("nowhere"), "../../etc/passwd", 3)

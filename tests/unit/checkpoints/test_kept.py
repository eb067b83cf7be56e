# SPDX-License-Identifier: Apache-2.0
"""What is kept in the cache is listed by kind, and removed without harm to what is being written."""

from __future__ import annotations

import sys
import warnings

import pytest

from finesight import files
from finesight.api.checkpoints import find_checkpoint
from finesight.checkpoints import hub, kept
from finesight.checkpoints.cached import cached_folder, write_receipt
from finesight.checkpoints.kept import kept_files, remove
from finesight.errors import WeightsError
from tests.support.fake_hub import COMMIT, serving


def fill(root):
    """A cache with one thing of each kind but downloads."""

    def make(folder):
        def write():
            with files.whole_folder(folder) as draft:
                (draft / "weights").write_bytes(bytes(1000))
                write_receipt(draft)

        return cached_folder(folder, write)

    make(root / "gguf" / "model-Q8_0-1234")
    make(root / "packed" / "tiny-int8-1234")
    make(root / f"small-{'0a' * 8}")
    (root / "kernels").mkdir()
    (root / "kernels" / "kernels-1.so").write_bytes(bytes(10))
    (root / "gguf" / ".model-x.abc.part").mkdir()
    (root / "gguf" / ".model-x.abc.part" / "half").write_bytes(bytes(500))
    return root


def test_a_cache_that_does_not_exist_is_empty(tmp_path):
    assert kept_files(tmp_path / "absent") == []


def test_everything_is_listed_and_removed(tmp_path):
    root = fill(tmp_path)
    found = {entry.kind: entry for entry in kept_files(root)}
    assert {kind: entry.name for kind, entry in found.items()} == {
        "gguf": "model-Q8_0-1234",
        "packed": "tiny-int8-1234",
        "small": f"small-{'0a' * 8}",
        "kernels": "kernels-1.so",
        "unfinished": ".model-x.abc.part",
    }
    sizes = {kind: entry.num_bytes for kind, entry in found.items()}
    assert sizes["unfinished"] == 500
    assert sizes["kernels"] == 10
    assert 1000 < sizes["gguf"] < 1100  # its receipt is counted
    for entry in found.values():
        remove(entry)
    assert kept_files(root) == []
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_what_is_being_written_is_not_removed(tmp_path):
    if sys.platform == "win32":
        pytest.skip("no locks of this kind")
    folder = tmp_path / "gguf" / "a"
    with files.whole_folder(folder) as draft:
        (draft / "b").write_bytes(b"1")
        (entry,) = kept_files(tmp_path)
        assert entry.kind == "unfinished"
        with pytest.raises(WeightsError, match="is being written"):
            remove(entry)
    (entry,) = kept_files(tmp_path)
    with (
        files.lock(folder.with_name(".a.lock")),
        pytest.raises(WeightsError, match="another process writes to"),
    ):
        remove(entry)
    assert folder.is_dir()


def test_downloads_are_those_that_finesight_loaded(tmp_path, tiny_model_folder, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for module in (hub, kept):
        monkeypatch.setattr(module, "user_cache_path", lambda name: tmp_path / name)
    with serving(tiny_model_folder) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its licence is said
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        folder = find_checkpoint("hf:me/model")
    (entry,) = kept_files()
    assert (entry.kind, entry.name) == ("download", f"me/model@{COMMIT[:12]}")
    assert entry.num_bytes == sum(path.stat().st_size for path in folder.iterdir())
    remove(entry)
    assert not folder.exists()
    assert kept_files() == []

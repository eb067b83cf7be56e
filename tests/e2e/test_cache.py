# SPDX-License-Identifier: Apache-2.0
"""`finesight cache`: what is kept is shown, and removed by name, kind or as a whole."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache with two folders and a compiled library."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "finesight"
    for name in ("gguf/one-1", "gguf/two-2", "kernels"):
        (root / name).mkdir(parents=True)
    (root / "gguf/one-1/weights").write_bytes(bytes(2_500_000))
    (root / "gguf/two-2/weights").write_bytes(bytes(1500))
    (root / "kernels/kernels-1.so").write_bytes(bytes(20))
    return root


def names(outcome):
    return [line.split()[-1] for line in outcome.out.splitlines()]


def test_the_list(finesight, cache):
    found = finesight("cache", "list")
    assert found.code == 0
    assert names(found) == ["one-1", "two-2", "kernels-1.so"]
    assert found.out.splitlines()[0].startswith("gguf          2.5 MB  20")
    assert f"3 entries, 2.5 MB; the cache is {cache}" in found.err


@pytest.mark.parametrize(
    ("words", "removed"),
    [
        (["one-1"], ["one-1"]),
        (["*-2", "kernels-1.so"], ["two-2", "kernels-1.so"]),
        (["--kind", "gguf"], ["one-1", "two-2"]),
        (["--all"], ["one-1", "two-2", "kernels-1.so"]),
    ],
)
def test_what_is_named_is_removed(finesight, words, removed):
    before = names(finesight("cache", "list"))
    dry = finesight("cache", "clear", *words, "--dry-run")
    assert (dry.code, names(dry)) == (0, removed)
    assert "would be removed" in dry.err
    assert names(finesight("cache", "list")) == before
    done = finesight("cache", "clear", *words)
    assert (done.code, names(done)) == (0, removed)
    assert names(finesight("cache", "list")) == [each for each in before if each not in removed]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is named\n  hint: give names of the list, --kind, or --all"),
        (["three"], "the cache has no 'three'"),
        (["--kind", "models"], "--kind is 'models'\n  hint: known: gguf, packed,"),
    ],
)
def test_what_chooses_nothing_is_an_error(finesight, words, message):
    found = finesight("cache", "clear", *words)
    assert found.code == 2
    assert message in found.err
    assert len(names(finesight("cache", "list"))) == 3

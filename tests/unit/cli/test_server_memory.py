# SPDX-License-Identifier: Apache-2.0
"""Limits on what libraries keep; what the user has set stays."""

from __future__ import annotations

import ctypes
import os
from types import SimpleNamespace

import pytest

from finesight.cli.server_memory import bound_memory

NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY", "MALLOC_ARENA_MAX")


@pytest.fixture
def calls(monkeypatch):
    """Calls of the C library's `mallopt`."""
    found = []
    library = SimpleNamespace(mallopt=lambda *values: found.append(values))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    for name in NAMES:
        monkeypatch.setenv(name, "x")  # so that it is removed at the end of the test
        monkeypatch.delenv(name)
    return found


def test_limits_are_set(calls):
    bound_memory()
    assert [os.environ.get(name) for name in NAMES] == ["64", "64", None]
    assert calls == [(-8, 2)]


def test_limits_of_the_user_stay(calls, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "9")
    bound_memory()
    assert [os.environ[name] for name in NAMES] == ["9"] * 3
    assert calls == []


def test_a_c_library_without_the_option(calls, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    bound_memory()
    assert os.environ["LRU_CACHE_CAPACITY"] == "64"

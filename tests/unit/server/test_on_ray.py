# SPDX-License-Identifier: Apache-2.0
"""Ray that is not installed, or does not start, is an error with a sentence."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from finesight.errors import ConfigError, FinesightError
from finesight.server.on_ray import serve_on_ray
from finesight.server.settings import ServerSettings


def start():
    serve_on_ray(
        lambda: pytest.fail("no application is made"),
        ServerSettings(),
        replicas=2,
        host="127.0.0.1",
        port=0,
        on_ready=lambda url: pytest.fail(url),
    )


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="several replicas need Ray Serve") as caught:
        start()
    assert "pip install" in caught.value.hint


def test_ray_that_does_not_start(monkeypatch):
    ray = ModuleType("ray")

    def fails(*, address, **_):
        assert address == "local"
        raise Exception("The current node timed out during startup.")

    ray.init, ray.serve = fails, ModuleType("ray.serve")
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(FinesightError, match="Ray did not start: The current node timed out"):
        start()

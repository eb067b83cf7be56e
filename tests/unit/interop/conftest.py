# SPDX-License-Identifier: Apache-2.0
"""Both harnesses as fakes, and a model that says what it was asked."""

from __future__ import annotations

import pytest

from finesight.interop import lmms_eval, vlmevalkit
from tests.support.harnesses import pretend_installed
from tests.support.replies import reply


class Recorder:
    """Answers with numbers and keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.samplings = []
        self.loaded = []

    def respond(self, conversations, sampling):
        self.asked.extend(conversations)
        self.samplings.append(sampling)
        return [reply(f"answer {len(self.asked)}")]

    def load(self, name, *, device, dtype):
        self.loaded.append((name, device, dtype))
        return self

    @property
    def parts(self):
        return [part for message in self.asked[-1].messages for part in message.parts]


@pytest.fixture(autouse=True)
def harnesses(monkeypatch):
    pretend_installed(monkeypatch)
    adapters = (lmms_eval._adapter, vlmevalkit._adapter)
    for adapter in adapters:
        adapter.cache_clear()
    yield
    for adapter in adapters:
        adapter.cache_clear()  # its base class was the fake


@pytest.fixture
def model(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(lmms_eval, "load_responder", recorder.load)
    monkeypatch.setattr(vlmevalkit, "load_responder", recorder.load)
    return recorder

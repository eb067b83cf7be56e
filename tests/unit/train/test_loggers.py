# SPDX-License-Identifier: Apache-2.0
"""Values in TensorBoard's event file and in an offline run of Weights & Biases; libraries that are missing."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from finesight.errors import ConfigError
from finesight.train.loggers import open_loggers


def test_tensorboard_reads_the_values(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (log,) = open_loggers(["tensorboard"], tmp_path, {})
    log(20, {"loss": 1.5, "fill": 0.99})
    log(40, {"loss": 1.25})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(20, 1.5), (40, 1.25)]
    assert [one.step for one in events.Scalars("fill")] == [20]


class NoKeyError(Exception):
    pass


@pytest.mark.parametrize(("name", "mode"), [("wandb", "online"), ("wandb_offline", "offline")])
def test_a_run_of_weights_and_biases(tmp_path, monkeypatch, name, mode):
    given, logged = [], []

    class Run:
        def log(self, values, step):
            logged.append((step, values))

    def init(**settings):
        given.append(settings)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=NoKeyError))
    (log,) = open_loggers([name], tmp_path / "run_1", {"seed": 3})
    log(5, {"loss": 2.0})
    assert logged == [(5, {"loss": 2.0})]
    assert given[0]["mode"] == mode
    assert given[0]["dir"] == str(tmp_path / "run_1")
    assert given[0]["config"] == {"seed": 3}


def test_without_a_key_the_way_offline_is_named(tmp_path, monkeypatch):
    def init(**_):
        raise NoKeyError("no API key")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=NoKeyError))
    with pytest.raises(ConfigError, match="no API key") as raised:
        open_loggers(["wandb"], tmp_path, {})
    assert "wandb_offline" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "library"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")]
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, name, library):
    real = builtins.__import__

    def missing(wanted, *args):
        if wanted == library:
            raise ImportError(f"No module named {wanted!r}")
        return real(wanted, *args)

    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=f"run.loggers names {name}") as raised:
        open_loggers([name], tmp_path, {})
    assert "pip install" in raised.value.hint

# SPDX-License-Identifier: Apache-2.0
"""The machine report says what is there, and what to do about what is not."""

from __future__ import annotations

import subprocess

import pytest
import torch

from finesight.doctor import machine
from finesight.threads import memory_bytes


def test_report_names_versions_and_hints():
    findings = {finding.name: finding for finding in machine.machine_report(None)}
    assert findings["torch"].value == torch.__version__
    assert findings["embedded model"].status == "missing"
    assert findings["embedded model"].hint
    assert "GFLOP/s" in findings["speed"].value
    assert all(
        finding.hint
        for finding in findings.values()
        if finding.status != "ok" and finding.name != "cuda"
    )


def test_missing_extra_says_what_it_is_for(monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    (line,) = [finding for finding in machine._extras() if finding.name == "transformers"]
    assert (line.value, line.status) == ("not installed", "note")
    assert "pip install transformers" in line.hint


def test_speed_is_positive():
    speed = machine.measure_speed()
    assert speed.flops_per_second > 1e8
    assert speed.bytes_per_second > 1e7


def test_memory_is_told():
    total, available = memory_bytes()
    assert 0 < available <= total


@pytest.mark.parametrize(
    ("count", "cores", "policy", "status", "said"),
    [
        (2, 2, "passive", "ok", ""),
        (1, 2, None, "ok", ""),
        (4, 2, "passive", "slow", "OMP_NUM_THREADS=2"),
        (2, 2, None, "note", "OMP_WAIT_POLICY=passive"),
        (2, 2, "active", "note", "OMP_WAIT_POLICY=passive"),
    ],
)
def test_threads(count, cores, policy, status, said):
    finding = machine._threads(count, cores, policy)
    assert finding.status == status
    assert said in finding.hint
    assert f"{count} of torch, {cores} physical cores" in finding.value
    assert f"OMP_WAIT_POLICY {policy or 'not set'}" in finding.value


def torchvision_finding(monkeypatch, *, code: int, said: str):
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    monkeypatch.setattr(machine, "version", lambda name: "0.28.0+cu130")
    done = subprocess.CompletedProcess([], code, "", said)
    monkeypatch.setattr(machine.subprocess, "run", lambda *words, **options: done)
    (finding,) = machine._torchvision()
    return finding


def test_a_torchvision_that_fits(monkeypatch):
    finding = torchvision_finding(monkeypatch, code=0, said="a warning\n")
    assert (finding.value, finding.status, finding.hint) == ("0.28.0+cu130", "ok", "")


@pytest.mark.parametrize(("cuda", "build"), [(None, "cpu"), ("13.0", "cu130")])
def test_a_torchvision_for_another_torch(monkeypatch, cuda, build):
    monkeypatch.setattr(machine.torch, "__version__", "2.13.0+x")
    monkeypatch.setattr(machine.torch.version, "cuda", cuda)
    said = "Traceback:\nRuntimeError: operator torchvision::nms does not exist\n"
    finding = torchvision_finding(monkeypatch, code=1, said=said)
    assert finding.status == "missing"
    assert "beside torch 2.13.0+x: RuntimeError: operator torchvision::nms" in finding.value
    assert (
        f"'torchvision==0.28.*' --index-url https://download.pytorch.org/whl/{build};"
        in finding.hint
    )
    assert "pip uninstall torchvision" in finding.hint


def test_torchvision_matters_only_beside_transformers(monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert list(machine._torchvision()) == []

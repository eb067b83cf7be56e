# SPDX-License-Identifier: Apache-2.0
"""The machine report says what is there, and what to do about what is not."""

from __future__ import annotations

import torch

from finesight.doctor import machine


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
    total, available = machine.memory_bytes()
    assert 0 < available <= total

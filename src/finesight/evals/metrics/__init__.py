# SPDX-License-Identifier: Apache-2.0
"""Metrics of benchmarks: pure, deterministic functions of plain values.

Each module names its source. Where published harnesses disagree, each variant has a function of its own.
"""

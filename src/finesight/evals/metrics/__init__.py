# SPDX-License-Identifier: Apache-2.0
"""Formulas of benchmarks: plain values in, a number out; no file, no clock, no chance.

Each module names where its formula comes from. Where published harnesses disagree, both readings stand side by side
under names of their own; none is chosen in silence.
"""

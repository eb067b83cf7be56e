# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of speed and memory against stated bars, each beside a baseline: `python -m benchmarks`."""

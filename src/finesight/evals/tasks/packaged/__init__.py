# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on data that comes with packages and needs no download."""

# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that act on a screen: their environments, and the loop that plays an episode."""

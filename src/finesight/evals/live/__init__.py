# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on a screen that answers back: environments, and the one loop that plays them."""

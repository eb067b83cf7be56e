# SPDX-License-Identifier: Apache-2.0
"""One package per family of benchmarks; a module with `TASKS` is a benchmark, the others are shared by the family."""

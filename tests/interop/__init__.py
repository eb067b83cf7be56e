# SPDX-License-Identifier: Apache-2.0
"""Proofs against other programs, each in an environment of its own; run by `make interop`."""

# SPDX-License-Identifier: Apache-2.0
"""Machine report, comparison of a model with transformers, and cost estimates.

`machine` reports on Python, torch, memory, codecs and optional libraries. `check` compares a
checkpoint with transformers, layer by layer, and names the first layer that differs. `estimate`
computes tokens, memory and time of a question without loading weights.
"""

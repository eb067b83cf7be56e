# SPDX-License-Identifier: Apache-2.0
"""What this machine can do, what is missing, and whether a model is right.

`machine` reports on Python, torch, memory, codecs and optional libraries. `check` runs a checkpoint
beside transformers, layer by layer, and names the first layer that differs.
"""

# SPDX-License-Identifier: Apache-2.0
"""Adapters that make finesight a model of other evaluation harnesses, one module per harness.

A harness is imported only when its adapter class is first accessed: see decision 0014.
"""

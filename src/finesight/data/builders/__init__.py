# SPDX-License-Identifier: Apache-2.0
"""Builders draw the record of a seed, with its truth."""

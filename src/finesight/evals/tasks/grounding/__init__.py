# SPDX-License-Identifier: Apache-2.0
"""Boxes, points and counts."""

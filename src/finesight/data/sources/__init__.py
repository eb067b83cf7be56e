# SPDX-License-Identifier: Apache-2.0
"""Fonts, words and drawings for training pictures."""

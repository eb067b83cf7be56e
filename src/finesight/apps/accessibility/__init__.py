# SPDX-License-Identifier: Apache-2.0
"""Screens in words: controls and texts of a screenshot with roles, names, places and states, as for a screen reader."""

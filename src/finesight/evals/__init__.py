# SPDX-License-Identifier: Apache-2.0
"""Scores that say how they were made."""

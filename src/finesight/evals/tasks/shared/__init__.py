# SPDX-License-Identifier: Apache-2.0
"""Prompts, columns and aggregates that several families share."""

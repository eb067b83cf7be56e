# SPDX-License-Identifier: Apache-2.0
"""Clicks and episodes on screens."""

# SPDX-License-Identifier: Apache-2.0
"""MEGA-Bench."""

# SPDX-License-Identifier: Apache-2.0
"""Recordings of web pages as screenshots with element boxes."""

# SPDX-License-Identifier: Apache-2.0
"""Screens of applications and web pages, with questions about their elements."""

# SPDX-License-Identifier: Apache-2.0
"""Kinds of pages from a closed set, and packets of pages split into documents."""

# SPDX-License-Identifier: Apache-2.0
"""Builders: a seed goes in, one record with its truth comes out."""

# SPDX-License-Identifier: Apache-2.0
"""Encodes conversations with pictures and videos as model input."""

# SPDX-License-Identifier: Apache-2.0
"""Making, checking, mixing and packing training samples."""

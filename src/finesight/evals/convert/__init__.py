# SPDX-License-Identifier: Apache-2.0
"""Convert published files of data sets into the layout of their benchmarks; nothing is downloaded."""

# SPDX-License-Identifier: Apache-2.0
"""CPU kernels in C++ for products with few rows, attention over a paged cache and whole decoding steps."""

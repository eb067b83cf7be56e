# SPDX-License-Identifier: Apache-2.0
"""Find, count and inspect things in pictures of any size, with places, scores and what was looked at."""

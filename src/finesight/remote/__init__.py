# SPDX-License-Identifier: Apache-2.0
"""Models that answer over the network."""

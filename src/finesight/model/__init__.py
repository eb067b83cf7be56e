# SPDX-License-Identifier: Apache-2.0
"""The network: vision tower, merger, decoder, attention back ends, reading and writing weights."""

# SPDX-License-Identifier: Apache-2.0
"""The network: vision tower, merger, decoder, attention back ends, loading and saving of weights."""

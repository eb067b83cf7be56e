# SPDX-License-Identifier: Apache-2.0
"""Mathematics in pictures."""

# SPDX-License-Identifier: Apache-2.0
"""Questions about videos, and times in them."""

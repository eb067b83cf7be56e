# SPDX-License-Identifier: Apache-2.0
"""Multiple choice on pictures."""

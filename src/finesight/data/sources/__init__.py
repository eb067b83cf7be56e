# SPDX-License-Identifier: Apache-2.0
"""Where training pictures get their fonts, words and drawings from."""

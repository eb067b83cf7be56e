# SPDX-License-Identifier: Apache-2.0
"""Opens pictures, videos and PDF pages from any source, within limits. No torch."""

# SPDX-License-Identifier: Apache-2.0
"""Real web pages recorded as pictures with boxes, so that pointing at them needs no browser."""

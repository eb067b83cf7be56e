# SPDX-License-Identifier: Apache-2.0
"""Generation: from an encoded conversation to a reply."""

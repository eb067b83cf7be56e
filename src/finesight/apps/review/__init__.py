# SPDX-License-Identifier: Apache-2.0
"""Contract review: a file of rules against a document, and the differences of two versions."""

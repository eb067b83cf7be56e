# SPDX-License-Identifier: Apache-2.0
"""Extraction by schema: values of a document in the user's own structure, each with its evidence."""

# SPDX-License-Identifier: Apache-2.0
"""Configuration of models and processors, and the reader of recipes; imports no torch."""

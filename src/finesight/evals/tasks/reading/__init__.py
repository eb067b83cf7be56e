# SPDX-License-Identifier: Apache-2.0
"""Documents, charts, tables and text in pictures."""

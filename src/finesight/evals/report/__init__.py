# SPDX-License-Identifier: Apache-2.0
"""HTML reports of runs."""

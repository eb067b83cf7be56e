# SPDX-License-Identifier: Apache-2.0
"""Actions on screens: steps, environments, the official tool descriptions and the history of steps."""

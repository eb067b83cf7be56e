# SPDX-License-Identifier: Apache-2.0
"""Acting on screens: steps, environments, the official tool descriptions and the history of steps."""

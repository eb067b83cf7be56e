# SPDX-License-Identifier: Apache-2.0
"""Learning: loss, optimisers, schedule, checkpoints and the loop."""

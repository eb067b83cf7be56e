# SPDX-License-Identifier: Apache-2.0
"""What every benchmark is made of: task, items, answers, scores, results."""

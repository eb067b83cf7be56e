# SPDX-License-Identifier: Apache-2.0
"""Every number that can be set: the shape of a model, the budgets of a processor, a recipe. No torch."""

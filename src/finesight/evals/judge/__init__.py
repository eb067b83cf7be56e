# SPDX-License-Identifier: Apache-2.0
"""Second scores by a language model."""

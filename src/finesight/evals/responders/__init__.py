# SPDX-License-Identifier: Apache-2.0
"""Sources of answers besides a model: cache, blank pictures, logs of other harnesses."""

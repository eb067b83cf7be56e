# SPDX-License-Identifier: Apache-2.0
"""Pictures, videos and conversations to the numbers a model takes."""

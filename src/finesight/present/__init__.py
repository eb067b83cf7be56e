# SPDX-License-Identifier: Apache-2.0
"""What people look at: boxes drawn on a copy of the picture, reports."""

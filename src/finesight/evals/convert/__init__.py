# SPDX-License-Identifier: Apache-2.0
"""From the files a data set is published in to the layout its benchmark reads; nothing is downloaded."""

# SPDX-License-Identifier: Apache-2.0
"""What people look at: pictures with the answer drawn on them, contact sheets, timelines, HTML pages.

Takes answers and Pillow images and gives images, SVG or HTML. It opens no media, and it shows the
text of a model without interpreting it.
"""

# SPDX-License-Identifier: Apache-2.0
"""What people look at: pictures with the answer drawn on them, contact sheets, timelines, reports.

Takes records and Pillow images and gives images, SVG or HTML; it opens no media and reads no text
of a model beyond showing it, escaped. What it needs of an answer stands in `marks` as protocols,
because `parse` is a sibling.
"""

# SPDX-License-Identifier: Apache-2.0
"""Draw answers: overlays on pictures, contact sheets, timelines, HTML pages.

The functions take answers and Pillow images and return images, SVG or HTML. They open no media and
show a model's text without interpreting it.
"""

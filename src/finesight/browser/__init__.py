# SPDX-License-Identifier: Apache-2.0
"""A web page as a screen: screenshots, and mouse and keyboard input in screenshot pixels."""

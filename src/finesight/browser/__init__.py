# SPDX-License-Identifier: Apache-2.0
"""A web page as a screen: looked at as a picture, acted on in pixels of that picture."""

# SPDX-License-Identifier: Apache-2.0
"""Documents: pages read by a model, checked against the text layer of a PDF, and written as Markdown, HTML or JSON."""

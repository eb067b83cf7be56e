# SPDX-License-Identifier: Apache-2.0
"""Parsing of replies: from a model's text to boxes, points, events, documents and tool calls.

Pure Python without third-party imports; no part of the text is ever evaluated. Every parser takes
time linear in the length of the text, because the text may be hostile. A result is either read completely or
reported as a problem.

The entry point is `answer.read_answer`; the other modules each parse one format.
"""

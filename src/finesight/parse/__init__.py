# SPDX-License-Identifier: Apache-2.0
"""Reading answers back: from a model's text to boxes, points, events, documents, tool calls.

Pure Python, no third-party import, and nothing of the text is ever evaluated. Every reader takes
time linear in the length of the text, whatever the text is, because the text is written by a model
that was shown a stranger's picture. A thing is either read whole or reported as a problem; no
reader returns a half-filled record.

Start with `answer.read_answer`; the other modules each read one format.
"""

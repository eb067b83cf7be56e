# SPDX-License-Identifier: Apache-2.0
"""Messages, the chat format and the vocabulary."""

# SPDX-License-Identifier: Apache-2.0
"""How answers are read: each way has a name and a version, and none knows the gold answer.

The rules of published harnesses are here as they are, weak spots included, so that published numbers can be made
again; beside them stand our own, which give None where an answer cannot be decided. None ever raises, and each is
linear in the length of the answer.
"""

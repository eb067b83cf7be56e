# SPDX-License-Identifier: Apache-2.0
"""An agent that works on a screen: it looks, proposes a step, and performs it if the gate allows it.

::

    observe -> ask the model -> parse -> gate -> act -> compare the screen with the one before -> trace
"""

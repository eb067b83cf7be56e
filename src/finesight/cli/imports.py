# SPDX-License-Identifier: Apache-2.0
"""Imports torch for a command."""

from __future__ import annotations

import gc
import sys


def import_torch() -> None:
    """Import torch and what opens a model, and keep them out of later garbage collections.

    The import makes half a million objects that live as long as the process. Searching them for garbage again and
    again, last when the process ends, took a quarter of the processor time of a short answer.

    Nothing happens if torch is imported already.
    """
    if "torch" in sys.modules:
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import finesight.api.model  # noqa: F401  # imports torch
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

# SPDX-License-Identifier: Apache-2.0
"""A module executed anew: tables that are made at import are made again."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def fresh(name: str) -> ModuleType:
    """Execute an imported module a second time, beside the first; nobody else sees the copy."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = copy  # dataclasses look their module up
    try:
        spec.loader.exec_module(copy)
    finally:
        if before is not None:
            sys.modules[name] = before
    return copy

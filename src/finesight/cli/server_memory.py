# SPDX-License-Identifier: Apache-2.0
"""Bounds the memory of a server that runs for weeks and gets prompts of many lengths."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_KERNELS = "64"
_ARENAS = 2
_M_ARENA_MAX = -8
"""Number of this option of `mallopt` in glibc."""


def bound_memory() -> None:
    """Bound what torch's library and the C library keep; to be called before torch is imported and threads start.

    torch's library for CPUs (oneDNN) keeps the kernels that it compiles for each shape, 1,024 by default, which are
    hundreds of megabytes. glibc gives threads up to eight heaps per processor, each of which keeps its largest size.
    Values that the environment has already are left. Other C libraries have no such option.
    """
    for name in _KERNEL_CACHES:
        os.environ.setdefault(name, _KERNELS)
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    if os.name != "posix":
        return
    with suppress(AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)

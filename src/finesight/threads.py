# SPDX-License-Identifier: Apache-2.0
"""Number and wait policy of torch's OpenMP threads, and the memory of the host.

OpenMP threads spin while they wait. On a machine with other load, a spinning thread can occupy the core that the other
threads need, and an answer takes 40 times as long. With the wait policy "passive" they sleep. OpenMP reads both
settings once, when torch loads it: they must be in the environment before the first `import torch`.

Apart from `cli`, only this module reads or writes the environment. It does not change what the user has set.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from math import ceil
from pathlib import Path

from finesight.errors import ConfigError

POLICY, COUNT = "OMP_WAIT_POLICY", "OMP_NUM_THREADS"

_LEAST_LIMIT = 64
"""Largest number of threads on a small machine; otherwise four per logical processor."""


def prepare(count: int | None = None) -> None:
    """Set the wait policy to passive and the number of threads, before torch is imported.

    Args:
        count: number of threads; None uses OMP_NUM_THREADS if set, else one per physical core.

    Raises:
        ConfigError: `count` is below 1, or far above the number of processors.
    """
    if count is not None:
        _check(count)
        os.environ[COUNT] = str(count)  # child processes inherit it
    if "torch" not in sys.modules:
        os.environ.setdefault(POLICY, "passive")
        os.environ.setdefault(COUNT, str(physical_cores()))


@cache
def warn_if_spinning() -> None:
    """Warn once if torch was loaded without a wait policy and has more than one thread."""
    torch = sys.modules.get("torch")
    if torch is None or POLICY in os.environ or torch.get_num_threads() == 1:
        return
    warnings.warn(
        f"torch was imported before finesight could set {POLICY}=passive: on a busy machine its threads may slow "
        f"answers down 40 times. Set {POLICY}=passive in the environment, or call finesight.load before importing "
        "torch, or torch.set_num_threads(1)",
        stacklevel=3,  # where `load` was called
    )


def physical_cores() -> int:
    """Physical cores that this process may use, limited by CPU affinity and the quota of a container.

    On systems other than Linux, the number of logical processors.
    """
    if sys.platform != "linux":
        return os.cpu_count() or 1
    cores = {_siblings(index) for index in os.sched_getaffinity(0)}
    return max(1, ceil(min([len(cores), *_quotas()])))


def _check(count: int) -> None:
    most = max(_LEAST_LIMIT, 4 * (os.cpu_count() or 1))
    if not 1 <= count <= most:
        shown = str(count) if abs(count) < 10**12 else "a number of more than 12 digits"
        raise ConfigError(
            f"the number of threads is {shown}; it must be from 1 to {most}",
            hint=f"leave it out for one thread per core, here {physical_cores()}",
        )


def _siblings(index: int) -> str:
    """Logical processors on the core of this one, in the notation of the system, as in "0,4"."""
    return _read(f"/sys/devices/system/cpu/cpu{index}/topology/thread_siblings_list") or str(index)


def _quotas() -> Iterator[float]:
    """Processor quota of each control group of this process, in processors; groups without a limit are left out."""
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        for path in _with_parents(group):
            if not controllers:  # version 2: "150000 100000", or "max 100000"
                quota, _, period = _read(f"/sys/fs/cgroup{path}/cpu.max").partition(" ")
            elif "cpu" in controllers.split(","):
                folder = f"/sys/fs/cgroup/cpu{path}"
                quota = _read(f"{folder}/cpu.cfs_quota_us")  # -1 without a limit
                period = _read(f"{folder}/cpu.cfs_period_us")
            else:
                break
            if quota.isdecimal() and period.isdecimal():
                yield int(quota) / int(period)


def _with_parents(group: str) -> Iterator[str]:
    """A control group and its parents, up to the root "", which in a container is the container's own group."""
    group = group.rstrip("/")
    while group:
        yield group
        group = group.rpartition("/")[0]
    yield ""


def _read(path: str) -> str:
    """Content of a system file, "" if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def memory_bytes() -> tuple[int, int]:
    """Total and available memory of the host, in bytes; 0 if unknown."""
    table = Path("/proc/meminfo")
    if not table.is_file():
        return 0, 0
    rows = dict(line.split(":", 1) for line in table.read_text(encoding="ascii").splitlines())
    total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, available

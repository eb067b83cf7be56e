# SPDX-License-Identifier: Apache-2.0
"""Read and encode draws on a Ray cluster, through Ray Data.

The draws are handed over in runs, each a streamed data set whose rows come back in order. The machines of the cluster
need the shards under the same paths. Packs are chosen and joined by the training process, which needs only the sizes of
the samples for it. At most `_WAITING` samples are in memory here beyond those of the window.
"""

from __future__ import annotations

import functools
import os
import pickle
import queue
import threading
from typing import Any

import torch

from finesight.data.mixture import Draw
from finesight.data.workers import Encoded, Encoder, packed_bytes, unpacked
from finesight.errors import ConfigError, DataError

_WAITING = 32
"""Results that wait in this process; more are held back in the cluster."""

_SECONDS_BETWEEN_CHECKS = 1.0
"""How often a thread that waits looks whether the other one has ended."""


class RayExecutor:
    """Encodes draws in the tasks of a Ray cluster; without one at hand, Ray starts one on this machine.

    Args:
        encoder: reads and encodes a draw.
        workers: tasks at the same time.

    Raises:
        ConfigError: Ray Data is not installed.
    """

    def __init__(self, encoder: Encoder, workers: int) -> None:
        try:
            import ray
            from ray.data import DataContext
        except ImportError as error:
            raise ConfigError(
                f'data.executor = "ray" needs Ray Data: {error}',
                hint='install it: pip install "finesight[ray]"',
            ) from error
        # Without an address Ray would also join the cluster named in a file of /tmp, which outlives a killed cluster.
        address = os.environ.get("RAY_ADDRESS", "local")  # noqa: TID251  # it is Ray's own variable
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        context = DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        self._workers = workers
        self._encoder = pickle.dumps(encoder)
        self._todo: queue.SimpleQueue[Draw] = queue.SimpleQueue()
        self._results: queue.Queue[tuple[int, Any]] = queue.Queue(_WAITING)
        self._has_ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def submit(self, draw: Draw) -> None:
        """Add a draw to those to encode."""
        self._todo.put(draw)

    def next(self) -> tuple[int, Encoded]:
        """Number and result of the first draw submitted and not returned yet.

        Raises:
            DataError: the cluster failed.
        """
        if not self._thread.ident:
            self._thread.start()
        while True:
            try:
                number, block = self._results.get(timeout=_SECONDS_BETWEEN_CHECKS)
            except queue.Empty:
                if self._failure is not None or not self._thread.is_alive():
                    raise DataError(
                        f"the Ray cluster stopped encoding: {self._failure}"
                    ) from self._failure
                continue
            return number, unpacked(torch.from_numpy(block.copy()))

    def close(self) -> None:
        """End the data set that runs."""
        self._has_ended.set()
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._has_ended.is_set():
                self._encode_all(self._submitted())
        except BaseException as error:  # noqa: BLE001  # reported by `next`, in the main thread
            self._failure = error

    def _submitted(self) -> list[Draw]:
        """All draws that were submitted since the last run."""
        try:
            draws = [self._todo.get(timeout=_SECONDS_BETWEEN_CHECKS)]
        except queue.Empty:
            return []
        while not self._todo.empty():
            draws.append(self._todo.get())
        return draws

    def _encode_all(self, draws: list[Draw]) -> None:
        import ray.data

        if not draws:
            return
        encode = functools.partial(_encode, encoder=self._encoder)
        rows = [{"number": one.number, "source": one.source, "index": one.index} for one in draws]
        blocks = min(len(rows), 4 * self._workers)
        found = ray.data.from_items(rows, override_num_blocks=blocks).map(
            encode, concurrency=self._workers
        )
        for row in found.iter_rows():
            while not self._has_ended.is_set():
                try:
                    self._results.put(
                        (row["number"], row["block"]), timeout=_SECONDS_BETWEEN_CHECKS
                    )
                    break
                except queue.Full:
                    continue
            if self._has_ended.is_set():
                return


def _encode(row: dict[str, Any], *, encoder: bytes) -> dict[str, Any]:
    """One draw, in a process of the cluster."""
    draw = Draw(row["number"], row["source"], row["index"])
    found = _opened(encoder)(draw)
    return {"number": draw.number, "block": packed_bytes(found).numpy()}


@functools.lru_cache(maxsize=1)
def _opened(encoder: bytes) -> Encoder:
    """The encoder, opened once in each process."""
    opened: Encoder = pickle.loads(encoder)
    return opened

# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints in a thread, while the training goes on with the next step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from finesight.train.checkpoint import (
    STATE,
    Parts,
    TrainState,
    flat,
    folder_of,
    remove_oldest,
    remove_unfinished,
    save_checkpoint,
    unwritable,
)
from finesight.train.parallel import Ranks


class Writer:
    """Writes the checkpoints of a run while it goes on, one at a time.

    Args:
        folder: folder of the run's checkpoints.
        keep: number of newest checkpoints to keep.
        ranks: the ranks of the run; all of them call the methods at the same steps.
        saved: called with the folder of each complete checkpoint, on the first rank.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        ranks: Ranks,
        saved: Callable[[Path], None] | None = None,
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._ranks = ranks
        self.saved = saved
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._running: Future[Path] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the last checkpoint could not be written; `wait` raises the reason."""
        running = self._running
        return running is not None and running.done() and running.exception() is not None

    def begin(self, state: TrainState, parts: Parts) -> None:
        """Copy a state to the host, and start to write it; waits until the one before is complete.

        Raises:
            DataError: the one before could not be written.
        """
        self.wait()
        if self._is_there(state):
            return
        copied = {
            part: {name: _to_host(value) for name, value in group.items()}
            for part, group in parts.items()
        }
        self._running = self._thread.submit(self._write, state, copied)

    def _is_there(self, state: TrainState) -> bool:
        """Whether several ranks have already saved this step, which they do not replace."""
        if self._ranks.mesh is None:
            return False
        return self._ranks.sums([float(folder_of(self._folder, state).is_dir())])[0] > 0

    def wait(self) -> Path | None:
        """Wait until the last checkpoint is complete, and return its folder; None if there is none.

        Raises:
            DataError: it could not be written; earlier checkpoints are kept.
        """
        running, self._running = self._running, None
        return None if running is None else running.result()

    def _write(self, state: TrainState, parts: Parts) -> Path:
        if self._ranks.mesh is None:
            final = save_checkpoint(self._folder, state, parts, keep=self._keep)
            if self.saved is not None:
                self.saved(final)
            return final
        from finesight.train.checkpoint_parts import write_parts

        final = folder_of(self._folder, state)

        def complete() -> None:
            remove_oldest(self._folder, self._keep)
            if self.saved is not None:
                self.saved(final)

        if self._ranks.is_first:
            remove_unfinished(self._folder)
        try:
            with self._ranks.watched():
                write_parts(
                    final, (STATE, asdict(state)), flat(parts), self._ranks.writers, complete
                )
        except OSError as error:
            raise unwritable(final, error) from error
        return final


def _to_host(tensor: Tensor) -> Tensor:
    """A copy of the values of this rank on the host, divided as before."""
    tensor = tensor.detach()
    return tensor.clone() if tensor.device.type == "cpu" else tensor.cpu()

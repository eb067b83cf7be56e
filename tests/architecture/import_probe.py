# SPDX-License-Identifier: Apache-2.0
"""Import each module alone, in a process of its own, and tell what that did.

Started by `test_import_effects`.

Standard input: JSON `{"preload": [...], "modules": [...], "heavy": [...]}`. Standard output: JSON,
module -> list of effects. The libraries in `preload` are imported once, then each module is
imported in a forked child: a fresh process for each costs milliseconds instead of seconds, and what
the libraries do at import is not blamed on the module.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

CODE_ENDINGS = (".py", ".pyc", ".so")
LOUD_EVENTS = frozenset(
    {"socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "os.remove"}
)


def snapshot() -> dict[str, object]:
    """Everything global that an import has no business changing."""
    state: dict[str, object] = {
        "environment": dict(os.environ),
        "sys.path": list(sys.path),
        "working directory": Path.cwd(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "warning filters": list(warnings.filters),
        "root logger": (list(logging.root.handlers), logging.root.level),
        "signal handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "random state": random.getstate(),
        "exception hook": sys.excepthook,
    }
    if "numpy" in sys.modules:
        import numpy as np

        state["numpy random state"] = repr(np.random.get_state())
    if "torch" in sys.modules:
        import torch

        state["torch random state"] = torch.get_rng_state().tolist()
        state["torch settings"] = (
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
        )
    return state


def listen(heard: list[str]) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook that notes files, sockets and processes."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in LOUD_EVENTS:
            heard.append(f"{event}{arguments!r}"[:200])
        elif event == "open" and not str(arguments[0]).endswith(CODE_ENDINGS):
            heard.append(f"opens {arguments[0]}")

    return hook


def effects_of(module: str, heavy: list[str]) -> list[str]:
    """What importing `module` did, in words; runs in the child."""
    before, heard = snapshot(), []
    sys.addaudithook(listen(heard))
    try:
        importlib.import_module(module)
    except BaseException:
        return [f"cannot be imported alone: {traceback.format_exc(limit=-3)}"]
    found = list(heard)
    after = snapshot()
    found += [f"changes the {name}" for name in before if after[name] != before[name]]
    found += [f"loads {name}" for name in heavy if name in sys.modules]
    return found


def probe(module: str, heavy: list[str]) -> list[str]:
    """`effects_of` in a forked child, with what it printed."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as report:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            found = effects_of(module, heavy)
            sys.stdout.flush()
            sys.stderr.flush()
            report.write(json.dumps(found).encode())
            report.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        report.seek(0)
        words = printed.read().decode(errors="replace")
        answer = report.read()
        found = json.loads(answer) if status == 0 and answer else [f"ends the process: {status}"]
        return found + ([f"prints {words[:300]!r}"] if words else [])


def main() -> None:
    sys.dont_write_bytecode = True
    order = json.load(sys.stdin)
    for name in order["preload"]:
        importlib.import_module(name)
    if (
        "pydantic" in sys.modules
    ):  # it looks for plug-ins on disk when the first model class is made
        sys.modules["pydantic"].create_model("Warm", value=(int, 0))
    json.dump({module: probe(module, order["heavy"]) for module in order["modules"]}, sys.stdout)


if __name__ == "__main__":
    main()

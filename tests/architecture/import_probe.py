# SPDX-License-Identifier: Apache-2.0
"""Import modules and tell what that did.

Started by `test_import_effects`.

Standard input: JSON `{"preload": [...], "groups": [[...], ...], "heavy": [...]}`. Standard output: JSON, module -> list
of effects. The libraries in `preload` are imported once, so that what they do at import is not blamed on a module. Then
each group is imported in a forked child, module by module.
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


def effects_of(module: str, heavy: list[str], heard: list[str]) -> list[str]:
    """What importing `module` did, in words; runs in the child."""
    heard.clear()
    before, known, start = snapshot(), set(sys.modules), os.fstat(1).st_size
    try:
        importlib.import_module(module)
    except BaseException:
        return [f"cannot be imported: {traceback.format_exc(limit=-3)}"]
    found = list(heard)
    after = snapshot()
    found += [f"changes the {name}" for name in before if after[name] != before[name]]
    found += [f"loads {name}" for name in heavy if name in sys.modules and name not in known]
    sys.stdout.flush()
    sys.stderr.flush()
    if words := os.pread(1, 300, start):
        found.append(f"prints {words.decode(errors='replace')!r}")
    return found


def probe(modules: list[str], heavy: list[str]) -> dict[str, list[str]]:
    """Effects of modules that are imported one after the other in a forked child."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            heard: list[str] = []
            sys.addaudithook(listen(heard))
            for module in modules:
                json.dump([module, effects_of(module, heavy, heard)], report)
                report.write("\n")
                report.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        report.seek(0)
        effects = dict(map(json.loads, report))
    missing = [module for module in modules if module not in effects]
    return effects | {module: [f"ends the process: {status}"] for module in missing[:1]}


def main() -> None:
    sys.dont_write_bytecode = True
    order = json.load(sys.stdin)
    for name in order["preload"]:
        importlib.import_module(name)
    if (
        "pydantic" in sys.modules
    ):  # it looks for plug-ins on disk when the first model class is made
        sys.modules["pydantic"].create_model("Warm", value=(int, 0))
    effects: dict[str, list[str]] = {}
    for modules in order["groups"]:
        effects |= probe(modules, order["heavy"])
    json.dump(effects, sys.stdout)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Let torchvision be imported where its compiled part does not fit the installed torch.

The torchvision on PyPI is built for torch with CUDA. Beside a CPU-only torch its compiled part does not load, and its
import fails with "operator torchvision::nms does not exist". transformers imports torchvision wherever it is installed,
so its Qwen2.5-VL fails too, although it needs only what is written in Python. Two operators, declared but not defined,
let the import pass.

`make setup-test` copies this file into the environment, beside a path file that calls `declare_before_import` at every
start of Python. So it imports nothing of finesight, and torch only once torchvision is imported.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # what `typing` has under this name, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import ModuleType

_kept: list[object] = []
"""A declaration lasts as long as its library object."""


class _OperatorsFirst(PathFinder):
    """Changes one thing: before torchvision is executed, its operators are declared."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of torchvision; nothing for any other name."""
        if fullname != "torchvision":
            return None
        spec = super().find_spec(fullname, path, target)
        return spec if spec is None or spec.loader is None else _declaring(spec)


def declare_before_import() -> None:
    """Declare the operators as soon as anything imports torchvision, and not before."""
    sys.meta_path.insert(0, _OperatorsFirst)


def declare_operators(folder: Path) -> None:
    """Declare the operators of a torchvision, unless its compiled part defines them.

    Args:
        folder: the package torchvision; it must not be imported yet.
    """
    import torch

    if "torchvision::nms" in torch._C._dispatch_get_all_op_names() or _is_loaded(folder):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


def _is_loaded(folder: Path) -> bool:
    """Load the compiled part; False if there is none, or one that was built for another torch."""
    import torch

    for compiled in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(str(compiled))
        except OSError:
            return False
        return True
    return False


def _declaring(spec: ModuleSpec) -> ModuleSpec:
    from pathlib import Path

    loader, folder = spec.loader, Path(spec.origin or "").parent
    assert loader is not None
    execute = loader.exec_module

    def declare_and_execute(module: ModuleType) -> None:
        declare_operators(folder)
        execute(module)

    loader.exec_module = declare_and_execute  # type: ignore[method-assign]  # the loader keeps all else
    return spec

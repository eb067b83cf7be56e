# SPDX-License-Identifier: Apache-2.0
"""Make torchvision importable if its compiled extension does not match the installed torch.

The torchvision on PyPI is built for torch with CUDA. With a CPU-only torch its extension does not load, and the import
fails with "operator torchvision::nms does not exist". transformers imports torchvision if it is installed, so its
Qwen2.5-VL fails too, although it needs only torchvision's Python code. Declaring two operators without an
implementation lets the import pass.

`make setup-test` copies this file into the environment, with a path file (.pth) that calls `declare_before_import` at
every start of Python. So it imports nothing of finesight, and torch only when torchvision is imported.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # as `typing.TYPE_CHECKING`, without importing `typing`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import ModuleType

_kept: list[object] = []
"""Keeps the library objects alive: a declaration lasts as long as its object."""


class _OperatorsFirst(PathFinder):
    """Import finder that declares the operators before torchvision is executed."""

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
    """Declare the operators of a torchvision, unless its compiled extension defines them.

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
    """Load the compiled extension; False if there is none, or it was built for another torch."""
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

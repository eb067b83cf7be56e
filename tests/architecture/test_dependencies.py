# SPDX-License-Identifier: Apache-2.0
"""What the package imports, what pyproject.toml asks for and what constraints.txt pins are the same things."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from tests.architecture.source import PACKAGE, ROOT, modules

DISTRIBUTION = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "fontTools": "fonttools",
    "google": "protobuf",
    "google_crc32c": "google-crc32c",
    "resvg_py": "resvg-py",
    "stdnum": "python-stdnum",
}
"""Import name -> distribution, where they differ."""

IMPORTED_BY = {"websockets": ("server/run.py", 'ws="websockets-sansio"')}
"""Dependencies that we do not import ourselves -> where we ask another one, here uvicorn, to use them."""

OF_LAYER = {"data": "data", "kernels": "gpu"}
"""Layer -> the optional group it may import at the top of a module: building data is a job of its own, and kernels in
Triton are imported when a GPU needs them."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


RUNTIME = names(PROJECT["dependencies"])
GROUPS = {name: names(lines) for name, lines in PROJECT["optional-dependencies"].items()}
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def third_party(found):
    top = found.module.split(".")[0]
    if found.typing_only or top in (PACKAGE, "") or top in sys.stdlib_module_names:
        return None
    return normal(DISTRIBUTION.get(top, top))


def undeclared(modules, runtime, groups):
    """Imports at the top need a run-time dependency, lazy ones at least an optional one."""
    optional = set().union(*groups.values())
    for module in modules:
        for found in module.imports:
            name = third_party(found)
            own = groups.get(OF_LAYER.get(module.layer, ""), set())
            if name is None or name in runtime | own:
                continue
            if not found.lazy:
                yield f"{module.path}:{found.line}: {name} is no run-time dependency"
            elif name not in optional:
                yield f"{module.path}:{found.line}: {name} is in no group of pyproject.toml"


def test_every_import_is_declared():
    assert list(undeclared(modules(), RUNTIME, GROUPS)) == []


def test_every_run_time_dependency_is_imported():
    used = {third_party(found) for module in modules() for found in module.imports}
    assert sorted(RUNTIME - used - set(IMPORTED_BY)) == []


def test_what_another_dependency_imports_is_asked_of_it_by_name():
    for name, (path, words) in IMPORTED_BY.items():
        assert name in RUNTIME
        assert words in (ROOT / "src" / PACKAGE / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("group", ["dependencies", *GROUPS])
def test_every_dependency_is_pinned(group):
    wanted = RUNTIME if group == "dependencies" else GROUPS[group]
    pinned = {normal(name) for name in PINS}
    assert sorted(wanted - pinned - {"modelscope", "torchao"}) == []  # the set-up installs neither


def test_pins_satisfy_what_is_asked_for():
    from packaging.requirements import Requirement

    groups = (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    lines = [line for group in groups for line in group]
    pinned = {normal(name): version for name, version in PINS.items()}
    refused = [
        f"{requirement} against {pinned[normal(requirement.name)]}"
        for requirement in map(Requirement, lines)
        if normal(requirement.name) in pinned
        and pinned[normal(requirement.name)] not in requirement.specifier
    ]
    assert refused == []


def test_torch_is_pinned_for_every_build():
    assert re.fullmatch(r"\d+\.\d+\.\d+", PINS["torch"])


def test_an_undeclared_import_is_seen():
    from tests.architecture.source import Module

    sample = Module.parse("finesight.text.a", "import nowhere\ndef f():\n    import elsewhere")
    assert len(list(undeclared([sample], RUNTIME, GROUPS))) == 2
    lazy = Module.parse("finesight.data.a", "def f():\n    import wordfreq")
    assert list(undeclared([lazy], RUNTIME, {"data": {"wordfreq"}})) == []

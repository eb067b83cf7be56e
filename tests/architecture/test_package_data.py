# SPDX-License-Identifier: Apache-2.0
"""Every file that the package reads at run time is in its wheel."""

from __future__ import annotations

import tomllib

from tests.architecture.source import PACKAGE, ROOT


def test_package_data_names_every_file_that_is_no_module():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = listed["tool"]["setuptools"]["package-data"][PACKAGE]
    folder = ROOT / "src" / PACKAGE
    found = {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and ".egg-info" not in str(path)
    }
    named = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    assert found
    assert sorted(str(path.relative_to(folder)) for path in found - named) == []

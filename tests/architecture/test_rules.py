# SPDX-License-Identifier: Apache-2.0
"""Rules over the whole tree; each is also shown a sample that breaks it."""

from __future__ import annotations

import pytest

from tests.architecture import rules
from tests.architecture.source import ROOT, Module, modules, programs, text_files


@pytest.mark.parametrize("rule", rules.IN_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule):
    assert [line for module in modules() for line in rule(module)] == []


@pytest.mark.parametrize("rule", rules.EVERYWHERE, ids=lambda rule: rule.__name__)
def test_scripts_and_examples_keep(rule):
    assert [line for module in programs() for line in rule(module)] == []


def test_every_source_file_names_its_licence():
    missing = []
    for path in text_files(".py", ".sh", "Makefile", "run"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and rules.SPDX not in lines[:2]:
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_no_file_names_a_place_of_one_machine():
    endings = (".py", ".sh", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", "Makefile", "run")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in text_files(*endings)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if rules.MACHINE_PATH.search(line)
    ]
    assert found == []


def test_exceptions_name_modules_that_exist():
    known = {module.name for module in modules()}
    tables = (rules.MAY_PROBE_ATTRIBUTES, rules.MAY_TAKE_KEYWORDS)
    assert {name.split(":")[0] for table in tables for name in table} <= known


BAD = [
    (rules.licence_line, '"""A module."""'),
    (rules.licence_line, '#!/usr/bin/env python\n"""A module."""'),
    (rules.unfinished, "x = 1  # TO" + "DO"),
    (rules.unfinished, "def f():\n    raise NotImplemented" + "Error"),
    (rules.silenced, "x = 1  # type: ignore"),
    (rules.silenced, "x = 1  # type: ignore[arg-type]"),
    (rules.silenced, "x = 1  # no" + "qa"),
    (rules.silenced, "x = 1  # no" + "qa: E501"),
    (rules.probing, "hasattr(a, 'b')"),
    (rules.probing, "getattr(a, 'b', None)"),
    (rules.loose_keywords, "def f(a, **options): ..."),
    (rules.loose_keywords, "class A:\n    def f(self, **options): ..."),
]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_a_break_is_seen(rule, text):
    assert len(list(rule(Module.parse("finesight.sample.a", text)))) == 1


FINE = [
    (rules.licence_line, ""),
    (rules.licence_line, f"#!/usr/bin/env python\n{rules.SPDX}"),
    (rules.silenced, "x = f()  # type: ignore[arg-type]  # the stub is wrong"),
    (rules.silenced, "x = f()  # noqa: E501  # an address"),
    (rules.probing, "getattr(a, name)"),
    (rules.loose_keywords, "def _f(**options): ..."),
    (rules.loose_keywords, "def f(**options: Unpack[Options]): ..."),
]


@pytest.mark.parametrize(("rule", "text"), FINE)
def test_what_is_right_passes(rule, text):
    assert list(rule(Module.parse("finesight.sample.a", text))) == []


@pytest.mark.parametrize(
    "line", ["see /wo" + "rk/main", "'/ro" + "ot/x'", "--find /opt/wh" + "eels"]
)
def test_a_machine_path_is_seen(line):
    assert rules.MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["https://a.b/work/x", "docs/work.md", "net/work", "~/work"])
def test_other_paths_pass(line):
    assert not rules.MACHINE_PATH.search(line)

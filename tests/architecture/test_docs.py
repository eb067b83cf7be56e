# SPDX-License-Identifier: Apache-2.0
"""The docs say what is there: quotes are live, links lead somewhere, commands and words exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from functools import cache

import pytest
import typer
from PIL import Image, ImageChops, ImageStat

from finesight.cli.app import build
from tests.architecture import pages
from tests.architecture.source import ROOT, modules

PAGES = pages.all_pages()
SHELLS = ("bash", "sh", "console")


def name_of(page):
    return str(page.relative_to(ROOT))


def run_script(name, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("script", ["quote_code.py", "make_reference.py"])
def test_what_is_copied_from_the_code_is_up_to_date(script):
    done = run_script(script)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pictures_of_the_explanations_show_what_the_code_computes(tmp_path):
    done = run_script("draw_explanations.py", str(tmp_path))
    assert done.returncode == 0, done.stderr
    drawn = sorted(tmp_path.glob("*.png"))
    assert [path.stem for path in drawn] == sorted(
        path.stem for path in (ROOT / "docs" / "explanation").glob("*.md")
    )
    for path in drawn:
        with Image.open(path) as new, Image.open(ROOT / "docs" / "images" / path.name) as kept:
            assert new.size == kept.size, path.name
            difference = ImageChops.difference(new.convert("L"), kept.convert("L"))
            assert ImageStat.Stat(difference).mean[0] < 0.5, f"{path.name}: run the script again"


def test_a_stale_quote_is_seen_and_renewed(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.py").write_text('def f(x):\n    """Twice."""\n    return 2 * x\n')
    page = tmp_path / "docs" / "page.md"
    page.write_text("<!-- code: a.py f body -->\n```python\nold\n```\n<!-- end -->\n")
    assert run_script("quote_code.py", "--root", str(tmp_path)).returncode == 1
    assert run_script("quote_code.py", "--root", str(tmp_path), "--write").returncode == 0
    assert "```python\ndef f(x):\n    return 2 * x\n```" in page.read_text()
    assert run_script("quote_code.py", "--root", str(tmp_path)).returncode == 0


def test_a_quote_of_nothing_is_seen(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "docs" / "page.md").write_text("<!-- code: a.py y -->\n<!-- end -->\n")
    done = run_script("quote_code.py", "--root", str(tmp_path), "--write")
    assert done.returncode == 1
    assert "quotes y of a.py, which is not there" in done.stderr


def test_a_quote_without_an_end_is_an_error(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "docs" / "page.md").write_text("<!-- code: a.py x -->\n")
    done = run_script("quote_code.py", "--root", str(tmp_path))
    assert done.returncode == 1
    assert "docs/page.md: 1 markers" in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    assert list(pages.broken_links(page, page.read_text(encoding="utf-8"))) == []


def test_a_broken_link_is_seen(tmp_path):
    page = tmp_path / "a.md"
    text = "# One two\n[a](b.md) [c](#one-two) [d](#three) [e](https://x.y) `[f](g.md)`"
    assert list(pages.broken_links(page, text)) == [
        "a.md: b.md does not exist",
        "a.md: #three: no such heading",
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_that_is_not_run_says_why(page):
    reasons = [block.reason for block in pages.blocks(page.read_text(encoding="utf-8"))]
    assert "" not in reasons


def shell_lines():
    for page in PAGES:
        for block in pages.blocks(page.read_text(encoding="utf-8")):
            if block.language in SHELLS and block.when != "not run":
                joined = block.code.replace("\\\n", " ")
                for line in joined.splitlines():
                    yield name_of(page), line.removeprefix("$ ").split("  #")[0].strip()


def test_make_targets_in_the_docs_exist():
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [
        (page, target)
        for page, line in shell_lines()
        if (match := re.match(r"(?:[A-Z_]+=\S+ )*make (.+)", line))
        for target in re.findall(r"(?<!\S)[a-z-]+(?!\S)", match[1])
    ]
    assert named
    assert [entry for entry in named if entry[1] not in known] == []


def test_scripts_in_the_docs_exist():
    named = [
        (page, path)
        for page, line in shell_lines()
        for path in re.findall(r"(?<!\S)(?:scripts|examples|recipes|benchmarks)/[\w./-]+", line)
    ]
    assert [entry for entry in named if not (ROOT / entry[1]).exists()] == []


@cache
def program():
    return typer.main.get_command(build())


def unknown_options(line):
    """Options that none of the named commands has; the command itself if there is none."""
    words = shlex.split(line)
    if words[1] == "train" and words[2:] and words[2] not in ("sft", "recipe"):
        words.insert(2, "recipe")  # the command of the group that is meant if none is named
    command, known = program(), set()
    if words[1] not in command.commands and not words[1].startswith("--"):
        return [words[1]]
    for word in words[1:]:
        known |= {name for parameter in command.params for name in parameter.opts} | {"--help"}
        command = getattr(command, "commands", {}).get(word, command)
    known |= {name for parameter in command.params for name in parameter.opts}
    return [word for word in words if word.startswith("--") and word not in known]


def test_commands_and_options_in_the_docs_exist():
    lines = [(page, line) for page, line in shell_lines() if line.startswith("finesight ")]
    assert len(lines) > 5
    assert [(page, line) for page, line in lines if unknown_options(line)] == []


def test_an_unknown_command_or_option_is_seen():
    assert unknown_options('finesight ask "Q" --image a.png --colour red') == ["--colour"]
    assert unknown_options("finesight dream") == ["dream"]


def test_both_readmes_show_the_same_commands():
    english, chinese = (
        [block.code for block in pages.blocks((ROOT / name).read_text(encoding="utf-8"))]
        for name in ("README.md", "README.zh.md")
    )
    assert english == chinese


def test_test_files_named_in_tables_exist():
    named = {
        path
        for page in PAGES
        for path in re.findall(r"`pytest (tests/[\w./-]+)", page.read_text(encoding="utf-8"))
    }
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def glossary_names():
    text = (ROOT / "docs/reference/glossary.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)`", text.split("<!-- not in the code -->")[0], re.MULTILINE)


def identifiers():
    found = set()
    for module in modules():
        found.update(module.name.split("."))
        for node in ast.walk(module.tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    found.add(node.name)
                case ast.Name():
                    found.add(node.id)
                case ast.Attribute():
                    found.add(node.attr)
                case ast.arg():
                    found.add(node.arg)
                case ast.keyword():
                    found.add(node.arg)
    return found


def test_words_of_the_glossary_exist_in_the_code():
    names, known = glossary_names(), identifiers()
    assert len(names) > 40
    assert [name for name in names if not set(name.split(".")) <= known] == []


def test_no_word_of_the_glossary_is_explained_twice():
    names = glossary_names()
    assert sorted(names) == sorted(set(names))


def test_every_page_of_the_docs_is_linked_from_another():
    linked = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in pages.LINK.finditer(text):
            target = match["target"].partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                linked.add((page.parent / target).resolve())
    orphans = [name_of(page) for page in PAGES if "docs" in page.parts and page not in linked]
    assert orphans == []


def test_the_tutorial_has_fourteen_steps():
    steps = sorted(path.name for path in (ROOT / "docs/tutorial").glob("[0-9]*.md"))
    assert [name[:2] for name in steps] == [f"{number:02}" for number in range(1, 15)]

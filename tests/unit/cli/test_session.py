# SPDX-License-Identifier: Apache-2.0
"""What is written of an answer, and what is said beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finesight.cli import session
from finesight.cli.session import Outputs
from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply

FOUND = '[{"bbox_2d": [50, 50, 100, 100], "label": "cup"}]'


def answered(text, source="a.png"):
    return read_answer(reply(text, picture_record(source, original=(504, 252))))


def places(*, is_many):
    return Outputs(False, None, None, lists_places=True, is_many=is_many)


@pytest.mark.parametrize(
    ("is_many", "line"),
    [(False, "50\t50\t100\t100\tcup\n"), (True, "a.png\t50\t50\t100\t100\tcup\n")],
)
def test_lines_begin_with_the_picture_where_there_are_several(capsys, is_many, line):
    session._write(answered(FOUND), places(is_many=is_many))
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("text", "is_many", "said"),
    [
        ("none", False, "not found; the model answered: none\n"),
        ("none", True, "a.png: not found; the model answered: none\n"),
        ("There is\nno cup.", False, "not found; the model answered: There is no cup.\n"),
        ("", False, "not found; the model answered: (nothing)\n"),
        (FOUND, False, ""),
    ],
)
def test_nothing_found_is_said_with_the_words_of_the_model(capsys, text, is_many, said):
    session._write(answered(text), places(is_many=is_many))
    session._print_if_not_found(answered(text), named=is_many)
    streams = capsys.readouterr()
    assert streams.err == said
    assert bool(streams.out) is (text == FOUND)


def test_long_words_are_cut(capsys):
    session._print_if_not_found(answered("no " * 500), named=False)
    said = capsys.readouterr().err
    assert said.endswith("...\n")
    assert len(said) < 350


def test_a_model_says_what_it_was_trained_for(tmp_path, capsys):
    session._print_model("other", tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / "trained_for.txt").write_text("cups,\nand nothing else\n")
    session._print_model("other", tmp_path)
    assert capsys.readouterr().err == "other was trained for cups, and nothing else\n"


def test_notes_of_many_pages_do_not_fill_the_screen(capsys):
    from dataclasses import replace

    record = replace(picture_record("p.pdf"), notes=("blurred",))
    session._print_notes([replace(record, page=page) for page in range(20)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: p.pdf page 1: blurred"
    assert lines[5:] == ["note: 15 more media have notes; --json lists them all"]


def test_a_label_of_several_lines_is_one_line():
    found = answered('[{"bbox_2d": [50, 50, 100, 100], "label": "two\\nlines\\tand more"}]')
    assert session.place_lines(found) == ["50\t50\t100\t100\ttwo lines and more"]


def test_a_page_of_a_picture_file_is_named(capsys):
    answer = answered(FOUND, "scan.tif")
    paged = replace(answer, reply=replace(answer.reply, media=(replace(answer.media[0], page=1),)))
    session._write(paged, places(is_many=True))
    assert capsys.readouterr().out.startswith("scan.tif page 2\t50")

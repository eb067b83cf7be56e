# SPDX-License-Identifier: Apache-2.0
"""The command line as a user calls it, in this process where that is enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, ImageDraw

from finesight.cli.main import main
from finesight.data.record import Record
from finesight.data.shards import write_shard


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def finesight(capsys, monkeypatch, tmp_path):
    """`finesight("ask", "Q", ...)`: run a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        streams = capsys.readouterr()
        return Outcome(code, streams.out, streams.err)

    return run


@pytest.fixture(scope="session")
def pdf_file(tmp_path_factory, picture):
    """A PDF of three pages."""
    path = tmp_path_factory.mktemp("pdfs") / "three.pdf"
    pages = [picture.rotate(90 * turn, expand=True) for turn in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.fixture
def heldout(tmp_path):
    """A held-out data set of one word, drawn here."""
    picture = Image.new("RGB", (84, 28), "white")
    ImageDraw.Draw(picture).text((8, 8), "cat", fill="black")
    record = Record.of_picture(
        id="words-0",
        image=np.array(picture),
        turns=(("Read all the text in the image.", "cat"),),
        meta={"split": "heldout", "generator": "test", "seed": 0, "language": "en"},
    )
    write_shard(tmp_path / "heldout" / "a.tar", [record])
    return tmp_path / "heldout"

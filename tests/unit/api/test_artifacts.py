# SPDX-License-Identifier: Apache-2.0
"""Overlays of several answers beside each other, whatever their pictures are called."""

from __future__ import annotations

import shutil

import pytest

from finesight.api.artifacts import Artifacts, save_report
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply


def artifacts(*sources):
    """Nothing was found in these pictures of 112 x 84."""
    parts = [ImagePart(source=source) for source in sources]
    conversation = Conversation((Message("user", (*parts, TextPart("What?"))),))
    records = [
        picture_record(str(source), original=(112, 84), resized=(112, 84)) for source in sources
    ]
    return Artifacts(conversation, read_answer(reply("none", *records)))


def copies(folder, picture_file, *names):
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        shutil.copy(picture_file, path)
    return paths


def test_no_two_files_are_alike(tmp_path, picture_file):
    sources = copies(tmp_path, picture_file, "a/x.png", "b/x.png", "a/x-2.png", "c/x.png")
    first = artifacts(*sources[:3]).save_overlays(tmp_path / "out")
    more = artifacts(sources[3]).save_overlays(tmp_path / "out", taken=first)
    names = [path.name for path in (*first, *more)]
    assert names[:2] == ["x.answer.png", "x-2.answer.png"]
    assert len({*names}) == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["图" * 80, "a" * 250])
def test_names_as_long_as_file_systems_take(tmp_path, picture_file, name):
    (source,) = copies(tmp_path, picture_file, f"{name}.png")
    (path,) = artifacts(source).save_overlays(tmp_path / "out")
    assert path.exists()
    assert path.name[:20] == name[:20]
    report = tmp_path / f"{name}.html"
    save_report(report, [artifacts(source)])
    assert report.stat().st_size > 1000
    assert not [*tmp_path.rglob("*.part")]

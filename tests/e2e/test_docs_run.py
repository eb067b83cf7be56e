# SPDX-License-Identifier: Apache-2.0
"""Every block of Python in the docs is run, page by page, in a folder with a picture, a video and a PDF.

Until the package carries trained weights, "tiny" is a model of the same shape with random ones: the
pages show how to call things, not what a certain model answers.
"""

from __future__ import annotations

import shutil

import pytest

from tests.architecture import pages
from tests.architecture.source import ROOT

RUN = [
    page
    for page in pages.all_pages()
    if any(
        block.language == "python" and block.reason is None
        for block in pages.blocks(page.read_text(encoding="utf-8"))
    )
]


@pytest.fixture
def workspace(tmp_path, monkeypatch, request):
    picture, video_file = (request.getfixturevalue(name) for name in ("picture", "video_file"))
    picture.save(tmp_path / "photo.png")
    picture.save(tmp_path / "page.png")
    picture.save(tmp_path / "paper.pdf", save_all=True, append_images=[picture])
    shutil.copy(video_file, tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def embedded_model(monkeypatch, request, page, tmp_path):
    if "finesight.load(" not in page.read_text(encoding="utf-8"):
        return
    from finesight.api import checkpoints

    if not any((checkpoints.ASSETS / checkpoints.EMBEDDED).glob("*.safetensors")):
        folder = request.getfixturevalue("tiny_model_folder")
        assets = tmp_path / "assets"
        assets.mkdir()
        (assets / checkpoints.EMBEDDED).symlink_to(folder)
        monkeypatch.setattr(checkpoints, "ASSETS", assets)


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.usefixtures("workspace", "embedded_model")
def test_blocks_of_a_page_run_in_order(page):
    names = {"__name__": "__docs__"}
    for block in pages.blocks(page.read_text(encoding="utf-8")):
        if block.language == "python" and block.reason is None:
            # Line numbers of a failure are those of the page.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            exec(code, names)

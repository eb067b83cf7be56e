# SPDX-License-Identifier: Apache-2.0
"""Small video files, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from finesight.config.processor import ProcessorConfig
from tests.support.clips import numbered, write_clip

X264 = {"preset": "medium", "g": "20", "bf": "3"}


@pytest.fixture(scope="session")
def config() -> ProcessorConfig:
    return ProcessorConfig()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(folder) -> Path:
    """Two seconds of H.264 with B-frames at 30 frames per second: 60 numbered frames."""
    return write_clip(folder / "plain.mp4", numbered(60), options=X264)

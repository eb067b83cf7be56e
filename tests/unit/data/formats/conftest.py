# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.training_files import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with the pictures `red.png` (100 x 60) and `blue.jpg` (300 x 200)."""
    made = Folder(tmp_path / "data")
    made.picture("red.png")
    made.picture("blue.jpg", (300, 200))
    return made

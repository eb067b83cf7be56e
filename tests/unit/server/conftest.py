# SPDX-License-Identifier: Apache-2.0
"""An application with the tiny model."""

from __future__ import annotations

import pytest

from tests.support.serving import tiny_served


@pytest.fixture(scope="session")
def served():
    """The tiny model, loaded."""
    found = tiny_served()
    yield found
    found.engine.close()

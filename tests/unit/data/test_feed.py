# SPDX-License-Identifier: Apache-2.0
"""The window of a lane."""

from types import SimpleNamespace

import pytest

from finesight.data.feed import Feed, Packing
from finesight.data.packing import Limits, Load


class Counted(Limits):
    """Counts how often the size of a sample is looked at."""

    def share(self, load):
        LOOKS.append(load)
        return super().share(load)


LOOKS: list[Load] = []


@pytest.mark.parametrize("window", [2, 4])
def test_the_work_for_a_window_grows_with_its_samples_not_with_their_square(window):
    """Thousands of short texts fit into the window of a large pack."""
    limits, number = Counted(1024, 4096), 400
    position = SimpleNamespace(held=[list(range(number))], is_over=False)
    feed = Feed(
        Packing(limits, window, 0.0),
        position,
        None,
        lanes=[0],
        exchange=lambda value: [value],
        num_skipped=0,
    )
    feed._encoded = {one: (Load(one, 16, 0), "r", None) for one in range(number)}
    LOOKS.clear()
    message, error = feed._message(0)
    assert (len(message.window), message.is_ready, error) == (64 * window, True, None)
    assert len(LOOKS) <= len(message.window)

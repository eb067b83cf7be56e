# SPDX-License-Identifier: Apache-2.0
"""The head inside the decoder: what it is told, and that rotary distances alone are enough to learn it."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from finesight.data.dense import DenseTargets
from finesight.data.look_targets import LookTargets
from finesight.errors import ConfigError
from finesight.train.dense import PlaceHead
from finesight.train.recipe import LossSection


def _targets(objects: list[int]) -> DenseTargets:
    """Two by two cells; a thing over the lower right one, reaching one cell to the left."""
    return DenseTargets(
        characters=torch.full((4, 6), -100),
        objects=torch.tensor(objects),
        boxes=torch.tensor([[0.0] * 4, [0.0] * 4, [0.0] * 4, [1.5, 0.5, 0.5, 0.5]]),
        places=torch.tensor([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]),
    )


def _head_that_says(places: list[float], edges: list[float]) -> PlaceHead:
    head = PlaceHead(8)
    for linear, values in ((head.places, places), (head.edges, edges)):
        torch.nn.init.zeros_(linear.weight)
        linear.bias.data = torch.tensor(values) / 8  # the head counts in eights of cells
    return head


def test_errors_are_in_cells_from_the_top_left_of_the_picture() -> None:
    head = _head_that_says([1.0, 1.0], [0.0, 1.0, 2.0, 2.0])
    results = head(torch.randn(4, 8), _targets([0, 0, 0, 3]))
    assert results["place_error"].item() == pytest.approx(0.5)
    assert results["edge_error"].item() == pytest.approx(0.0)  # left 0, top 1, right 2, bottom 2


def test_without_objects_only_places_count() -> None:
    head = _head_that_says([1.0, 1.0], [9.0] * 4)
    for nothing in ([0, 0, 0, 0], [-100] * 4):
        results = head(torch.randn(4, 8), _targets(nothing))
        assert "edge_error" not in results
        assert results["places"].item() == pytest.approx((0.5 / 8) - 0.025, abs=1e-6)


def test_rows_and_columns_are_classes_as_far_as_they_go() -> None:
    head = _head_that_says([1.0, 1.0], [0.0] * 4)
    torch.nn.init.zeros_(head.cells.weight)
    column, row = torch.zeros(2, 48)
    column[1] = row[0] = 20.0
    head.cells.bias.data = torch.cat([column, row])
    targets = _targets([0, 0, 0, 0])
    results = head(torch.randn(4, 8), targets)
    assert results["cell_acc"].item() == pytest.approx(0.5)
    assert results["cells"].item() == pytest.approx(10.0, rel=1e-4)
    places = torch.tensor([[1.5, 99.5], [1.5, 0.5], [1.5, 48.5], [48.5, 0.5]])
    results = head(torch.randn(4, 8), replace(targets, places=places))
    assert results["cell_acc"].item() == 1.0
    assert "cells" not in head(torch.randn(4, 8), replace(targets, places=places + 48))


def test_tokens_of_an_answer_know_the_edges_of_what_they_speak_of() -> None:
    head = PlaceHead(8)
    torch.nn.init.zeros_(head.spoken.weight)
    head.spoken.bias.data = torch.tensor([1.0, 1.0, 2.0, 4.0]) / 8
    boxes = torch.tensor([[[1.0, 1.0, 2.0, 2.0], [torch.nan] * 4]])
    looks = LookTargets(
        rows=torch.tensor([[1, 2, 0]]),
        which=torch.tensor([[0, 1, -1]]),
        wanted=torch.ones(1, 2, 4),
        boxes=boxes,
        starts=torch.tensor([0]),
    )
    results = head.of_answers(torch.randn(4, 8), looks)
    assert results["spoken_error"].item() == pytest.approx(0.5)  # only the last edge is off, by 2
    assert results["spoken"].item() == pytest.approx((2 / 8 - 0.025) / 4)
    assert head.of_answers(torch.randn(4, 8), replace(looks, boxes=boxes * torch.nan)) == {}


@pytest.mark.parametrize("name", ["places", "names", "looks"])
def test_what_teaches_the_decoder_needs_a_decoder(name: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=rf"loss\.{name} is 1\.0"):
        LossSection(tokens=0.0, **{name: 1.0})
    assert getattr(LossSection(tokens=1.0, **{name: 1.0}), name) == 1.0

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from finesight.data.dense import (
    BLANK,
    CHAR_SLOTS,
    OTHER,
    DenseTargets,
    DenseVocabulary,
    cell_owners,
    dense_targets,
)
from finesight.data.record import Glyph, SceneObject, Truth
from finesight.geometry import Resize, Size

VOCABULARY = DenseVocabulary.build("abc", ["cat", "dog"])


def _targets(truth: Truth, size: tuple[int, int], rows: int, columns: int) -> DenseTargets:
    """Of a picture of `size` (width, height) that the model sees as `rows` x `columns` cells."""
    resize = Resize(Size(*size), Size(28 * columns, 28 * rows))
    return dense_targets(truth, VOCABULARY, resize, rows=rows, columns=columns)


def _cells(targets: DenseTargets) -> list[list[int]]:
    """Target classes of each cell whose characters are known."""
    found: list[list[int]] = [[] for _ in targets.text_cells]
    pairs = zip(targets.slots.tolist(), targets.characters.tolist(), strict=True)
    for slot, char in pairs:
        assert slot % CHAR_SLOTS == len(found[slot // CHAR_SLOTS])
        found[slot // CHAR_SLOTS].append(char)
    return found


def test_characters_fill_the_slots_of_their_cell_in_reading_order() -> None:
    glyphs = (Glyph("b", 5, 14, 0), Glyph("a", 20, 14, 1), Glyph("z", 40, 14, 2))
    targets = _targets(Truth(glyphs=glyphs), (56, 28), 1, 2)
    b, a = VOCABULARY.characters["b"], VOCABULARY.characters["a"]
    assert _cells(targets) == [[b, a, BLANK], [OTHER, BLANK]]
    assert targets.text_cells.tolist() == [0, 1]
    assert not len(targets.object_cells)  # a picture of text says nothing about objects


def test_positions_scale_with_the_picture() -> None:
    truth = Truth(glyphs=(Glyph("c", 21, 7, 0),))
    targets = _targets(truth, (28, 28), 2, 2)  # shown at twice the size: (42, 14), upper right
    assert [len(cell) for cell in _cells(targets)] == [1, 2, 1, 1]


def test_sides_need_not_be_whole_cells() -> None:
    """A picture of 100 x 50 that the model sees as 112 x 56: four columns, two rows."""
    truth = Truth(
        glyphs=(Glyph("a", 74.9, 24.9, 0), Glyph("b", 75.1, 25.1, 1)),
        objects=(SceneObject((50, 0, 75, 25), "cat"),),
    )
    targets = _targets(truth, (100, 50), 2, 4)
    a, b, cat = VOCABULARY.characters["a"], VOCABULARY.characters["b"], VOCABULARY.objects["cat"]
    blank = [BLANK]
    assert _cells(targets) == [blank, blank, [a, BLANK], blank, blank, blank, blank, [b, BLANK]]
    assert targets.objects.tolist() == [0, 0, cat, 0, 0, 0, 0, 0]
    assert targets.boxes.tolist() == [[0.5, 0.5, 0.5, 0.5]]


def test_more_characters_than_slots_are_left_out() -> None:
    glyphs = tuple(Glyph("a", 2 + 3 * place, 10, place) for place in range(CHAR_SLOTS + 2))
    targets = _targets(Truth(glyphs=glyphs), (28, 28), 1, 1)
    assert _cells(targets) == [[VOCABULARY.characters["a"]] * CHAR_SLOTS]


def test_smallest_object_over_a_cell_wins_and_edges_are_in_cells() -> None:
    objects = (SceneObject((0, 0, 84, 56), "dog"), SceneObject((28, 0, 56, 28), "cat"))
    targets = _targets(Truth(objects=objects), (84, 56), 2, 3)
    cat, dog = VOCABULARY.objects["cat"], VOCABULARY.objects["dog"]
    assert targets.objects.tolist() == [dog, cat, dog, dog, dog, dog]
    assert targets.box_cells.tolist() == list(range(6))
    assert targets.boxes[1].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert targets.boxes[0].tolist() == [0.5, 0.5, 2.5, 1.5]


def test_object_smaller_than_a_cell_is_not_lost() -> None:
    objects = (SceneObject((30, 2, 38, 10), "cat"),)  # covers no cell's middle
    targets = _targets(Truth(objects=objects), (56, 28), 1, 2)
    assert targets.objects.tolist() == [0, VOCABULARY.objects["cat"]]


def test_unknown_names_are_not_learned_and_empty_scenes_are() -> None:
    unknown = _targets(Truth(objects=(SceneObject((0, 0, 28, 28), "word"),)), (28, 28), 1, 1)
    assert (len(unknown.objects), len(unknown.boxes)) == (0, 0)
    empty = _targets(Truth(objects=()), (28, 28), 1, 1)
    assert empty.objects.tolist() == [0]
    assert (len(empty.text_cells), len(empty.characters)) == (0, 0)


def test_what_is_joined_keeps_its_cells_and_slots() -> None:
    text = _targets(Truth(glyphs=(Glyph("a", 3, 3, 0),)), (28, 56), 2, 1)
    scene = _targets(Truth(objects=(SceneObject((28, 0, 56, 28), "cat"),)), (56, 28), 1, 2)
    nothing = _targets(Truth(), (28, 28), 1, 1)
    joined = DenseTargets.join([nothing, text, scene, text, scene])
    assert joined.num_cells == 9
    assert joined.text_cells.tolist() == [1, 2, 5, 6]
    assert _cells(joined) == _cells(text) * 2
    assert joined.object_cells.tolist() == [3, 4, 7, 8]
    assert joined.box_cells.tolist() == [4, 8]
    assert torch.equal(joined.boxes, torch.cat([scene.boxes] * 2))
    assert DenseTargets.join([]).num_cells == 0


@pytest.mark.parametrize(
    ("shape", "owners"), [((1, 2), [0, 1]), ((2, 4), [0, 0, 1, 0, 0, 0, 0, 0])]
)
def test_cells_of_objects_are_those_of_the_picture_as_it_is_shown(shape, owners) -> None:
    objects = (SceneObject((0, 0, 56, 28), "dog"), SceneObject((30, 2, 38, 10), "cat"))
    scale = np.array([shape[1] / 56, shape[0] / 28])
    assert cell_owners(objects, scale, shape).tolist() == owners
    assert (cell_owners((), scale, shape) == -1).all()

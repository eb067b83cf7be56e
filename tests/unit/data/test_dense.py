# SPDX-License-Identifier: Apache-2.0
import numpy as np

from finesight.data.dense import (
    BLANK,
    CHAR_SLOTS,
    OTHER,
    DenseTargets,
    DenseVocabulary,
    ObjectCells,
    dense_targets,
)
from finesight.data.record import Glyph, Record, SceneObject

VOCABULARY = DenseVocabulary.build("abc", ["cat", "dog"])


def _record(family: str, size: tuple[int, int], **truth) -> Record:
    width, height = size
    image = np.zeros((height, width, 3), dtype=np.uint8)
    return Record(id="x", family=family, image=image, turns=(("q", "a"),), **truth)


def _targets(record: Record, rows: int, columns: int) -> DenseTargets:
    return dense_targets(record, VOCABULARY, rows=rows, columns=columns, cell=28)


def test_characters_fill_the_slots_of_their_cell_in_reading_order() -> None:
    glyphs = (Glyph("b", 5, 14, 0), Glyph("a", 20, 14, 1), Glyph("z", 40, 14, 2))
    targets = _targets(_record("text", (56, 28), glyphs=glyphs), 1, 2)
    b, a = VOCABULARY.characters["b"], VOCABULARY.characters["a"]
    assert targets.characters.tolist() == [
        [b, a, *[BLANK] * (CHAR_SLOTS - 2)],
        [OTHER, *[BLANK] * (CHAR_SLOTS - 1)],
    ]
    assert targets.objects.tolist() == [-100, -100]  # a text picture says nothing about objects


def test_positions_scale_with_the_picture() -> None:
    record = _record("text", (28, 28), glyphs=(Glyph("c", 21, 7, 0),))
    targets = _targets(record, 2, 2)  # shown at twice the size: (42, 14) is in the upper right cell
    filled = [index for index in range(4) if targets.characters[index, 0] != BLANK]
    assert filled == [1]


def test_more_characters_than_slots_are_left_out() -> None:
    glyphs = tuple(Glyph("a", 2 + 3 * place, 10, place) for place in range(CHAR_SLOTS + 2))
    targets = _targets(_record("text", (28, 28), glyphs=glyphs), 1, 1)
    assert (targets.characters != BLANK).all()


def test_smallest_object_over_a_cell_wins_and_edges_are_in_cells() -> None:
    objects = (SceneObject((0, 0, 84, 56), "dog"), SceneObject((28, 0, 56, 28), "cat"))
    targets = _targets(_record("scene", (84, 56), objects=objects), 2, 3)
    cat, dog = VOCABULARY.objects["cat"], VOCABULARY.objects["dog"]
    assert targets.objects.tolist() == [dog, cat, dog, dog, dog, dog]
    assert targets.boxes[1].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert targets.boxes[0].tolist() == [0.5, 0.5, 2.5, 1.5]


def test_object_smaller_than_a_cell_is_not_lost() -> None:
    objects = (SceneObject((30, 2, 38, 10), "cat"),)  # covers no cell's middle
    targets = _targets(_record("scene", (56, 28), objects=objects), 1, 2)
    assert targets.objects.tolist() == [0, VOCABULARY.objects["cat"]]


def test_unknown_names_are_not_learned_and_empty_scenes_are() -> None:
    unknown = _targets(
        _record("scene", (28, 28), objects=(SceneObject((0, 0, 28, 28), "word"),)), 1, 1
    )
    assert unknown.objects.tolist() == [-100]
    empty = _targets(_record("scene", (28, 28)), 1, 1)
    assert empty.objects.tolist() == [0]
    assert empty.characters[0, 0] == -100


def test_places_are_the_middles_of_the_cells() -> None:
    targets = _targets(_record("scene", (84, 56)), 2, 3)
    assert targets.places.tolist() == [
        [0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]
    ]  # fmt: skip
    twice = DenseTargets.join([targets, targets])
    assert twice.places.tolist() == targets.places.tolist() * 2


def test_cells_of_objects_are_those_of_the_picture_as_it_is_shown() -> None:
    objects = (SceneObject((0, 0, 56, 28), "dog"), SceneObject((30, 2, 38, 10), "cat"))
    record = _record("scene", (56, 28), objects=objects)
    cells = ObjectCells.of(record, rows=1, columns=2)
    assert cells.owners.tolist() == [0, 1]
    larger = ObjectCells.of(record, rows=2, columns=4)  # shown at twice the size
    assert larger.owners.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    empty = ObjectCells.of(_record("scene", (56, 28)), rows=1, columns=2)
    assert empty.owners.tolist() == [-1, -1]

# SPDX-License-Identifier: Apache-2.0
"""Where in a picture of text each token of its transcription looks."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.loader import LoaderConfig, PackStream, _encode
from finesight.data.look_targets import Looks
from finesight.data.mixture import SourceConfig
from finesight.data.record import Glyph, Record
from finesight.data.shards import write_shard
from finesight.data.text_looks import looks_of_text
from finesight.errors import LayoutError
from finesight.processor.processor import Processor

TEXT = "ab c\nd\u0939"
"""Two rows; the last character is two tokens or more."""

PLACES = {0: (5, 10), 1: (20, 10), 3: (40, 10), 5: (10, 30), 6: (30, 30)}
"""Of a picture of 56 x 56, in cells of 28: a and b in cell 0, c in 1, d in 2, the last in 3."""


@pytest.fixture(scope="module")
def processor(tiny_model_folder) -> Processor:
    return Processor.from_folder(tiny_model_folder)


@pytest.fixture
def record() -> Record:
    return Record(
        id="r",
        family="text",
        image=np.zeros((56, 56, 3), dtype=np.uint8),
        turns=(("Read the text.", TEXT),),
        glyphs=tuple(Glyph(TEXT[order], x, y, order) for order, (x, y) in PLACES.items()),
        meta={"split": "train", "generator": "test/1", "seed": 0},
    )


def _conversation(record: Record, turns: tuple[int, ...], frames: int = 1) -> Conversation:
    picture = Image.fromarray(record.pixels)
    shown = ImagePart(source=picture, min_pixels=784)
    if frames > 1:
        shown = VideoPart(source=(picture,) * frames, sample_fps=2.0, min_pixels=784)
    messages = []
    for place, turn in enumerate(turns):
        question, answer = record.turns[turn]
        messages.append(Message("user", (*([] if place else [shown]), TextPart(question))))
        messages.append(Message("assistant", (TextPart(answer),)))
    return Conversation(tuple(messages))


def _looks(processor, record, turns=(0,), frames=1, *, spelled=True):
    sample = _encode(_conversation(record, turns, frames), processor, spelled=spelled)
    return sample, looks_of_text(
        record, turns, sample, (2, 2), processor.tokenizer, spelled=spelled
    )


def _found(processor, sample, targets):
    """For each looking row: the bytes of the token that it predicts, and the cells (None: nowhere)."""
    found = []
    for row, which in zip(targets.rows[0].tolist(), targets.which[0].tolist(), strict=True):
        wanted = targets.wanted[0, which].nonzero().flatten().tolist()
        cells = None if wanted == [0] else [sample.visual_index.tolist().index(x) for x in wanted]
        found.append((processor.tokenizer.token_bytes(int(sample.input_ids[row + 1])), cells))
    return found


def test_each_letter_is_read_where_it_stands(processor, record):
    sample, looks = _looks(processor, record)
    found = _found(processor, sample, looks.read)
    assert [text for text, _ in found[:6]] == [b"a", b"b", b" ", b"c", b"\n", b"d"]
    assert [cells for _, cells in found[:6]] == [[0], [0], [1], [1], [2], [2]]
    assert b"".join(text for text, _ in found[6:-1]).decode() == TEXT[-1]
    assert all(cells == [3] for _, cells in found[6:-1])
    assert len(found) > 8  # the last character is several tokens
    assert found[-1] == (b"<|im_end|>", None)


def test_the_letter_before_is_where_the_reading_has_come_to(processor, record):
    sample, looks = _looks(processor, record)
    found = _found(processor, sample, looks.written)
    assert [text for text, _ in found[:5]] == [b"b", b" ", b"c", b"\n", b"d"]  # nothing before a
    assert [cells for _, cells in found[:5]] == [[0], [0], [0], [1], [1]]
    assert found[-1] == (b"<|im_end|>", [3])


def test_a_piece_of_a_word_is_read_off_all_its_cells(processor, record):
    glyphs = tuple(Glyph(char, 5 + 10.0 * place, 10, place) for place, char in enumerate("Read"))
    word = replace(record, turns=(("What is there?", "Read"),), glyphs=glyphs)
    sample, looks = _looks(processor, word, spelled=False)
    assert _found(processor, sample, looks.read)[0] == (b"Read", [0, 1])


def test_a_video_is_looked_at_in_every_frame_pair(processor, record):
    sample, looks = _looks(processor, record, frames=4)
    cells = [cells for _, cells in _found(processor, sample, looks.read)]
    assert cells[:3] == [[0, 4], [0, 4], [1, 5]]


def test_answers_that_are_no_transcription_have_no_looks(processor, record):
    for answer in ("ab c", "ab c\ndX", "d\u0939\nab c"):
        other = replace(record, turns=(("Read the first row.", answer),))
        assert _looks(processor, other)[1] == Looks()
    both = replace(record, turns=(("Which letter is first?", "a"), *record.turns))
    sample, looks = _looks(processor, both, (0, 1))
    alone = _looks(processor, record)[1]
    assert looks.read.rows.shape == alone.read.rows.shape
    assert _found(processor, sample, looks.read)[0] == (b"a", [0])


def test_a_sample_of_other_answers_is_refused(processor, record):
    sample = _encode(_conversation(record, (0,)), processor, spelled=True)
    with pytest.raises(LayoutError, match="are not"):
        looks_of_text(record, (0,), sample, (2, 2), processor.tokenizer, spelled=False)
    with pytest.raises(LayoutError, match="1 answers"):
        looks_of_text(record, (0, 0), sample, (2, 2), processor.tokenizer, spelled=True)


def test_the_loader_gives_them_to_pictures_of_text(record, tiny_model_folder, tmp_path):
    write_shard(
        tmp_path / "data" / "a.tar", [replace(record, id=f"r{index}") for index in range(8)]
    )
    config = LoaderConfig(
        source=(SourceConfig(path=tmp_path / "data", weight=1.0),),
        squeeze=0.5,
        spelled_share=0.5,
        pack_tokens=512,
    )
    looks = next(iter(PackStream(config, tiny_model_folder))).looks
    assert looks.asked is None
    assert looks.seen is None
    assert looks.read is not None
    assert len(looks.read.starts) > 1

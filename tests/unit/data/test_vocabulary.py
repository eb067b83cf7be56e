# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.data.vocabulary import letters_to_keep, read_words, train_tokenizer, weighted_words
from finesight.errors import DataError
from finesight.text.special_tokens import ADDED_TEXT_TOKENS, SPECIAL_TOKENS

WORDS = {
    "en": {"the": 0.05, "cat": 0.01},
    "zh": {"猫": 0.02, "山水": 0.01},
    "ja": {"猫": 0.01},
    "ko": {"말": 0.01},
}


def test_letters_single_and_commonest_first() -> None:
    letters = letters_to_keep(WORDS, num_han=2, num_hangul=1)
    assert len(letters) == len(set(letters))
    assert {"é", "Ж", "ש", "か", "猫", "말"} <= set(letters)
    assert (
        len({"山", "水"} & set(letters)) == 1
    )  # two Han characters in all, and 猫 is the commonest
    assert "×" not in letters_to_keep(WORDS, num_han=0, num_hangul=0)[:300]


def test_every_letter_is_one_token_and_everything_round_trips() -> None:
    letters = ["é", "猫", "ж", "。"]
    texts = ["the cat sat on the mat 12 34\n" * 50]
    tokenizer = train_tokenizer(texts, letters, vocab_size=330)
    for letter in letters:
        assert len(tokenizer.encode(letter).ids) == 1
    for text in ("the cat", "naïve café 猫。\n\t{}", "1234"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode("1234").ids) == 4
    first_special = tokenizer.token_to_id(SPECIAL_TOKENS[0])
    names = [*SPECIAL_TOKENS, *ADDED_TEXT_TOKENS]
    assert [tokenizer.token_to_id(name) for name in names] == list(
        range(first_special, first_special + len(names))
    )
    assert tokenizer.get_vocab_size() <= 330


def test_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="of 3 letters are not single tokens"):
        train_tokenizer(["the cat"], ["猫", "山", "水"], vocab_size=281)


def test_words_from_files_and_their_weights(tmp_path) -> None:
    (tmp_path / "en.tsv").write_text("the\t0.04\ncat\t0.01\nbroken line\n", encoding="utf-8")
    words = read_words(tmp_path)
    assert words == {"en": {"the": 0.04, "cat": 0.01}}
    text = "".join(weighted_words(words["en"], times=30))
    assert text.count(" the") == 20
    assert text.count(" cat") == 10

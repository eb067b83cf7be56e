# SPDX-License-Identifier: Apache-2.0
"""What is thought aloud is no answer; what merely mentions the tags is text."""

from __future__ import annotations

import pytest

from finesight.parse.thinking import answer_part, thought_spans


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("C", "C"),
        ("", ""),
        ("<think>Maybe B?</think>\nC", "\nC"),
        ("<think>Maybe B?</think><answer>C</answer>", "C"),
        ("  <think>B</think> <answer> C </answer>\n", " C "),
        ("<THINK>B</Think>\n<Answer>C</ANSWER>", "C"),
        ("<thinking>B</thinking>C", "C"),
        ("<think>a <think>b</think> B</think>C", "C"),
        ("<think>a <think> b</think>\nC", "\nC"),  # the second is only mentioned
        ("<think>A</think><think>B</think>C", "C"),
        ("<think></think>", ""),
        ("<think>A</think><answer>C", "C"),  # cut off while it answered
        ("<think>A <answer>A</answer>?</think><answer>C</answer>", "C"),
        ("<think>A</think>\n\\boxed{C}", "\n\\boxed{C}"),
        ("I wonder: A? No.</think>\nC", "\nC"),
        ("Is it A? No</think>C", "C"),
        ("A? No.</think> <answer>C</answer>", "C"),
        ("A.</think> B.</think>\nC", "\nC"),
        ('{"box": [1, 2]}</think>\nC', "\nC"),
        ("<answer>C</answer> because A and B are larger", "C"),
        ("It is A or C. <answer>C</answer>.", "C"),
        ("<answer>A</answer> no, <answer>C</answer>", "C"),
        ("<answer><answer>C</answer></answer>", "C"),
        ("<think>so far A, but let me", None),
        ("<think>", None),
        ("<think>a <think>b", None),
        ("<think>never ended <answer>C</answer>", "C"),
        ("<think>the form is <answer>C</answer>, so", None),
        ("<answer>C", "<answer>C"),  # only behind a thought may an end be missing
        ("It is:\n<answer>C", "It is:\n<answer>C"),
        ("Hm.\n<think>A</think>\n<answer>C", "C"),
        ("C\n<think>or <answer>D</answer>", "D"),
        ("<answer>C</answer><think>or D", "C"),
        ("<think>x <answer> </answer>", None),
        ("A or B </think>\nC", "\nC"),
        ("A.</think>\nB.</think>\nC\n</think>", "\nC\n"),
        ("C\n</think>\ufeff\n", "C\n"),
        ("The answer is <answer> C </answer>", " C "),
        ("Put <answer>C</answer> and a <think> b <answer>D</answer>", "D"),
    ],
)
def test_the_part_that_answers(text, part):
    assert answer_part(text) == part


BOX = '{"bbox_2d": [5, 6, 70, 80]}'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"<think>hm</think>{BOX}</think>", BOX),
        (f"{BOX}\n</think>", f"{BOX}\n"),
        (f"hm.</think>{BOX}</think></think>\n", BOX),
        ("so A</think> B", " B"),
        ("The answer: C</think></answer>", "The answer: C"),
    ],
)
def test_an_end_with_nothing_behind_it_takes_no_answer_away(text, part):
    assert answer_part(text) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"Sure! <think>(1, 2)</think>\n{BOX}", f"Sure! \n{BOX}"),
        (f"\ufeff<think>(1, 2)</think>{BOX}", BOX),
        (f"**<think>**(1, 2)**</think>**\n{BOX}", f"\n{BOX}"),
        (f"{BOX}\n<think>(1, 2)</think>", f"{BOX}\n"),
        (f"{BOX}\n<think>(1, 2)</think>\n{BOX}", f"{BOX}\n\n{BOX}"),
        (f"Sure! <think>a page <html></think>\n{BOX}", f"Sure! \n{BOX}"),
        (f"<answer><think>(1, 2)</think>{BOX}</answer>", BOX),
        (f"<|box_start|>(1,2),(3,4)<|box_end|></think>{BOX}", BOX),
        ("<answer>C</answer>\n<think>B</think>", "C"),
        ("Sure!\n<think>x <think>y</think>\nz</think>\nC", "Sure!\n\nC"),
        ("Hm.\n<think>A</think>\nso\n<think>B</think>\nC", "Hm.\n\nso\n\nC"),
        ("Sure, <think>x.</think> so it is", "Sure,  so it is"),
        ("Sure!\n<think>and</think> so", "Sure!\n so"),
        (r"right answer <think>Let me check: \boxed{99}", "right answer "),
        ("C\n<think>or <answer>D</answer>, so", "C\n"),
    ],
)
def test_a_thought_is_one_wherever_it_stands(text, part):
    assert answer_part(text) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"{BOX} <answer></answer>", f"{BOX} "),
        ("<answer>C</answer> <answer> </answer>", "C"),
        ("<think>x</think><answer></answer>", ""),
        (
            f"<think>x</think>\n{BOX}\nThe final <answer> is above",
            f"\n{BOX}\nThe final <answer> is above",
        ),
        ("<think>x</think>The answer is <answer>C", "C"),
    ],
)
def test_an_answer_that_holds_nothing_decides_nothing(text, part):
    assert answer_part(text) == part


@pytest.mark.parametrize(
    "text",
    [
        'I type it.\n<tool_call>{"name": "a", "arguments": {"text": "<answer>42</answer>"}}</tool_call>',
        'Two:\n{"label": "a sign that says: </think>"}\n' + BOX,
        'It says: {"label": "<think>a</think>"} ' + BOX,
        "The sign says `<think>no</think>`, in white.",
        'The sign says "</think>", in white.',
        "Write <answer> before the letter.",
        "Use the </think> tag to end a thought.",
        "The tag `</think>`\nends it.",
        "The words <think>and</think> are tags.",
        "<html><body><p>Put it in <answer>C</answer>.</p></body></html>",
        "Here:\n```html\n<body>ends with </think>\n<answer>C</answer></body>\n```\nDone.",
        '[{"label": "<answer>C</answer>"}, {"label": "</think>\\n"}]',
        "<p>a</p>\n</think>\n<p>b</p>",
        "\ufeff\n<p>a</p>\n</think>\n<p>b</p>",
        'I type.\n<tool_call>{"text": <answer>42</answer></tool_call>',
        BOX + '\n{"label": "</think>"}\n' + BOX,
        'It says "<answer>x',
        "Here:\n```\nends with </think>\n<answer>C</answer>\n```\nDone.",
        '{"label": "a\n</think>\nb',
        '["a\n</think>\nb',
        *(f"The tags <think>and</think>{sign} so" for sign in ".,;:)"),
    ],
)
def test_text_that_mentions_the_tags_is_kept(text):
    assert answer_part(text) == text
    assert answer_part(text, keeps_text=True) == text
    assert answer_part(f"<think>hm</think>{text}", keeps_text=True) == text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('<answer>"<think>a</think>" is C</answer>', '"<think>a</think>" is C'),
        ('"<think>a</think>" is a tag, and so is this: <answer>C</answer>', "C"),
        ('The tag "</think>" is no answer: <answer>C</answer>', "C"),
        ('He says "<answer>C</answer>', "C"),
        ("```\na\n```\n<answer>C</answer>", "C"),
        (
            "Sure! <think>a</think>\n```\n<answer>b</answer>\n```",
            "Sure! \n```\n<answer>b</answer>\n```",
        ),
        ("Sure!\n<think>a\n<think>b</think>\n```\n</think>\n<answer>C</answer>", "C"),
    ],
)
def test_tags_in_quotes_and_fences_are_text_and_the_others_count(text, part):
    assert answer_part(text) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [("It ends with </think>", "It ends with "), ("Is it A? No</think> C", " C")],
)
def test_an_end_within_a_sentence_is_a_word_of_a_transcript_alone(text, part):
    assert answer_part(text) == part
    assert answer_part(text, keeps_text=True) == text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Write <answer>C</answer> at the end of it.", None),
        ("first <answer>A</answer>, then <answer>C</answer>", None),
        ("a line\n<think>x</think>\n<answer>y</answer>", None),
        ("<answer>a page</answer>", "a page"),
        ("Here it is: <answer>a page</answer>", "a page"),
        ("<think>hm</think>\n<answer>a page", "a page"),
        ("<think>hm</think>a page", "a page"),
        ("<think>hm</think>\n<answer>a page\n</think>", "a page\n"),
        ("a page\n</think>", "a page\n"),
        ("a thought\n</think> a page", " a page"),
        ("A thought. </think> a page", " a page"),
        ("Here it is: <answer>a page</answer>.\r\n", "a page"),
        ("\ufeff<answer>a page</answer> so", "a page"),
    ],
)
def test_of_a_transcript_only_a_frame_is_taken_off(text, part):
    assert answer_part(text, keeps_text=True) == (text if part is None else part)


def test_spans_of_thoughts_leave_the_answer_where_it_is():
    text = "<think>B</think><answer>C</answer> so"
    (_, start), (end, _) = thought_spans(text)
    assert text[start:end] == "C"
    assert thought_spans("C") == []
    assert thought_spans("Put <answer>C</answer> there") == [(0, 12), (13, 28)]
    assert thought_spans("<think>B") == [(0, 8)]
    assert thought_spans("") == []

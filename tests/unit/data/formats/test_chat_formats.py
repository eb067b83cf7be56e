# SPDX-License-Identifier: Apache-2.0
"""OpenAI, ms-swift, LLaMA-Factory and TRL."""

from __future__ import annotations

import base64
import json

import pytest

from finesight.data.places import Place, written
from finesight.data.record import text_of
from finesight.geometry import Resize, Size
from tests.support.training_files import answers, said

CALL = {"name": "zoom", "arguments": {"factor": 2}}
TOOL = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **keys):
    return {"role": "assistant", "content": content, **keys}


def address(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_openai_chat(folder):
    shown = [
        {"type": "image_url", "image_url": {"url": address(folder.path / "red.png")}},
        {"type": "image_url", "image_url": {"url": "blue.jpg", "detail": "low"}},
        {"type": "text", "text": "Which? <image>"},
    ]
    found = folder.read(
        "rows.jsonl",
        [
            {
                "messages": [
                    {"role": "system", "content": "Short."},
                    user(shown),
                    assistant("Hm.", weight=0),
                    user("Zoom!"),
                    assistant(None, tool_calls=[{"type": "function", "id": "1", "function": CALL}]),
                    {"role": "tool", "tool_call_id": "1", "content": "done"},
                    assistant("Red."),
                ],
                "tools": [TOOL],
                "parallel_tool_calls": False,
            }
        ],
    )
    assert found.reading.format == "openai"
    record = found.only
    assert said(record)[1] == ("user", "[image][image]Which? <image>")
    assert [message.is_target for message in record.conversation.messages[1:4]] == [
        True, False, True,
    ]  # fmt: skip
    assert record.conversation.messages[4].tool_calls == (CALL,)
    assert record.conversation.tools == (TOOL,)
    assert [part.detail for part in record.conversation.media()] == [None, "low"]
    assert found.reading.tally.ignored == {"parallel_tool_calls": 1}


def test_openai_preference_pairs(folder):
    row = {
        "input": {"messages": [user("Capital of France?")], "tools": []},
        "preferred_output": [assistant("Paris.")],
        "non_preferred_output": [assistant("Lyon.")],
    }
    found = folder.read("rows.jsonl", [row])
    assert found.reading.format == "openai"
    assert (said(found.only)[-1][1], answers(found.only)) == ("Paris.", ["Lyon."])


def test_a_worse_answer_with_a_picture_is_refused(folder):
    shown = [{"type": "image", "image": "red.png"}, {"type": "text", "text": "Lyon."}]
    row = {"prompt": "Capital?", "chosen": "Paris.", "rejected": [assistant(shown)]}
    found = folder.read("rows.jsonl", [row])
    assert found.reasons == ["record"]


def test_swift_objects_are_in_original_pixels(folder):
    row = {
        "messages": [
            user("<image><image>Where is <ref-object>?"),
            assistant('[{"bbox_2d": <bbox>, "label": "<ref-object>"}] and <bbox>'),
        ],
        "images": ["red.png", "blue.jpg"],
        "objects": {
            "ref": ["the dog", "dog"],
            "bbox": [[30, 20, 60, 40], [10, 5]],
            "image_id": [1, 0],
        },
    }
    found = folder.read("rows.jsonl", [row])
    assert found.reading.format == "swift"
    assert found.only.places == (
        Place("box", 1, (30, 20, 60, 40)),
        Place("point", 0, (10, 5)),
    )
    assert said(found.only) == [
        ("user", "[image][image]Where is the dog?"),
        ("assistant", '[{"bbox_2d": [{{place:0}}], "label": "dog"}] and [{{place:1}}]'),
    ]


def test_swift_norm1_and_pictures_without_marks(folder):
    row = {
        "messages": [user("Where?"), assistant("<bbox>")],
        "images": "blue.jpg",
        "objects": {"bbox": [[0.5, 0.25, 1, 1]], "bbox_type": "norm1"},
    }
    found = folder.read("rows.jsonl", [row])
    assert said(found.only)[0] == ("user", "[image]Where?")
    assert found.only.places == (Place("box", 0, (150, 50, 300, 200)),)


def test_swift_loss_tools_channel_and_worse_answers(folder):
    talk = [
        user("Zoom."),
        {"role": "tool_call", "content": json.dumps(CALL), "loss": True},
        {"role": "tool_call", "content": json.dumps(CALL | {"name": "pan"})},
        {"role": "tool_response", "content": "done"},
        assistant("Good.", loss=False),
        user("And?"),
        assistant("Fine.", loss_scale=1.0),
    ]
    rows = [
        {"messages": talk, "tools": json.dumps([TOOL]), "channel": "tools"},
        {"messages": [user("A?"), assistant("b")], "rejected_response": "c"},
        {
            "messages": [user("A?"), assistant("b")],
            "rejected_messages": [user("A?"), assistant("d")],
        },
    ]
    found = folder.read("rows.jsonl", rows)
    assert (found.reading.format, found.problems) == ("swift", [])
    first, second, third = found.records
    calls = first.conversation.messages[1].tool_calls
    assert [call["name"] for call in calls] == ["zoom", "pan"]
    assert [message.is_target for message in first.conversation.messages[3:]] == [
        False, True, True,
    ]  # fmt: skip
    assert first.conversation.tools == (TOOL,)
    assert first.meta["channel"] == "tools"
    assert (answers(second), answers(third)) == (["c"], ["d"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"objects": {"bbox": [[1, 2, 3, 4], [1, 2]]}}, "marks"),
        ({"objects": {"bbox": [[1, 2, 3]]}}, "box"),
        ({"objects": {"bbox": [["1", 2, 3, 4]]}}, "box"),
        ({"objects": {"bbox": [[1, 2, 101.5, 4]]}}, "box"),
        ({"objects": {"bbox": [[5, 2, 3, 4]]}}, "box"),
        ({"objects": {"bbox": [[float("nan"), 2, 3, 4]]}}, "box"),
        ({"objects": {"bbox": [[1, 2, 3, 4]], "image_id": [1]}}, "box"),
        ({"objects": {"bbox": [[1, 2, 3, 4]], "bbox_type": "norm7"}}, "columns"),
        ({"objects": {"bbox": [[1, 2, 3, 4]], "extra": 1}}, "columns"),
        ({"objects": []}, "columns"),
        ({"label": False}, "columns"),
        ({"audios": ["a.wav"]}, "columns"),
        ({"tools": "{"}, "columns"),
        ({"tools": "[3]"}, "columns"),
        ({"messages": [user("x"), assistant("y", loss=False)]}, "empty answer"),
        ({"messages": [user("x"), assistant("y", loss=0.5)]}, "columns"),
        ({"messages": [user("x"), {"role": "tool_call", "content": "{"}]}, "columns"),
        ({"messages": [user("x"), user("x"), assistant("y")]}, "roles"),
    ],
)
def test_a_wrong_row_of_swift_has_its_reason(folder, change, reason):
    good = {
        "messages": [user("Where?"), assistant("<bbox>")],
        "images": ["red.png"],
        "objects": {"bbox": [[1, 2, 3, 4]]},
    }
    row = good | change
    if "messages" in change:
        del row["objects"]
    found = folder.read("rows.jsonl", [good, row], format="swift")
    assert (len(found.records), found.reasons) == (1, [reason])


INFO = {
    "talks": {
        "file_name": "talks.json",
        "formatting": "sharegpt",
        "columns": {"messages": "chat", "images": "pics", "system": "sys", "tools": "fns"},
        "tags": {
            "role_tag": "who",
            "content_tag": "what",
            "user_tag": "me",
            "assistant_tag": "bot",
        },
    },
    "pairs": {
        "file_name": "pairs.json",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {
            "messages": "conversations",
            "chosen": "good",
            "rejected": "bad",
            "images": "images",
        },
    },
    "alpaca": {"file_name": "alpaca.json", "columns": {"response": "reply"}},
}


def test_llama_factory_with_its_description(folder):
    folder.write("dataset_info.json", INFO)
    talk = [
        {"who": "me", "what": "<image>What?"},
        {"who": "function_call", "what": json.dumps(CALL)},
        {"who": "observation", "what": "done"},
        {"who": "bot", "what": "Red."},
    ]
    row = {"chat": talk, "pics": ["red.png"], "sys": "Short.", "fns": json.dumps([TOOL])}
    found = folder.read("talks.json", [row])
    assert found.reading.format == "llama-factory"
    assert said(found.only) == [
        ("system", "Short."),
        ("user", "[image]What?"),
        ("assistant", ""),
        ("tool", "done"),
        ("assistant", "Red."),
    ]
    assert found.only.conversation.tools == (TOOL,)


def test_llama_factory_ranking(folder):
    folder.write("dataset_info.json", INFO)
    row = {
        "conversations": [{"from": "human", "value": "<image>What?"}],
        "images": ["red.png"],
        "good": {"from": "gpt", "value": "Red."},
        "bad": {"from": "gpt", "value": "Blue."},
    }
    found = folder.read("pairs.json", [row])
    assert (said(found.only)[-1][1], answers(found.only)) == ("Red.", ["Blue."])


def test_llama_factory_alpaca(folder):
    folder.write("dataset_info.json", INFO)
    row = {
        "instruction": "Translate.",
        "input": "chien",
        "reply": "dog",
        "history": [["Hi.", "Hello."]],
        "system": "Short.",
    }
    found = folder.read("alpaca.json", [row])
    assert found.reading.format == "alpaca"
    assert [text for _, text in said(found.only)] == [
        "Short.", "Hi.", "Hello.", "Translate.\nchien", "dog",
    ]  # fmt: skip
    rows = [
        {"instruction": "<image>What?", "output": "Red.", "images": ["red.png"]},
        {"instruction": "What?", "output": "Red.", "history": ["x"]},
    ]
    found = folder.read("other.jsonl", rows)
    assert (found.reading.format, found.reasons) == ("alpaca", ["columns"])
    assert said(found.records[0]) == [("user", "[image]What?"), ("assistant", "Red.")]
    found = folder.read("swift.jsonl", [{"query": "What?", "response": "Red.", "system": "Hm."}])
    assert found.reading.format == "alpaca"
    assert [text for _, text in said(found.only)] == ["Hm.", "What?", "Red."]
    pair = {"instruction": "What?", "chosen": "Red.", "rejected": "Blue."}
    assert answers(folder.read("pairs.jsonl", [pair]).only) == ["Blue."]


def test_llama_factory_without_a_description(folder):
    rows = [
        {
            "conversations": [
                {"from": "human", "value": "<image>What?"},
                {"from": "gpt", "value": "Red."},
            ],
            "images": ["red.png"],
        },
        {
            "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "x"}],
            "images": ["red.png"],
        },
        {
            "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "x"}],
            "kto_tag": False,
        },
    ]
    found = folder.read("rows.json", rows)
    assert (found.reading.format, found.reasons) == ("llama-factory", ["marks", "columns"])


def test_a_broken_description_is_named(folder):
    folder.write("dataset_info.json", "[1]")
    with pytest.raises(Exception, match=r"dataset_info\.json cannot be read"):
        folder.read("rows.json", [])


PARTS = [{"type": "text", "text": "Is "}, {"type": "image"}, {"type": "text", "text": " red?"}]


@pytest.mark.parametrize(
    ("row", "question", "worse"),
    [
        ({"messages": [user(PARTS), assistant("Yes.")]}, "Is [image] red?", []),
        ({"prompt": "Red?", "completion": "Yes."}, "[image]Red?", []),
        (
            {
                "prompt": [user("Red?")],
                "completion": [assistant([{"type": "text", "text": "Yes."}])],
            },
            "[image]Red?",
            [],
        ),
        ({"prompt": "<image>\nRed?", "chosen": "Yes.", "rejected": "No."}, "[image]Red?", ["No."]),
        (
            {
                "chosen": [user(PARTS), assistant("Yes.")],
                "rejected": [user(PARTS), assistant("No.")],
            },
            "Is [image] red?",
            ["No."],
        ),
    ],
)
def test_trl(folder, row, question, worse):
    found = folder.read("rows.jsonl", [row | {"images": ["red.png"]}])
    assert found.reading.format == "trl"
    (_, asked), (_, answer) = said(found.only)
    plain = question.replace("[image]", "", 1) if question.startswith("Is") else question
    assert asked in (question, "[image]" + plain)
    assert (answer, answers(found.only)) == ("Yes.", worse)


def test_trl_pairs_that_do_not_fit(folder):
    rows = [
        {"prompt": "Red?", "chosen": "Yes.", "rejected": "No."},
        {"prompt": "Red?", "chosen": "Yes."},
        {"chosen": [user("a"), assistant("b")], "rejected": [user("c"), assistant("d")]},
        {"prompt": "Red?", "completion": ""},
        {"messages": [user(PARTS), assistant("Yes.")], "images": ["red.png", "red.png"]},
    ]
    found = folder.read("rows.jsonl", rows)
    assert found.reasons == ["columns", "columns", "empty answer", "marks"]


def clicked(**arguments):
    """A turn of a tool call."""
    call = {"name": "computer_use", "arguments": {"action": "left_click", **arguments}}
    return {"role": "tool_call", "content": json.dumps(call)}


def test_coordinates_in_tool_calls_are_places(folder):
    """300 x 200 becomes 308 x 196; each step is about the newest picture."""
    row = {
        "messages": [
            user("<image>Click."),
            clicked(coordinate=[154, 98], text="{{place:0}}"),
            {"role": "tool_response", "content": "<image>"},
            clicked(coordinate=[50, 30], coordinate2=[100, 50]),
        ],
        "images": ["blue.jpg", "red.png"],
        "channel": "gui",
    }
    found = folder.read("rows.jsonl", [row], coordinates="resized")
    record = found.only
    assert record.places[0] == Place("point", 0, (150, 100))
    assert [place.media for place in record.places] == [0, 1, 1]
    sizes = (Size(300, 200), Size(100, 60))
    twice = [Resize(size, Size(2 * size.width, 2 * size.height)) for size in sizes]
    first, second = [
        message.tool_calls[0]["arguments"]
        for message in written(record.conversation.messages, record.places, twice)
        if message.tool_calls
    ]
    assert first == {"action": "left_click", "coordinate": [300, 200], "text": "{{place:0}}"}
    ends = [record.places[index].resized(twice[1]) for index in (1, 2)]
    assert [tuple(second["coordinate"]), tuple(second["coordinate2"])] == ends
    assert found.reading.tally.notes == {}
    as_it_is = folder.read("rows.jsonl", coordinates="none")
    assert as_it_is.only.places == ()
    assert list(as_it_is.reading.tally.notes.values()) == [1]


def test_tool_calls_written_as_text_are_places_too(folder):
    text = (
        '<tool_call>\n{"name": "computer_use", "arguments": {"coordinate": [30, 40]}}\n</tool_call>'
    )
    row = {"messages": [user("<image>Click."), assistant(text)], "images": ["red.png"]}
    record = folder.read("rows.jsonl", [row]).only
    assert record.places == (Place("point", 0, (30, 40)),)
    assert said(record)[1][1] == text.replace("30, 40", "{{place:0}}")


@pytest.mark.parametrize("value", [[400, 10], [-9, 10], [10**400, 1]])
def test_a_wrong_coordinate_of_a_tool_call_is_a_problem(folder, value):
    row = {"messages": [user("<image>Click."), clicked(coordinate=value)], "images": ["red.png"]}
    assert folder.read("rows.jsonl", [row | {"channel": "gui"}]).reasons == ["box"]


def test_what_of_a_tool_call_is_left_is_counted(folder):
    tools = [{"name": "computer_use", "description": "The screen's resolution is 100x60."}]
    row = {
        "messages": [user("<image>Click."), clicked(coordinate=[3, 4], coordinates=[[1, 2]])],
        "images": ["red.png"],
        "tools": tools,
        "channel": "gui",
    }
    found = folder.read("rows.jsonl", [row])
    assert found.only.places == (Place("point", 0, (3, 4)),)
    left, size = found.reading.tally.notes
    assert "left as they are" in left
    assert "size of the screen" in size


def test_pictures_of_the_worse_answer_must_be_those_of_the_better(folder):
    row = {
        "messages": [user("<image>What?"), assistant("dog")],
        "rejected_response": "cat",
        "images": ["red.png"],
        "rejected_images": ["red.png"],
    }
    assert text_of(folder.read("rows.jsonl", [row]).only.rejected[0]) == "cat"
    found = folder.read("rows.jsonl", [row | {"rejected_images": ["blue.jpg"]}])
    assert found.reasons == ["columns"]
    assert "other pictures of the worse answer" in found.problems[0].message


def test_a_loss_of_other_roles_is_counted(folder):
    row = {"messages": [user("Say so.") | {"loss": True}, assistant("So.")]}
    found = folder.read("rows.jsonl", [row])
    assert found.only
    assert found.reading.tally.ignored == {"loss of user": 1}


@pytest.mark.parametrize("repeated", [["prompt"], ["prompt", "messages"], ["messages"]])
def test_trl_pairs_whose_conversations_repeat_the_prompt(folder, repeated):
    talk = [user("Hi."), assistant("Yes?"), user("Red?")]
    others = {"prompt": "Red?", "messages": [*talk, assistant("Yes.")]}
    row = {"chosen": [*talk, assistant("Yes.")], "rejected": [*talk, assistant("No.")]}
    found = folder.read("rows.jsonl", [row | {name: others[name] for name in repeated}])
    assert [text for _, text in said(found.only)] == ["Hi.", "Yes?", "Red?", "Yes."]
    assert answers(found.only) == ["No."]
    found = folder.read("rows.jsonl", [row | {"prompt": "Blue?"}])
    assert found.problems[0].message == "prompt differs from the last question of chosen"


def test_trl_pairs_with_the_prompt_as_messages(folder):
    found = folder.read(
        "r.jsonl", [{"messages": [user("Red?")], "chosen": "Yes.", "rejected": "No."}]
    )
    assert said(found.only) == [("user", "Red?"), ("assistant", "Yes.")]
    assert answers(found.only) == ["No."]

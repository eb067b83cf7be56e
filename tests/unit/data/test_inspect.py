# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.inspect import sheet
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.shards import write_shard


def test_conversations_of_any_shape_are_shown(tmp_path):
    picture = np.zeros((30, 40, 3), np.uint8)
    call = {"name": "zoom", "arguments": {"by": 2}}
    messages = (
        Message("system", (TextPart("Be <short>."),)),
        Message("user", (ImagePart(source=picture), ImagePart(source=picture), TextPart("Same?"))),
        Message("assistant", (TextPart("Yes."),)),
        Message("user", (VideoPart(source=b"no real file", fps=1.0), TextPart("And this?"))),
        Message("assistant", (), tool_calls=(call,)),
    )
    record = Record(
        id="talk",
        conversation=Conversation(messages),
        truth=(Truth(objects=(SceneObject((1, 2, 30, 20), "cat"),)), Truth(), Truth()),
        meta={"split": "train", "generator": "test"},
    )
    write_shard(tmp_path / "a.tar", [record])
    page, shown = sheet(tmp_path)
    assert shown == 1
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<rect") == 1
    for words in ("Be &lt;short&gt;.", "Same?", "Yes.", "a video of 12 bytes", "zoom"):
        assert words in page

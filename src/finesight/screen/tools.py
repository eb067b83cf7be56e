# SPDX-License-Identifier: Apache-2.0
"""The tools `computer_use` and `mobile_use` with which Qwen2.5-VL was trained; their wording is part of the benchmark.

So is the order of their keys, which differs between arguments: the prompt contains a tool as JSON, with its keys in the
order written here.

Source: the cookbooks mobile_agent and computer_use of Qwen2.5-VL, and utils/agent_function_call.py beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.geometry import Size

_POINT = (
    "(x, y): The x (pixels from the left edge) and y (pixels from the top edge) coordinates to move the mouse to."
    " Required only by"
)
_BUTTONS = (
    "Back means returning to the previous interface, Home means returning to the desktop, Menu means opening the"
    " application background menu, and Enter means pressing the enter. Required only by `action=system_button`"
)
_PIXELS = (
    "The amount of scrolling to perform. Positive values scroll up, negative values scroll down. Required only by"
    " `action=scroll`."
)
_COMPUTER = """\
Use a mouse and keyboard to interact with a computer, and take screenshots.
* This is an interface to a desktop GUI. You do not have access to a terminal or applications menu. You must click on \
desktop icons to start applications.
* Some applications may take time to start or process actions, so you may need to wait and take successive screenshots \
to see the results of your actions. E.g. if you click on Firefox and a window doesn't open, try wait and taking \
another screenshot.
* The screen's resolution is {width}x{height}.
* Whenever you intend to move the cursor to click on an element like an icon, you should consult a screenshot to \
determine the coordinates of the element before moving the cursor.
* If you tried clicking on a program or link but it failed to load, even after waiting, try adjusting your cursor \
position so that the tip of the cursor visually falls on the element that you want to click.
* Make sure to click any buttons, links, icons, etc with the cursor tip in the center of the element. Don't click \
boxes on their edges unless asked."""
_MOBILE = """\
Use a touchscreen to interact with a mobile device, and take screenshots.
* This is an interface to a mobile device with touchscreen. You can perform actions like clicking, typing, swiping, etc.
* Some applications may take time to start or process actions, so you may need to wait and take successive screenshots \
to see the results of your actions.
* The screen's resolution is {width}x{height}.
* Make sure to click any buttons, links, icons, etc with the cursor tip in the center of the element. Don't click \
boxes on their edges unless asked."""
_COMPUTER_ACTIONS = {
    "key": "Performs key down presses on the arguments passed in order, then performs key releases in reverse order.",
    "type": "Type a string of text on the keyboard.",
    "mouse_move": "Move the cursor to a specified (x, y) pixel coordinate on the screen.",
    "left_click": "Click the left mouse button.",
    "left_click_drag": "Click and drag the cursor to a specified (x, y) pixel coordinate on the screen.",
    "right_click": "Click the right mouse button.",
    "middle_click": "Click the middle mouse button.",
    "double_click": "Double-click the left mouse button.",
    "scroll": "Performs a scroll of the mouse scroll wheel.",
    "wait": "Wait specified seconds for the change to happen.",
    "terminate": "Terminate the current task and report its completion status.",
}
_MOBILE_ACTIONS = {
    "key": "Perform a key event on the mobile device.\n    - This supports adb's `keyevent` syntax.\n    - Examples:"
    ' "volume_up", "volume_down", "power", "camera", "clear".',
    "click": "Click the point on the screen with coordinate (x, y).",
    "long_press": "Press the point on the screen with coordinate (x, y) for specified seconds.",
    "swipe": "Swipe from the starting point with coordinate (x, y) to the end point with coordinates2 (x2, y2).",
    "type": "Input the specified text into the activated input box.",
    "system_button": "Press the system button.",
    "open": "Open an app on the device.",
    "wait": "Wait specified seconds for the change to happen.",
    "terminate": "Terminate the current task and report its completion status.",
}


def computer_use(screen: Size) -> dict[str, Any]:
    """The tool for computers; `screen` is the size that the model sees."""
    return _tool(
        "computer_use",
        _COMPUTER.format(width=screen.width, height=screen.height),
        _COMPUTER_ACTIONS,
        {
            "keys": _argument("array", "Required only by `action=key`."),
            "text": _argument("string", "Required only by `action=type`."),
            "coordinate": _argument(
                "array", f"{_POINT} `action=mouse_move` and `action=left_click_drag`."
            ),
            "pixels": _argument("number", _PIXELS),
            "time": _argument("number", "The seconds to wait. Required only by `action=wait`."),
            "status": _status(),
        },
    )


def mobile_use(screen: Size) -> dict[str, Any]:
    """The tool for phones; `screen` is the size that the model sees."""
    return _mobile_use(screen, _MOBILE_ACTIONS, "`action=key`, `action=type`, and `action=open`.")


def mobile_use_answering(screen: Size) -> dict[str, Any]:
    """`mobile_use` with the action `answer` for tasks that ask a question, worded as in Qwen3-VL's tool."""
    actions: dict[str, str] = {}
    for action, meaning in _MOBILE_ACTIONS.items():
        actions[action] = meaning
        if action == "type":
            actions["answer"] = "Output the answer."
    texts = "`action=key`, `action=type`, `action=answer`, and `action=open`."
    return _mobile_use(screen, actions, texts)


def _mobile_use(screen: Size, actions: Mapping[str, str], texts: str) -> dict[str, Any]:
    touches = "`action=click`, `action=long_press`, and `action=swipe`."
    waits = "`action=long_press` and `action=wait`."
    return _tool(
        "mobile_use",
        _MOBILE.format(width=screen.width, height=screen.height),
        actions,
        {
            "coordinate": _argument("array", f"{_POINT} {touches}"),
            "coordinate2": _argument("array", f"{_POINT} `action=swipe`."),
            "text": _argument("string", f"Required only by {texts}"),
            "time": _argument("number", f"The seconds to wait. Required only by {waits}"),
            "button": {
                "description": _BUTTONS,
                "enum": ["Back", "Home", "Menu", "Enter"],
                "type": "string",
            },
            "status": _status(),
        },
    )


EXTRAS: Mapping[str, tuple[str, str]] = {
    "answer": ("Give the answer to a question that the task asks.", "The answer."),
    "ask_user": (
        "Ask the user a question, when the task cannot be done without the answer.",
        "The question.",
    ),
    "note": (
        "Write down a fact of the screen that is needed later.",
        "The fact, with its number or name.",
    ),
    "open_url": ("Open a web address.", "The address, with https://."),
}
"""Functions that are offered beside the official tools on request: what each does, and what its argument `text` is."""


def extra_tool(name: str) -> dict[str, Any]:
    """A function of `EXTRAS`; the official tools stay as they are."""
    description, text = EXTRAS[name]
    parameters = {
        "properties": {"text": _argument("string", text)},
        "required": ["text"],
        "type": "object",
    }
    function = {
        "name_for_human": name,
        "name": name,
        "description": description,
        "parameters": parameters,
        "args_format": "Format the arguments as a JSON object.",
    }
    return {"type": "function", "function": function}


def mobile_use_short(screen: Size) -> dict[str, Any]:
    """`mobile_use` without the two keys that qwen-agent adds, as in scripts that write out the tool by hand."""
    tool = mobile_use(screen)
    function = {
        name: value
        for name, value in tool["function"].items()
        if name not in ("name_for_human", "args_format")
    }
    return {**tool, "function": function}


def _tool(
    name: str, description: str, actions: Mapping[str, str], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    listed = "\n".join(f"* `{action}`: {meaning}" for action, meaning in actions.items())
    action = {
        "description": f"The action to perform. The available actions are:\n{listed}",
        "enum": list(actions),
        "type": "string",
    }
    parameters = {
        "properties": {"action": action, **arguments},
        "required": ["action"],
        "type": "object",
    }
    function = {
        "name_for_human": name,
        "name": name,
        "description": description,
        "parameters": parameters,
        "args_format": "Format the arguments as a JSON object.",
    }
    return {"type": "function", "function": function}


def _argument(kind: str, description: str) -> dict[str, Any]:
    return {"description": description, "type": kind}


def _status() -> dict[str, Any]:
    text = "The status of the task. Required only by `action=terminate`."
    return {**_argument("string", text), "enum": ["success", "failure"]}

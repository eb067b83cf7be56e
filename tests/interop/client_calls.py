# SPDX-License-Identifier: Apache-2.0
"""Calls of LiteLLM and LangChain against a server, run by the interpreter of their own environment.

    .venv-clients/bin/python tests/interop/client_calls.py litellm URL PICTURE

prints one JSON object: name of a call -> its result, or "failed: ..." with the error.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

Calls = Iterator[tuple[str, Callable[[], Any]]]

QUESTION = "What is this?"
MOST = 8
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "dog"]}},
    "required": ["kind"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA},
}


def litellm_calls(url: str, picture: str) -> Calls:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else a list is fetched
    import litellm

    shown = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    messages = [{"role": "user", "content": [*shown, {"type": "text", "text": QUESTION}]}]
    schema = {"type": "json_schema", "json_schema": {"name": "seen", "schema": SCHEMA}}
    ours = {"api_base": f"{url}/v1", "api_key": "none", "max_retries": 0}
    for model, place in (
        ("openai/tiny", ours),
        ("ollama/tiny", {"api_base": url}),
        ("ollama_chat/tiny", {"api_base": url}),
    ):

        def ask(model: str = model, place: dict[str, Any] = place, **more: Any) -> Any:
            given = {"messages": messages, "max_tokens": MOST, **place, **more}
            return litellm.completion(model, **given)

        def streamed(ask: Callable[..., Any] = ask) -> str:
            chunks = ask(stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

        yield f"{model} chat", lambda ask=ask: ask().choices[0].message.content
        yield f"{model} stream", streamed
        yield (
            f"{model} schema",
            lambda ask=ask: ask(max_tokens=64, response_format=schema).choices[0].message.content,
        )
        yield (
            f"{model} counts",
            lambda ask=ask: [ask().usage.prompt_tokens, ask().usage.completion_tokens],
        )
    forced = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}

    def called() -> list[Any]:
        given = {"messages": messages, "max_tokens": 64, **forced, **ours}
        (call,) = litellm.completion("openai/tiny", **given).choices[0].message.tool_calls
        return [call.function.name, json.loads(call.function.arguments)]

    yield "openai/tiny tools", called
    yield (
        "openai/tiny responses",
        lambda: (
            litellm.responses(input="Hello", model="openai/tiny", max_output_tokens=MOST, **ours)
            .output[0]
            .content[0]
            .text
        ),
    )
    for model, place in (("openai/tiny", ours), ("ollama/tiny", {"api_base": url})):
        place = {name: place[name] for name in place if name != "max_retries"}
        yield (
            f"{model} embedding",
            lambda model=model, place=place: len(
                litellm.embedding(model, input=["a cat"], **place).data[0]["embedding"]
            ),
        )
    yield (
        "unknown model",
        lambda: litellm.completion("openai/large", messages=messages, **ours),
    )


def langchain_calls(url: str, picture: str) -> Calls:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
    from pydantic import BaseModel, ConfigDict

    class Seen(BaseModel):
        """What is seen."""

        model_config = ConfigDict(extra="forbid")
        kind: Literal["cat", "dog"]

    place = {"model": "tiny", "base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
    image = {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": picture}
    shown = [HumanMessage(content=[image, {"type": "text", "text": QUESTION}])]
    for name, more in (("chat", {}), ("responses", {"use_responses_api": True})):
        model = ChatOpenAI(**place, **more, max_tokens=64, stream_usage=True)
        bound = model.bind_tools([Seen], tool_choice="any", strict=True, parallel_tool_calls=False)

        def streamed(model: Any = model) -> list[Any]:
            first, *rest = model.stream(shown)
            whole = sum(rest, first)
            return [whole.text, whole.usage_metadata["output_tokens"]]

        def talked(model: Any = model, bound: Any = bound) -> list[Any]:
            said = bound.invoke("Look")
            (call,) = said.tool_calls
            output = ToolMessage("a cat", tool_call_id=call["id"])
            after = model.bind_tools([Seen]).invoke([HumanMessage("Look"), said, output])
            return [call["name"], call["args"], isinstance(after, AIMessage)]

        def called(bound: Any = bound) -> list[Any]:
            first, *rest = bound.stream("Look")
            (call,) = sum(rest, first).tool_calls
            return [call["name"], call["args"]]

        def invoked(model: Any = model) -> list[Any]:
            answer = model.invoke(shown)
            return [answer.text, answer.usage_metadata["output_tokens"]]

        yield f"{name} invoke", invoked
        yield f"{name} stream", streamed
        yield f"{name} tools", talked
        yield f"{name} tools streamed", called
        for method in ("json_schema", "function_calling"):
            yield (
                f"{name} structured {method}",
                lambda model=model, method=method: (
                    model.with_structured_output(Seen, method=method).invoke("A cat?").kind
                ),
            )
        yield f"{name} batch", lambda model=model: [m.text for m in model.batch(["a", "b", "a"])]
    yield (
        "logprobs",
        lambda: len(
            ChatOpenAI(**place, max_tokens=MOST)
            .bind(logprobs=True)
            .invoke(shown)
            .response_metadata["logprobs"]["content"]
        ),
    )
    yield "text", lambda: OpenAI(**place, max_tokens=MOST).invoke("Hello")
    vectors = OpenAIEmbeddings(
        model="tiny", base_url=f"{url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    yield "embedding", lambda: [len(each) for each in vectors.embed_documents(["a cat", "a dog"])]


def result_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # the test says what it expected
        return f"failed: {type(error).__name__}: {error}"


def main() -> None:
    package, url, path = sys.argv[1:]
    picture = base64.b64encode(Path(path).read_bytes()).decode()
    calls = {"litellm": litellm_calls, "langchain": langchain_calls}[package](url, picture)
    sys.stdout.write(json.dumps({name: result_of(call) for name, call in calls}))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""`Endpoint`: any OpenAI-compatible chat-completions API as a `Responder`.

What passes is tried again, with growing pauses: too many requests, errors of the server, a connection that breaks or
is too slow, an answer cut off in the middle. What does not pass is said at once: a wrong address, a wrong key, a
request the server refuses.

An endpoint does not say how it resizes pictures. Either state what the numbers in its answers mean, or give `fit`,
and pictures are resized here, where the size is then known.
"""

from __future__ import annotations

import json
import random
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpcore

from finesight.config.processor import ProcessorConfig
from finesight.conversation import Conversation, Reply, Sampling
from finesight.errors import ConfigError, PromptTooLong, RemoteError
from finesight.media.fetch import address_name
from finesight.remote.payload import Fit, payload_of, reply_of

MOST_ANSWER_BYTES = 32 * 2**20
KEPT_SECONDS = 30.0
"""How long an idle connection stays open; servers and what stands before them often close it after a minute."""
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_SAID = 300


class _Passing(RemoteError):
    """A failure that may be gone the next time; `wait` are the seconds the server asked for."""

    wait: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Endpoint:
    """A model behind an HTTP API; may be called from several threads.

    Connections are kept open between requests, one per thread that asks at the same time, and closed with the endpoint.

    Attributes:
        url: base address, such as `http://host:8000/v1`.
        model: what the API calls the model.
        api_key: sent as a bearer token; empty sends none. It is shown in no message.
        timeout_seconds: for one try, from connection to the last byte.
        max_tries: tries for one answer.
        first_pause_seconds: before the second try; doubles each time.
        longest_pause_seconds: most that is waited, whatever the server asks for.
        fit: size at which a picture is sent; None sends files as they are, and replies say nothing of sizes.
        config: how videos are sampled where a part does not say.
        sleep: waits; tests give their own.
    """

    url: str
    model: str
    api_key: str = field(default="", repr=False)
    timeout_seconds: float = 300.0
    max_tries: int = 6
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    fit: Fit | None = None
    config: ProcessorConfig = field(default_factory=ProcessorConfig)
    sleep: Callable[[float], None] = time.sleep
    _pool: httpcore.ConnectionPool = field(
        default_factory=lambda: httpcore.ConnectionPool(
            max_connections=None, keepalive_expiry=KEPT_SECONDS
        ),
        init=False,
        repr=False,
        compare=False,
    )

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{address_name(self.url)!r} is no address of an endpoint",
                hint="give its base address, such as http://host:8000/v1",
            )
        if self.max_tries < 1 or not self.timeout_seconds > 0:
            raise ConfigError(
                f"max_tries={self.max_tries} and timeout_seconds={self.timeout_seconds} must be above 0"
            )
        weakref.finalize(self, self._pool.close)

    def close(self) -> None:
        """Close connections that are kept open; the next request opens another one."""
        self._pool.close()

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer each conversation, one after the other.

        Raises:
            RemoteError: there is no answer after all tries, or there never will be.
            PromptTooLong: the endpoint says that the prompt does not fit.
            MediaError: a picture or video cannot be read.
        """
        sampling.check()
        return [self._answer(conversation, sampling) for conversation in conversations]

    def _answer(self, conversation: Conversation, sampling: Sampling) -> Reply:
        payload = payload_of(self.model, conversation, sampling, fit=self.fit, config=self.config)
        content = json.dumps(payload.body).encode()
        for tried in range(1, self.max_tries + 1):
            try:
                return reply_of(self._post(content), payload, where=self._name)
            except _Passing as error:
                if tried == self.max_tries:
                    raise RemoteError(
                        f"{error.message}; tried {tried} times",
                        hint="is the server up? a later run asks failed items again on demand",
                    ) from error
                self.sleep(self._pause(tried, error.wait))
        raise AssertionError("the last try returns or raises")

    @property
    def _name(self) -> str:
        return address_name(self.url)

    def _pause(self, tried: int, asked: float) -> float:
        """Seconds before the next try; spread, so that many threads do not come back together."""
        pause = self.first_pause_seconds * 2.0 ** (tried - 1) * random.uniform(0.75, 1.25)
        return min(max(pause, asked), self.longest_pause_seconds)

    def _post(self, content: bytes) -> bytes:
        """Send a request and give the body of its answer."""
        deadline = time.monotonic() + self.timeout_seconds
        kinds = ("connect", "read", "write", "pool")
        extensions = {"timeout": dict.fromkeys(kinds, self.timeout_seconds)}
        target = f"{self.url.rstrip('/')}/chat/completions"
        try:
            with self._pool.stream(
                "POST", target, headers=self._headers(), content=content, extensions=extensions
            ) as response:
                body = self._body(response, deadline)
                status = response.status
                wait = _seconds_asked(response)
        except httpcore.TimeoutException as error:
            raise _Passing(
                f"{self._name} did not answer within {self.timeout_seconds:g} s"
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            said = str(error) or type(error).__name__
            raise _Passing(f"{self._name} broke the connection: {said}") from error
        if status == 200:
            return body
        self._refuse(status, body, wait)
        raise AssertionError("every other status raises")

    def _headers(self) -> Mapping[bytes | str, bytes | str]:
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        headers["User-Agent"] = "finesight"
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    def _body(self, response: httpcore.Response, deadline: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > MOST_ANSWER_BYTES:
                raise RemoteError(
                    f"{self._name} sent more than {MOST_ANSWER_BYTES:,} bytes for one answer"
                )
            if time.monotonic() > deadline:  # a trickle of bytes never times out by itself
                raise _Passing(f"{self._name} did not answer within {self.timeout_seconds:g} s")
        return bytes(body)

    def _refuse(self, status: int, body: bytes, wait: float) -> None:
        """Raise what a status other than 200 means."""
        said = " ".join(body.decode("utf-8", errors="replace").split())[:_LONGEST_SAID]
        message = f"{self._name} answered with status {status}: {said or 'nothing'}"
        if status in _PASSING:
            error = _Passing(message)
            error.wait = wait
            raise error
        if status in (400, 413, 422) and _is_about_length(said):
            raise PromptTooLong(message, hint="give a smaller pixel budget or fewer frames")
        hints = {
            401: "is the API key right?",
            403: "may this key use this model?",
            404: f"is the address right, and is there a model {self.model!r}?",
        }
        raise RemoteError(message, hint=hints.get(status, ""))


def _is_about_length(said: str) -> bool:
    """Whether a refusal is about the length of the prompt, in the words of vLLM, SGLang or OpenAI."""
    lower = said.lower()
    return any(
        words in lower
        for words in (
            "context length",
            "context_length",
            "maximum length",
            "too long",
            "max_model_len",
        )
    )


def _seconds_asked(response: httpcore.Response) -> float:
    """`Retry-After` in seconds; 0 where it is missing or a date."""
    for name, value in response.headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return 0.0

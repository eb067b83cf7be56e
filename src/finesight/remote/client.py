# SPDX-License-Identifier: Apache-2.0
"""`Endpoint`: any OpenAI-compatible chat-completions API as a `Responder`.

Transient failures are retried with exponential backoff: too many requests, server errors, a connection that breaks or
times out, an answer cut off in the middle. Other failures are raised at once: a wrong URL, a wrong key, a request that
the server refuses.

An endpoint does not report how it resizes pictures. Either state the coordinate space of its answers, or give `fit`:
pictures are then resized before they are sent, and their size is known.
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
from finesight.errors import ConfigError, FinesightError, PromptTooLong, RemoteError
from finesight.media.fetch import address_name
from finesight.remote.payload import Fit, payload_of, reply_of

MOST_ANSWER_BYTES = 32 * 2**20
KEPT_SECONDS = 30.0
"""How long an idle connection stays open; servers and proxies often close it after a minute."""
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_QUOTE = 300


class _TransientError(RemoteError):
    """A failure worth a retry; `wait` is the pause in seconds that the server requested."""

    wait: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Endpoint:
    """A model behind an HTTP API; thread-safe.

    Connections are kept open between requests, one per concurrent thread, and closed with the endpoint.

    Attributes:
        url: base URL, such as `http://host:8000/v1`.
        model: name of the model in the API.
        api_key: sent as a bearer token; empty sends none. No message contains it.
        timeout_seconds: for one try, from connection to the last byte.
        max_tries: largest number of tries for one answer.
        first_pause_seconds: pause before the second try; doubled each time.
        longest_pause_seconds: longest pause, even if the server requests more.
        fit: size at which a picture is sent; None sends files unchanged, and replies have no media records.
        config: video sampling for parts that do not set it.
        sleep: the function that waits; tests replace it.
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
                f"{address_name(self.url)!r} is not the URL of an endpoint",
                hint="give its base URL, such as http://host:8000/v1",
            )
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigError(
                "the API key has a character that a header cannot have",
                hint="is there a line break at its end, or a sign that is no letter or digit?",
            )
        if self.max_tries < 1 or not self.timeout_seconds > 0:
            raise ConfigError(
                f"max_tries={self.max_tries} and timeout_seconds={self.timeout_seconds} must be above 0"
            )
        weakref.finalize(self, self._pool.close)

    def close(self) -> None:
        """Close idle connections; the next request opens a new one."""
        self._pool.close()

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer the conversations one by one.

        Raises:
            RemoteError: all tries failed, or a failure is permanent.
            PromptTooLong: the endpoint reports that the prompt is too long.
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
            except _TransientError as error:
                if tried == self.max_tries:
                    raise RemoteError(
                        f"{error.message}; tried {tried} times",
                        hint="is the server up? a later run can ask failed items again",
                    ) from error
                self.sleep(self._pause(tried, error.wait))
        raise AssertionError("the last try returns or raises")

    @property
    def _name(self) -> str:
        return address_name(self.url)

    def _pause(self, tried: int, requested: float) -> float:
        """Seconds before the next try, with jitter, so that threads do not retry simultaneously."""
        pause = self.first_pause_seconds * 2.0 ** (tried - 1) * random.uniform(0.75, 1.25)
        return min(max(pause, requested), self.longest_pause_seconds)

    def _post(self, content: bytes) -> bytes:
        """Send a request and return the body of the response."""
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
                wait = _retry_after(response)
        except httpcore.TimeoutException as error:
            raise _TransientError(
                f"{self._name} did not answer within {self.timeout_seconds:g} s"
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise _TransientError(f"the connection to {self._name} failed: {reason}") from error
        if status == 200:
            return body
        raise self._status_error(status, body, wait)

    def _headers(self) -> Mapping[bytes | str, bytes | str]:
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "finesight",
        }
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
            if time.monotonic() > deadline:  # the timeout of a read does not limit a slow stream
                raise _TransientError(
                    f"{self._name} did not answer within {self.timeout_seconds:g} s"
                )
        return bytes(body)

    def _status_error(self, status: int, body: bytes, wait: float) -> FinesightError:
        """The error for a status other than 200."""
        text = " ".join(body.decode("utf-8", errors="replace").split())[:_LONGEST_QUOTE]
        message = f"{self._name} answered with status {status}: {text or '(empty)'}"
        if status in _TRANSIENT_STATUS:
            error = _TransientError(message)
            error.wait = wait
            return error
        if status in (400, 413, 422) and _is_about_length(text):
            return PromptTooLong(message, hint="give a smaller pixel budget or fewer frames")
        hints = {
            401: "is the API key right?",
            403: "may this key use this model?",
            404: f"is the URL right, and is there a model {self.model!r}?",
        }
        return RemoteError(message, hint=hints.get(status, ""))


def _is_about_length(text: str) -> bool:
    """Whether an error text of vLLM, SGLang or OpenAI is about the length of the prompt."""
    lower = text.lower()
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


def _retry_after(response: httpcore.Response) -> float:
    """`Retry-After` in seconds; 0 if it is missing or a date."""
    for name, value in response.headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return 0.0

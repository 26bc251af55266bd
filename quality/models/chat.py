"""One request to an OpenAI-compatible chat endpoint: its text, or which of three kinds of failure there was.

A failure that may pass (`Unanswered`), the refusal of one question (`Refused`), and the refusal of all (EndpointError).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import orjson

from quality.models.failures import Refused, Unanswered, cause, retry_after, said
from quality.text.turns import Message
from raylib.credentials import key_variable_problem, secret_in
from raylib.errors import EndpointError, ParameterError
from raylib.event_loops import run_to_end
from raylib.extras import optional

if TYPE_CHECKING:
    import httpx

__all__ = ["INCIDENTAL", "PROBE", "Chat", "Completion", "check_endpoint"]

Options = Mapping[str, object]  # of a request: temperature, max_tokens, seed, tools ...

INCIDENTAL = frozenset(
    ("base_url", "key_env", "concurrency", "requests_per_minute", "timeout", "retries", "malformed_retries")
    + ("first_wait", "max_wait", "give_up_after", "unanswered", "probe", "price_in", "price_out", "cache")
)
"""Parameters of a stage that asks an endpoint which do not determine its output."""

PROBE = "Reply with the word OK."
_PAUSES = (0.5, 1.0, 2.0)  # seconds between the tries of a probe
_CONNECT = 10.0  # seconds within which a server that runs takes a connection
_NO_CREDIT = 402
_OF_ALL = {401, _NO_CREDIT, 403, 404, 405, 407, 410}  # statuses that say nothing about the question
_BUSY = 429
_PASSING = {408, 425, _BUSY}  # besides 5xx
_FILTER = re.compile(
    r"moderation|flagged|content.{0,3}(filter|policy|management)|data_inspection|敏感|审核|违规", re.IGNORECASE
)


def check_endpoint(base_url: str, key_env: str) -> str:
    """Find the base URL of an endpoint.

    Args:
        base_url: The URL up to `/v1`; if empty, the environment variable OPENAI_BASE_URL.
        key_env: Name of the environment variable that holds the key, for the message.

    Returns:
        The URL without a slash at its end.

    Raises:
        ParameterError: If there is no URL, if it is not one of http or https, if it carries a secret, or if `key_env`
            is no name of a variable.
    """
    problem = key_variable_problem(key_env)
    if problem:  # the value is not shown: it may be a key
        raise ParameterError(f"key_env {problem}")
    url = base_url or os.environ.get("OPENAI_BASE_URL", "")
    if not url:
        raise ParameterError("base_url: give the endpoint, such as http://localhost:8000/v1, or set OPENAI_BASE_URL")
    secret = secret_in(url)
    if secret:
        raise ParameterError(f"base_url must not hold {secret}; put the key into the variable {key_env}")
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # the port is no number, or a bracket is open
        raise ParameterError(f"base_url is no URL: {error}") from None
    if not named:
        raise ParameterError("base_url must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query:
        raise ParameterError(f"base_url must not hold user, password or query; put the key into the variable {key_env}")
    return url.rstrip("/")


@dataclass(frozen=True)
class Completion:
    """A response of the server.

    Attributes:
        text: The answer; None if there is none.
        ending: Why the answer ends, as the server says.
        usage: Tokens, as the server counted them.
    """

    text: str | None
    ending: str
    usage: Mapping[str, int | None]


class _Asks(Protocol):
    """A stage with the parameters of an endpoint."""

    @property
    def base_url(self) -> str: ...
    @property
    def key_env(self) -> str: ...
    @property
    def timeout(self) -> float: ...


@dataclass(frozen=True)
class Chat:
    """A model at an endpoint, and the key for it.

    Attributes:
        url: URL up to `/v1`.
        model: Name of the model.
        key_env: Environment variable that holds the key.
        timeout: Seconds that a request may take.
    """

    url: str
    model: str
    key_env: str
    timeout: float

    @classmethod
    def of(cls, stage: _Asks, model: str) -> Chat:
        """The model that a stage asks.

        Args:
            stage: A stage with the parameters of an endpoint.
            model: Name of the model.

        Returns:
            The model at the stage's endpoint.

        Raises:
            ParameterError: There is no endpoint to ask; see `check_endpoint`.
        """
        return cls(check_endpoint(stage.base_url, stage.key_env), model, stage.key_env, stage.timeout)

    def probes(self, options: Options) -> dict[str, Callable[[], None]]:
        """What `StageHooks.probes` returns for this model.

        Args:
            options: Options of the requests that will follow.
        """
        return {f"{self}, key {self.key_env}": partial(self.probe_here, options)}

    def __str__(self) -> str:
        return f"endpoint {self.url}, model {self.model}"

    @property
    def _key(self) -> str:
        return os.environ.get(self.key_env, "").strip()

    def client(self, concurrency: int) -> httpx.AsyncClient:
        """A client with as many connections.

        Args:
            concurrency: Number of requests in flight.

        Raises:
            EndpointError: The key cannot be sent.
        """
        http = _http()
        key = self._key
        if not (key.isascii() and key.isprintable()):
            raise EndpointError(f"the variable {self.key_env} holds characters that no key has; put the key into it")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = http.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        timeout = http.Timeout(self.timeout, connect=min(self.timeout, _CONNECT))
        made: httpx.AsyncClient = http.AsyncClient(headers=headers, timeout=timeout, limits=limits)
        return made

    async def post(self, client: httpx.AsyncClient, messages: Sequence[Message], options: Options) -> Completion:
        """Ask once.

        Args:
            client: A client of this endpoint.
            messages: The question.
            options: Options of the request.

        Returns:
            The answer, of which the text may be missing.

        Raises:
            Unanswered: The request failed in a way that may pass.
            Refused: The server refuses this question.
            EndpointError: The server refuses all questions.
        """
        response = await self._response(client, {"model": self.model, "messages": messages, **options})
        if response.status_code != 200:
            raise self._failure(response)
        try:
            data = orjson.loads(response.content)
            usage = data.get("usage")
            choice = data["choices"][0]
            text = choice["message"]["content"]
            ending = str(choice.get("finish_reason") or "")
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            raise Unanswered("the answer is no chat completion (cut, or not JSON)") from None
        return Completion(text if isinstance(text, str) else None, ending, _counts(usage))

    async def _response(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> httpx.Response:
        """The response to one request. Raises Unanswered for a time-out or a broken connection."""
        http = _http()
        try:
            # the client's time-out counts from the last byte: a server that drips would hold it for ever
            return await asyncio.wait_for(client.post(f"{self.url}/chat/completions", json=body), self.timeout)
        except http.ConnectTimeout:
            seconds = min(self.timeout, _CONNECT)
            raise Unanswered(f"no connection within {seconds:g} s", slow=True) from None
        except (http.TimeoutException, TimeoutError, asyncio.TimeoutError):
            raise Unanswered(f"no answer within {self.timeout:g} s", slow=True) from None
        except http.HTTPError as error:
            raise Unanswered(f"connection failed: {cause(error)}") from None
        except (http.InvalidURL, ValueError) as error:  # such as a port that is no number
            raise EndpointError(f"{self}: {error}; check base_url") from None

    def _failure(self, response: httpx.Response) -> Exception:
        """What a response other than 200 means."""
        status = response.status_code
        message = self.clean(said(response))
        problem = f"HTTP {status}: {message}" if message else f"HTTP {status}"
        if status == _BUSY and "insufficient_quota" in response.text:
            return self.stop(problem, self._advice(_NO_CREDIT))
        if status >= 500 or status in _PASSING:
            return Unanswered(problem, retry_after(response.headers), status=status)
        if status < 400:
            return self.stop(
                problem, f"base_url is redirected to {response.headers.get('location', '?')}; give that URL"
            )
        if status in _OF_ALL and not (status == 403 and _FILTER.search(response.text)):
            return self.stop(problem, self._advice(status))
        return Refused(problem)

    def _advice(self, status: int) -> str:
        """What to do about a refusal of all questions."""
        if status in (401, 403) and not self._key:
            return f"the variable {self.key_env} is not set; put the key of this endpoint into it"
        if status == 401:
            return f"put a valid key into the variable {self.key_env}"
        if status == 403:
            return f"the key in the variable {self.key_env} may not use this model; put another one into it"
        if status == _NO_CREDIT:
            return f"the account of the key in the variable {self.key_env} needs credit"
        return "check model (its name at the endpoint) and base_url (the URL up to /v1)"

    def stop(self, problem: str, advice: str) -> EndpointError:
        """The error for an endpoint that answers nothing.

        Args:
            problem: What it said, or what happened.
            advice: What to do.

        Returns:
            The error, in one line.
        """
        return EndpointError(f"{self}: {self.clean(problem)}; {advice}. The same command then continues")

    async def probe(self, client: httpx.AsyncClient, options: Options) -> None:
        """Ask one small question, to learn whether the endpoint answers at all.

        Args:
            client: A client of this endpoint.
            options: Options of the requests that will follow.

        Raises:
            EndpointError: It does not.
        """
        question: list[Message] = [{"role": "user", "content": PROBE}]
        for pause in (*_PAUSES, None):
            problem = await self._problem(client, question, options)
            if problem is None or problem.status == _BUSY:
                return  # a busy server takes the key, and real questions wait
            if pause is None or problem.slow:
                raise self.stop(problem.reason, "check that the server runs, and base_url")
            await asyncio.sleep(pause)

    async def _problem(
        self, client: httpx.AsyncClient, question: Sequence[Message], options: Options
    ) -> Unanswered | None:
        """Why a question got no answer, if that may pass. Raises EndpointError if it will not."""
        try:
            await self.post(client, question, options)
        except Unanswered as error:
            return error
        except Refused as error:
            advice = "it refuses even a small question: check model, base_url and the options of the request"
            raise self.stop(str(error), advice) from None
        return None

    def probe_here(self, options: Options) -> None:
        """The same with a client of its own, from code without a loop.

        Args:
            options: Options of the requests that will follow.

        Raises:
            EndpointError: The endpoint does not answer.
        """

        async def job() -> None:
            async with self.client(1) as client:
                await self.probe(client, options)

        run_to_end(job())

    def clean(self, text: str) -> str:
        """Remove the key, which a server may have sent back.

        Args:
            text: What the server said.
        """
        return text.replace(self._key, "***") if self._key else text


def _counts(usage: object) -> dict[str, int | None]:
    """The whole numbers among what a server counts."""
    return {k: v for k, v in usage.items() if isinstance(v, int)} if isinstance(usage, dict) else {}


def _http() -> ModuleType:
    return optional("httpx", purpose="an endpoint")

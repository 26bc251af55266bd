"""A client of OpenAI-compatible chat endpoints, with retries, a rate limit, cost accounting and a cache for reruns.

The key comes from the environment and is used in the request's header only: it never appears in parameters, logs,
reports or exceptions.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import orjson

from quality.models.answer import Answer, Malformed, Usage, read_json
from quality.models.answer_cache import Cache
from quality.text.turns import Message
from raylib.errors import ParameterError
from raylib.extras import optional

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

__all__ = ["Answer", "Endpoint", "Malformed", "Usage", "check_endpoint", "read_json"]

T = TypeVar("T")
Options = Mapping[str, float]  # of a request: temperature, max_tokens, seed ...


class _Again(Exception):
    """A request failed in a way that may pass; `wait` is the number of seconds that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class _Refused(Exception):
    """A request failed in a way that no retry will change, such as 401."""


def _optional(module: str) -> ModuleType:
    """A package that the extra `quality` installs."""
    return optional(module, purpose="an endpoint")


def check_endpoint(base_url: str, key_env: str) -> str:
    """Find the base URL of an endpoint.

    Args:
        base_url: The URL up to `/v1`; if empty, the environment variable OPENAI_BASE_URL.
        key_env: Name of the environment variable that holds the key, for the message.

    Returns:
        The URL without a slash at its end.

    Raises:
        ParameterError: If there is no URL, if it is not one of http or https, or if it carries a secret.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL", "")
    if not url:
        raise ParameterError("base_url: give the endpoint, such as http://localhost:8000/v1, or set OPENAI_BASE_URL")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ParameterError("base_url must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query:
        raise ParameterError(f"base_url must not hold user, password or query; put the key into the variable {key_env}")
    return url.rstrip("/")


@dataclass
class Endpoint:
    """A client of one chat endpoint.

    Attributes:
        model: Name of the model at the endpoint.
        base_url: URL up to `/v1`; if empty, the environment variable OPENAI_BASE_URL.
        key_env: Environment variable that holds the key. It may be unset for servers that need none.
        concurrency: Number of requests in flight.
        requests_per_minute: Largest number of requests per minute; 0 means no limit.
        timeout: Seconds that one request may take.
        retries: Further tries after 429, 5xx, time-outs and broken connections, with exponential back-off and
            jitter. A Retry-After is honoured up to `max_wait`.
        malformed_retries: Further tries after an answer that the parser refused.
        max_wait: Longest pause before a retry, in seconds.
        price_in: Price of a million tokens of prompts, in any currency.
        price_out: Price of a million tokens of answers.
        budget: Cost at which requests stop; 0 means no limit.
        give_up_after: Number of failed requests in a row after which no more are sent; 0 means no limit.
        cache: Path of the cache of answers; empty means no cache.
        first_wait: Longest pause before the first retry, in seconds.
        usage: What the client has done since `usage.take`.
    """

    model: str
    base_url: str = ""
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    requests_per_minute: float = 0
    timeout: float = 60.0
    retries: int = 5
    malformed_retries: int = 2
    max_wait: float = 30.0
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float = 0.0
    give_up_after: int = 50
    cache: str = ""
    first_wait: float = 0.5
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._url = check_endpoint(self.base_url, self.key_env)
        self._cache = Cache(self.cache) if self.cache else None
        self._spent = 0.0
        self._failed_in_a_row = 0
        self._next_start = 0.0

    @classmethod
    def of(cls, stage: object, model: str) -> Endpoint:
        """Make the endpoint whose parameters a stage has under the same names.

        Args:
            stage: A stage with parameters such as `base_url` and `cache`; those it lacks keep their defaults.
            model: Name of the model at the endpoint.

        Returns:
            The endpoint.

        Raises:
            ParameterError: If there is no endpoint to ask; see `check_endpoint`.
        """
        names = [f.name for f in fields(cls) if f.name not in ("model", "usage") and hasattr(stage, f.name)]
        return cls(model, **{name: getattr(stage, name) for name in names})

    # ---- asking -------------------------------------------------------------------------------

    def ask(
        self,
        prompts: Sequence[Sequence[Message]],
        parse: Callable[[str], T],
        *,
        numbers: Sequence[int] | None = None,
        **options: float,
    ) -> list[Answer[T]]:
        """Ask for answers to all prompts. Never raises for anything that the server does.

        Args:
            prompts: Messages of each question.
            parse: Makes a value of the text of an answer, or raises Malformed.
            numbers: A number per prompt that distinguishes repetitions of the same question. By default all are 0.
            **options: Options of the request, such as `temperature`, `max_tokens` and `seed`.

        Returns:
            The answers, in the order of the prompts.
        """
        if not prompts:
            return []
        job = self._ask_all(prompts, numbers or [0] * len(prompts), parse, options)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(job)
        # a notebook runs a loop already: the work goes to a thread with another one
        out: list[list[Answer[T]]] = []
        thread = threading.Thread(target=lambda: out.append(asyncio.run(job)))
        thread.start()
        thread.join()
        return out[0]

    async def _ask_all(
        self,
        prompts: Sequence[Sequence[Message]],
        numbers: Sequence[int],
        parse: Callable[[str], T],
        options: Options,
    ) -> list[Answer[T]]:
        """Answers to all prompts, `concurrency` at a time."""
        http = _optional("httpx")
        headers = {}
        key = os.environ.get(self.key_env, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        gate = asyncio.Semaphore(self.concurrency)
        limits = http.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        async with http.AsyncClient(headers=headers, timeout=self.timeout, limits=limits) as client:

            async def one(messages: Sequence[Message], number: int) -> Answer[T]:
                key = self._key(messages, number, options)
                async with gate:
                    return self._cached(key, parse) or await self._answer(client, key, messages, parse, options)

            return list(await asyncio.gather(*(one(m, n) for m, n in zip(prompts, numbers, strict=True))))

    def _key(self, messages: Sequence[Message], number: int, options: Options) -> str:
        """Hash of what determines an answer: the model, not where its endpoint is."""
        what = orjson.dumps([self.model, messages, number, options], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(what, digest_size=20).hexdigest()

    def _cached(self, key: str, parse: Callable[[str], T]) -> Answer[T] | None:
        """The answer from the cache, unless it has none that this parser can read."""
        content = self._cache.get(key) if self._cache is not None else None
        if content is not None:
            with suppress(Malformed):  # another parser may read what the last one could not
                value = parse(content)
                self.usage.cached += 1
                return Answer(value, cached=True)
        return None

    async def _answer(
        self,
        client: httpx.AsyncClient,
        key: str,
        messages: Sequence[Message],
        parse: Callable[[str], T],
        options: Options,
    ) -> Answer[T]:
        """The answer of the server, asked for again while it is malformed."""
        error = self._stopped()
        for turn in range(0 if error else self.malformed_retries + 1):
            try:
                content = await self._request_with_retries(client, messages, options)
            except (_Again, _Refused) as problem:
                self._failed_in_a_row += 1
                error = str(problem)
                break
            self._failed_in_a_row = 0
            try:
                value = parse(content)
            except Malformed as problem:
                self.usage.malformed += 1
                error = f"malformed answer: {problem}"
                if turn < self.malformed_retries:
                    self.usage.retries += 1
                continue
            if self._cache is not None:
                self._cache.put(key, content)
            return Answer(value)
        self.usage.failed += 1
        return Answer(None, self._clean(error))

    def _stopped(self) -> str:
        """Why no more requests are sent; empty as long as they are."""
        if self.budget and self._spent >= self.budget:
            return f"budget of {self.budget:g} is spent"
        if self.give_up_after and self._failed_in_a_row >= self.give_up_after:
            return f"endpoint given up after {self._failed_in_a_row} failures in a row"
        return ""

    async def _request_with_retries(
        self, client: httpx.AsyncClient, messages: Sequence[Message], options: Options
    ) -> str:
        """The text of an answer. Raises _Again after the last try, _Refused at once."""
        tenacity = _optional("tenacity")
        backoff = tenacity.wait_random_exponential(multiplier=self.first_wait, max=self.max_wait)

        def wait(state: RetryCallState) -> float:
            problem = state.outcome.exception() if state.outcome else None
            asked = problem.wait if isinstance(problem, _Again) else 0.0
            self.usage.retries += 1
            return min(self.max_wait, max(asked, float(backoff(state))))

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=wait,
            reraise=True,
        )
        return str(await retrying(self._request, client, messages, options))

    async def _request(self, client: httpx.AsyncClient, messages: Sequence[Message], options: Options) -> str:
        """The text of an answer, by one request."""
        response = await self._posted(client, {"model": self.model, "messages": messages, **options})
        status = response.status_code
        if status == 429 or status >= 500 or status == 408:
            raise _Again(f"HTTP {status}", _retry_after(response.headers))
        if status != 200:
            raise _Refused(f"HTTP {status}: {response.text[:200]}")
        try:
            data = orjson.loads(response.content)
            self._account(data.get("usage") or {})
            content = data["choices"][0]["message"]["content"]
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            raise _Again("the answer is no chat completion (cut, or not JSON)") from None
        if not isinstance(content, str):
            raise _Again("the answer holds no text")
        return content

    async def _posted(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> httpx.Response:
        """The response to one request. Raises _Again for a time-out or a broken connection."""
        http = _optional("httpx")
        await self._take_turn()
        self.usage.requests += 1
        try:
            # the client's time-out counts from the last byte: a server that drips would hold it for ever
            post = client.post(f"{self._url}/chat/completions", json=body)
            return await asyncio.wait_for(post, self.timeout)
        except (http.TimeoutException, TimeoutError, asyncio.TimeoutError):
            raise _Again(f"no answer within {self.timeout:g} s") from None
        except http.HTTPError as error:
            raise _Again(f"connection failed: {type(error).__name__}") from None

    def _account(self, usage: Mapping[str, int | None]) -> None:
        """Add what the server counted."""
        tokens_in, tokens_out = (int(usage.get(k) or 0) for k in ("prompt_tokens", "completion_tokens"))
        cost = (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6
        self.usage.tokens_in += tokens_in
        self.usage.tokens_out += tokens_out
        self.usage.cost += cost
        self._spent += cost

    async def _take_turn(self) -> None:
        """Wait until the rate limit allows another request."""
        if self.requests_per_minute:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + 60.0 / self.requests_per_minute
            await asyncio.sleep(start - now)

    def _clean(self, text: str) -> str:
        """Remove the key, which a server may have sent back."""
        key = os.environ.get(self.key_env, "")
        return text.replace(key, "***") if key else text

    def __repr__(self) -> str:
        return f"Endpoint(model={self.model!r}, base_url={self._url!r})"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a response asks to wait; 0 if it does not say."""
    try:
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        return 0.0

"""A client of OpenAI-compatible chat endpoints: retries, rate limit, cost accounting, and a cache that makes a rerun free.

The key comes from the environment and goes nowhere but into the request's header: not into parameters, logs,
reports or exceptions.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from quality.models.answer_cache import Cache

__all__ = ["Answer", "Endpoint", "Malformed", "Usage", "check_endpoint", "read_json"]


T = TypeVar("T")
Messages = list[dict[str, str]]


class Malformed(ValueError):
    """What an answer's parser raises for an answer that it cannot use."""


class _Again(Exception):
    """A try that may succeed the next time, with the seconds that the server asked to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class _Refused(Exception):
    """An answer that no retry will change, such as 401."""


@dataclass(frozen=True)
class Answer:
    """The parsed value, or None and why there is none."""

    value: Any
    error: str = ""
    cached: bool = False


@dataclass
class Usage:
    """What a client did. Tokens and cost as the server counted them, failed and malformed answers included."""

    requests: int = 0
    retries: int = 0
    cached: int = 0
    malformed: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def take(self) -> dict[str, float]:
        """The counts since the last call."""
        taken = dict(vars(self))
        for name, value in taken.items():
            setattr(self, name, type(value)(0))
        return taken


def check_endpoint(base_url: str, key_env: str) -> str:
    """The base URL to use. Raises ValueError when there is none, when it carries a secret, or when the key is missing."""
    url = base_url or os.environ.get("OPENAI_BASE_URL", "")
    if not url:
        raise ValueError("base_url: give the endpoint, such as http://localhost:8000/v1, or set OPENAI_BASE_URL")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query:
        raise ValueError(f"base_url must not hold user, password or query; put the key into the variable {key_env}")
    return url.rstrip("/")


@dataclass
class Endpoint:
    """One chat endpoint.

    Args:
        model: name of the model at the endpoint.
        base_url: up to `/v1`; empty: OPENAI_BASE_URL.
        key_env: environment variable that holds the key; it may be empty for servers that ask for none.
        concurrency: requests in flight.
        requests_per_minute: 0: no limit.
        timeout: seconds of one try.
        retries: further tries after 429, 5xx, time-outs and broken connections, with exponential back-off and
            jitter; a Retry-After is honoured up to `max_wait`.
        malformed_retries: further tries after an answer that the parser refused.
        max_wait: longest pause before a retry, seconds.
        price_in, price_out: of a million tokens, in any currency.
        budget: cost at which requests stop; 0: no limit.
        give_up_after: failed requests in a row after which no more are tried; 0: never.
        cache: path of the cache; empty: none.
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

    # ---- asking -------------------------------------------------------------------------------

    def ask(self, prompts: Sequence[Messages], parse: Callable[[str], T], **options: Any) -> list[Answer]:
        """Answers to all prompts, in their order; never raises for what the server does.

        parse: makes a value of the text of an answer, or raises Malformed. options: temperature, max_tokens, seed
        and whatever else the request shall hold; `numbers` distinguishes repeated questions (one for each prompt).
        """
        if not prompts:
            return []
        numbers = options.pop("numbers", [0] * len(prompts))
        job = self._ask_all(list(prompts), list(numbers), parse, options)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(job)
        # inside a notebook a loop is running already: the work goes to a thread with its own
        out: list[list[Answer]] = []
        thread = threading.Thread(target=lambda: out.append(asyncio.run(job)))
        thread.start()
        thread.join()
        return out[0]

    async def _ask_all(
        self, prompts: list[Messages], numbers: list[int], parse: Callable[[str], Any], options: dict[str, Any]
    ) -> list[Answer]:
        import httpx

        headers = {}
        key = os.environ.get(self.key_env, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        gate = asyncio.Semaphore(self.concurrency)
        limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        async with httpx.AsyncClient(headers=headers, timeout=self.timeout, limits=limits) as client:

            async def one(messages: Messages, number: int) -> Answer:
                key = self._key(messages, number, options)
                async with gate:
                    return await self._one(client, key, messages, parse, options)

            return list(await asyncio.gather(*(one(m, n) for m, n in zip(prompts, numbers, strict=True))))

    def _key(self, messages: Messages, number: int, options: dict[str, Any]) -> str:
        """Where the endpoint is does not matter for what the answer is; the model does."""
        what = orjson.dumps([self.model, messages, number, options], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(what, digest_size=20).hexdigest()

    async def _one(
        self, client: Any, key: str, messages: Messages, parse: Callable[[str], Any], options: dict[str, Any]
    ) -> Answer:
        if self._cache is not None:
            content = self._cache.get(key)
            if content is not None:
                with suppress(Malformed):  # another parser may read what the last one could not
                    value = parse(content)
                    self.usage.cached += 1
                    return Answer(value, cached=True)
        stop = self._stopped()
        if stop:
            self.usage.failed += 1
            return Answer(None, stop)
        error = ""
        for turn in range(self.malformed_retries + 1):
            try:
                content = await self._request_with_retries(client, messages, options)
            except (_Again, _Refused) as problem:
                self._failed_in_a_row += 1
                self.usage.failed += 1
                return Answer(None, self._clean(str(problem)))
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
        if self.budget and self._spent >= self.budget:
            return f"budget of {self.budget:g} is spent"
        if self.give_up_after and self._failed_in_a_row >= self.give_up_after:
            return f"endpoint given up after {self._failed_in_a_row} failures in a row"
        return ""

    async def _request_with_retries(self, client: Any, messages: Messages, options: dict[str, Any]) -> str:
        from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
        from tenacity.wait import wait_random_exponential

        backoff = wait_random_exponential(multiplier=self.first_wait, max=self.max_wait)

        def wait(state: RetryCallState) -> float:
            problem = state.outcome.exception() if state.outcome else None
            asked = problem.wait if isinstance(problem, _Again) else 0.0
            self.usage.retries += 1
            return min(self.max_wait, max(asked, backoff(state)))

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Again), stop=stop_after_attempt(self.retries + 1), wait=wait, reraise=True
        )
        return str(await retrying(self._request, client, messages, options))

    async def _request(self, client: Any, messages: Messages, options: dict[str, Any]) -> str:
        import httpx

        await self._take_turn()
        self.usage.requests += 1
        body = {"model": self.model, "messages": messages, **options}
        try:
            # the client's own time-out counts from the last byte: a server that drips would hold it for ever
            post = client.post(f"{self._url}/chat/completions", json=body)
            response = await asyncio.wait_for(post, self.timeout)
        except (httpx.TimeoutException, TimeoutError, asyncio.TimeoutError):
            raise _Again(f"no answer within {self.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(f"connection failed: {type(error).__name__}") from None
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

    def _account(self, usage: dict[str, Any]) -> None:
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
        """Without the key, should a server have sent it back."""
        key = os.environ.get(self.key_env, "")
        return text.replace(key, "***") if key else text

    def __repr__(self) -> str:
        return f"Endpoint(model={self.model!r}, base_url={self._url!r})"


def _retry_after(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


def read_json(text: str) -> dict[str, Any]:
    """The JSON object in an answer, also inside a code fence or between words. Raises Malformed."""
    fenced = re.search(r"```(?:json)?\s*(\{.*?\})\s*```", text, re.S)
    start, end = text.find("{"), text.rfind("}")
    for candidate in (text, fenced.group(1) if fenced else "", text[start : end + 1] if 0 <= start < end else ""):
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            return value
    raise Malformed(f"no JSON object in {text[:80]!r}")

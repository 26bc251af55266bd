"""A client of OpenAI-compatible chat endpoints, with retries, a rate limit, cost accounting and a cache for reruns.

The key comes from the environment and is used in the request's header only: it never appears in parameters, logs,
reports or exceptions.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, TypeVar

import orjson

from quality.models.answer import Answer, Malformed, Usage, read_json
from quality.models.answer_cache import Cache
from quality.models.chat import Chat, Options, check_endpoint
from quality.models.failures import Refused, Unanswered
from quality.text.turns import Message
from raylib.errors import UnansweredError
from raylib.event_loops import run_to_end
from raylib.extras import optional

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

__all__ = ["Answer", "Endpoint", "Malformed", "Usage", "check_endpoint", "read_json"]

T = TypeVar("T")


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
        give_up_after: Number of questions in a row without a usable answer after which the endpoint is given up, with
            an error; 0 means no limit.
        unanswered: What becomes of questions without an answer after all retries (5xx, time-outs, broken connections):
            `open` raises an error, `unscored` gives answers with that error.
        probe: Whether one small question goes before the first, so that an endpoint that answers nothing is found out
            at once. It is not counted.
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
    unanswered: Literal["open", "unscored"] = "open"
    probe: bool = True
    cache: str = ""
    first_wait: float = 0.5
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._chat = Chat(check_endpoint(self.base_url, self.key_env), self.model, self.key_env, self.timeout)
        self._cache = Cache(self.cache) if self.cache else None
        self._spent = 0.0
        self._failed_in_a_row = 0
        self._next_start = 0.0
        self._probed = not self.probe
        self._way_out = ""

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
        made = cls(model, **{name: getattr(stage, name) for name in names})
        made._way_out = ", or stay without an answer with the option `unanswered: unscored` of the stage"
        return made

    def check(self) -> None:
        """Ask one small question now, before other work. Raises EndpointError if the endpoint answers nothing."""
        self._chat.probe_here({})
        self._probed = True

    # ---- asking -------------------------------------------------------------------------------

    def ask(
        self,
        prompts: Sequence[Sequence[Message]],
        parse: Callable[[str], T],
        *,
        numbers: Sequence[int] | None = None,
        **options: object,
    ) -> list[Answer[T]]:
        """Ask for answers to all prompts.

        Args:
            prompts: Messages of each question.
            parse: Makes a value of the text of an answer, or raises Malformed.
            numbers: A number per prompt that distinguishes repetitions of the same question. By default all are 0.
            **options: Options of the request, such as `temperature`, `max_tokens` and `seed`.

        Returns:
            The answers, in the order of the prompts. Those to questions that the server refuses, and those that cannot
            be parsed, hold an error.

        Raises:
            EndpointError: The server refuses all questions, or is given up. Answers that came are in the cache.
            UnansweredError: Questions got no answer after all retries, and `unanswered` is `open`.
        """
        if not prompts:
            return []
        answers = run_to_end(self._ask_all(prompts, numbers or [0] * len(prompts), parse, options))
        left = Counter(answer.error for answer in answers if answer.may_pass)
        if left and self.unanswered == "open":
            reason = left.most_common(1)[0][0]
            raise UnansweredError(
                f"{self._chat}: {left.total():,} of {len(answers):,} questions got no answer: {reason}. "
                f"They are asked again when the same command runs again{self._way_out}"
            )
        return answers

    async def _ask_all(
        self,
        prompts: Sequence[Sequence[Message]],
        numbers: Sequence[int],
        parse: Callable[[str], T],
        options: Options,
    ) -> list[Answer[T]]:
        """Answers to all prompts, `concurrency` at a time."""
        keys = [self._key(messages, number, options) for messages, number in zip(prompts, numbers, strict=True)]
        gate = asyncio.Semaphore(self.concurrency)
        async with self._chat.client(self.concurrency) as client:
            if not self._probed and not all(self._holds(key) for key in keys):
                await self._chat.probe(client, options)
                self._probed = True

            async def one(key: str, messages: Sequence[Message]) -> Answer[T]:
                async with gate:
                    return self._cached(key, parse) or await self._answer(client, key, messages, parse, options)

            tasks = [asyncio.create_task(one(k, m)) for k, m in zip(keys, prompts, strict=True)]
            try:
                return list(await asyncio.gather(*tasks))
            finally:  # after an error, no request may outlive the client
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _key(self, messages: Sequence[Message], number: int, options: Options) -> str:
        """Hash of what determines an answer: the model, not where its endpoint is."""
        what = orjson.dumps([self.model, messages, number, options], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(what, digest_size=20).hexdigest()

    def _holds(self, key: str) -> bool:
        """Whether the cache holds an answer."""
        return self._cache is not None and self._cache.get(key) is not None

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
        """The answer of the server, asked for again while it is malformed. Raises EndpointError."""
        if self.budget and self._spent >= self.budget:
            self.usage.failed += 1
            return Answer(None, f"budget of {self.budget:g} is spent")
        error, may_pass = "", False
        for turn in range(self.malformed_retries + 1):
            try:
                content = await self._request_with_retries(client, messages, options)
            except Unanswered as problem:
                error, may_pass = str(problem), True
                break
            except Refused as problem:
                self.usage.refused += 1
                error = str(problem)
                break
            try:
                value = parse(content)
            except Malformed as problem:
                self.usage.malformed += 1
                error = f"malformed answer: {problem}"
                if turn < self.malformed_retries:
                    self.usage.retries += 1
                continue
            self._failed_in_a_row = 0
            if self._cache is not None:
                self._cache.put(key, content)
            return Answer(value)
        self._count_failure(error)
        return Answer(None, self._chat.clean(error), may_pass=may_pass)

    def _count_failure(self, error: str) -> None:
        """Count a question without a usable answer. Raises EndpointError if there were too many in a row."""
        self.usage.failed += 1
        self._failed_in_a_row += 1
        if self.give_up_after and self._failed_in_a_row >= self.give_up_after:
            raise self._chat.stop(
                f"given up after {self._failed_in_a_row} questions in a row without a usable answer, the last: {error}",
                "check that the server runs, base_url and model",
            )

    async def _request_with_retries(
        self, client: httpx.AsyncClient, messages: Sequence[Message], options: Options
    ) -> str:
        """The text of an answer. Raises Unanswered after the last try, Refused at once."""
        tenacity = optional("tenacity", purpose="an endpoint")
        backoff = tenacity.wait_random_exponential(multiplier=self.first_wait, max=self.max_wait)

        def wait(state: RetryCallState) -> float:
            problem = state.outcome.exception() if state.outcome else None
            asked = problem.wait if isinstance(problem, Unanswered) else 0.0
            self.usage.retries += 1
            return min(self.max_wait, max(asked, float(backoff(state))))

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unanswered),
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=wait,
            reraise=True,
        )
        return str(await retrying(self._request, client, messages, options))

    async def _request(self, client: httpx.AsyncClient, messages: Sequence[Message], options: Options) -> str:
        """The text of an answer, by one request."""
        await self._take_turn()
        self.usage.requests += 1
        completion = await self._chat.post(client, messages, options)
        self._account(completion.usage)
        if completion.text is None:
            if completion.ending:  # such as content_filter
                raise Refused(f"the answer holds no text (finish_reason {completion.ending})")
            raise Unanswered("the answer holds no text")
        return completion.text

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

    def __repr__(self) -> str:
        return f"Endpoint(model={self.model!r}, base_url={self._chat.url!r})"

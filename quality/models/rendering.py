"""Conversations as token ids, as the model that scores them was taught to see them.

All rendering is that of `raylib.chat`, by which models are trained and asked, too. A record that cannot be rendered has
no score and is counted; it never ends its shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quality.models.tokenizer import Tokenizer
from quality.text.shown import answer_text
from quality.text.turns import Exchange, Message
from raylib.chat import Renderer, RenderOptions, stop_ids
from raylib.chat.shown import check_shown, check_tools
from raylib.errors import ParameterError, RecordError

__all__ = ["Chats", "Prompted", "chat_prompt", "check_template"]


def check_template(template: str, options: Mapping[str, object] | None) -> None:
    """Check what a stage was given.

    Args:
        template: Its parameter `template`.
        options: Its parameter `template_options`.

    Raises:
        ParameterError: `template_options` sets what is not for users to set, or there is no template to set it for.
    """
    RenderOptions(template_options=options or {})
    if options and template == "plain":
        raise ParameterError("template_options: plain is no template, and has no options")


def _plain(messages: Sequence[Message]) -> str:
    """Every message and a newline; calls of tools as a reader is shown them."""
    return "".join(f"{answer_text(m)}\n" for m in messages)


@dataclass(frozen=True)
class Prompted:
    """An answer after its prompt.

    Attributes:
        prompt: Token ids up to and including the generation prompt; empty where nothing was asked.
        response: Token ids of the answer, without what ends it; empty where there is none.
    """

    prompt: list[int]
    response: list[int]


@dataclass
class Chats:
    """Writes the chats of a stage for one tokenizer.

    Attributes:
        tokenizer: The tokenizer.
        renderer: What writes by a template; None for every message and a newline.
        refused: Number of records that could not be rendered since `take_refused`, by reason.
    """

    tokenizer: Tokenizer
    renderer: Renderer | None
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, template: str, options: Mapping[str, object] | None = None, folder: str = ""
    ) -> Chats:
        """Make one.

        Args:
            tokenizer: Tokenizer of the model.
            template: How chats are written; see `Template`.
            options: Variables of the template.
            folder: Folder of the model, which may say at what tokens it stops.

        Raises:
            ParameterError: The tokenizer has no template that is wanted or that options are for, or one that is not
                valid.
        """
        own = bool(tokenizer.chat_template)
        if template == "chat" and not own:
            raise ParameterError("template: chat: the tokenizer has no chat template; name one, or write plain")
        if template == "plain" or (template == "auto" and not own):
            if options:
                raise ParameterError("template_options: the tokenizer has no chat template that could take them")
            return cls(tokenizer, None)
        wanted = RenderOptions("auto" if template == "chat" else template, options or {})
        return cls(tokenizer, Renderer(tokenizer, wanted, stops=stop_ids(folder) if folder else ()))

    def take_refused(self) -> dict[str, float]:
        """Number of records that could not be rendered since the last call, as `refused_` and the reason."""
        taken: dict[str, float] = {f"refused_{reason}": n for reason, n in sorted(self.refused.items())}
        self.refused.clear()
        return taken

    def prompted(self, pairs: Iterable[Exchange]) -> list[Prompted | None]:
        """Answers after their prompts.

        Calls of tools are part of an answer, and so is its reasoning where the template writes it.

        Args:
            pairs: The exchanges.

        Returns:
            The tokens of each exchange; None where the template refuses the record.
        """
        texts = [self._parted(pair) for pair in pairs]
        encoded = iter(self._encoded([text for pair in texts if pair is not None for text in pair]))
        made: list[Prompted | None] = []
        for pair in texts:
            prompt, response = (next(encoded), next(encoded)) if pair is not None else (None, None)
            made.append(None if prompt is None or response is None else Prompted(prompt, response))
        return made

    def _parted(self, pair: Exchange) -> tuple[str, str] | None:
        """The text before an answer and that of the answer; None if the template refuses the record."""
        response = pair.response
        if self.renderer is None or not pair.messages or not response.strip() or pair.answer is None:
            return _plain(pair.messages), response
        first: RecordError | None = None
        for answer in _with_and_without_reasoning(pair.answer):
            found = _replied(self.renderer, pair, answer)
            if not isinstance(found, RecordError):
                return found[0], self._without_end(found[1])
            first = first or found
        self.refused[first.reason if first is not None else "template"] += 1
        return None

    def _without_end(self, text: str) -> str:
        """A response without the tokens that end it: the model that scores may end its answers otherwise."""
        special = self.renderer.controls.special if self.renderer is not None else None
        text = text.rstrip()
        for token in reversed(list(special.finditer(text)) if special is not None else []):
            if token.end() != len(text):
                break
            text = text[: token.start()].rstrip()
        return text

    def whole(self, pairs: Sequence[Exchange]) -> list[list[int] | None]:
        """Conversations with their answers, as the template writes them.

        Args:
            pairs: The exchanges.

        Returns:
            The tokens of each conversation; None where there is no answer, or the template refuses the record.
        """
        if self.renderer is None:
            answered = [_plain(p.messages) + p.response if p.response else None for p in pairs]
            given = [text for text in answered if text is not None]
            ids = iter(self.tokenizer(given, add_special_tokens=True)["input_ids"] if given else [])
            return [None if text is None else next(ids) for text in answered]
        texts = [self._whole(pair, self.renderer) for pair in pairs]
        encoded = iter(self._encoded([text for text in texts if text is not None]))
        return [None if text is None else next(encoded) for text in texts]

    def _whole(self, pair: Exchange, renderer: Renderer) -> str | None:
        """A conversation with its answer; None if there is none, or the template refuses the record."""
        if pair.answer is None or not pair.response:
            return None
        try:
            messages = renderer.controls.guarded([*pair.messages, pair.answer])
            tools = renderer.controls.guarded_tools(pair.tools)
        except RecordError as error:
            self.refused[error.reason] += 1
            return None
        first: RecordError | None = None
        for form in renderer.template.forms(messages):
            found = _written(renderer, form, tools)
            if isinstance(found, str):
                return found
            first = first or found
        self.refused[first.reason if first is not None else "template"] += 1
        return None

    def _encoded(self, texts: list[str]) -> Iterator[list[int] | None]:
        """Token ids of texts; None, and counted, where a tokenizer cannot encode one."""
        if self.renderer is None:
            yield from self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
            return
        for ids in self.renderer.encoded(texts):
            if isinstance(ids, RecordError):
                self.refused[ids.reason] += 1
                yield None
            else:
                yield ids


def _with_and_without_reasoning(answer: Message) -> list[Message]:
    """An answer, and as a second try without its reasoning: not every template knows any, or is asked to write it."""
    without = {k: v for k, v in answer.items() if k != "reasoning_content"}
    return [answer, without] if answer.get("reasoning_content") and _says_something(without) else [answer]


def _says_something(answer: Message) -> bool:
    return bool(answer_text(answer).strip())


def _replied(renderer: Renderer, pair: Exchange, answer: Message) -> tuple[str, str] | RecordError:
    """The text before an answer and what has to be written after it, or why the template does not write it."""
    try:
        (prompt, _), *parts = renderer.reply(pair.messages, [answer], pair.tools).pieces
    except RecordError as error:
        return error
    return prompt, "".join(text for text, _ in parts)


def _written(renderer: Renderer, messages: Sequence[Message], tools: Sequence[object] | None) -> str | RecordError:
    """What the template writes, or why not: it refuses the record, or leaves out a message, a call or a tool."""
    try:
        text = renderer.template.write(messages, tools, generation=False)
        check_shown(messages, text)
        check_tools(tools, text)
    except RecordError as error:
        return error
    return text


def chat_prompt(tokenizer: Tokenizer, messages: Sequence[Message], template: str) -> str:
    """Render the text that precedes an answer.

    Args:
        tokenizer: Tokenizer of the model.
        messages: Turns before the answer.
        template: How chats are written; see `Template`.

    Returns:
        The text after which the model writes the answer.

    Raises:
        RecordError: The template refuses the messages.
    """
    renderer = Chats.of(tokenizer, template).renderer
    return _plain(messages) if renderer is None else renderer.prompt_text(messages)

"""From a conversation to samples of text: which answers share one, and why an answer is not learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from raylib.chat.controls import Controls
from raylib.chat.options import RenderOptions
from raylib.chat.shown import check_calls, check_shown, check_tools, is_shown
from raylib.chat.targets import Target, ending, split_reasoning, target_of
from raylib.chat.template import ChatTemplate
from raylib.errors import RecordError, attempt
from raylib.messages import AnyMessage, Message

__all__ = ["Answer", "Plan", "TextSample", "Writer", "says_nothing"]

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An answer as it is generated.

    Attributes:
        turn: Number of the message.
        before: Text before it: what the model is given.
        target: What it has to write.
        stops: Whether the text ends with a token that stops the generation; otherwise one is added.
        written: Whether the template writes the very same after the prompt, so that later turns can follow.
    """

    turn: int
    before: str
    target: Target
    stops: bool
    written: bool

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """Text of the answer in pieces, and whether each is learnt."""
        parts = [(self.target.reasoning, False), (self.target.text, True)]
        return [(text, learnt) for text, learnt in parts if text]


@dataclass(frozen=True)
class TextSample:
    """A sample as text.

    Attributes:
        pieces: Texts in order, and whether each is learnt. Each is encoded by itself, so that what precedes an answer
            has the tokens that it has at inference.
        turns: Numbers of the messages that are learnt.
        stop: Whether the token that ends an answer has to be added, because the template writes none.
    """

    pieces: list[tuple[str, bool]]
    turns: list[int]
    stop: bool


@dataclass
class Plan:
    """The samples of a conversation.

    Attributes:
        samples: The samples.
        unlearnt: Number of turns that are not learnt, by reason: `opening` (an answer to nothing), `loss_flag`,
            `empty_answer`, `earlier_answer` (only the last is wanted), `samples_limit`, `after_last_answer`.
    """

    samples: list[TextSample] = field(default_factory=list)
    unlearnt: Counter[str] = field(default_factory=Counter)


class Writer:
    """Writes conversations for one template.

    Args:
        template: The template.
        controls: The control tokens.
        options: How conversations are rendered and which of their answers are learnt.
        stops: Tokens at which the model is known to stop.
        can_stop: Whether there is a token to add to an answer that the template does not end.
        same_tokens: Whether texts have the same tokens one by one as joined.
    """

    def __init__(
        self,
        template: ChatTemplate,
        controls: Controls,
        options: RenderOptions,
        stops: Sequence[str],
        *,
        can_stop: bool,
        same_tokens: Callable[[Sequence[str]], bool],
    ) -> None:
        self._template, self._controls, self._options = template, controls, options
        self._stops, self._can_stop, self._same_tokens = stops, can_stop, same_tokens

    def prompt(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None) -> str:
        """Text that a model is given before its answer, with marks for the control tokens that the record spells.

        Args:
            messages: Messages up to a question.
            tools: Tools of the record.

        Raises:
            RecordError: The template refuses the messages or leaves one out.
        """
        guarded, wanted = self._prepared(messages), self._controls.guarded_tools(tools)
        return self._in_some_form(guarded, lambda form: self._before(form, guarded, wanted))

    def plan(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None) -> Plan:
        """The samples of a conversation.

        Args:
            messages: The messages.
            tools: Tools of the record.

        Raises:
            RecordError: The record cannot be learnt; says why.
        """
        plan = Plan()
        turns = self._turns(messages, plan)
        groups = self._groups(self.answers(messages, tools, turns))
        limit = self._options.max_samples_a_record
        if limit and len(groups) > limit:
            plan.unlearnt["samples_limit"] += sum(len(g) for g in groups[:-limit])
            groups = groups[-limit:]
        plan.samples = [_sample(group) for group in groups]
        return plan

    def answers(
        self, messages: Sequence[AnyMessage], tools: Sequence[object] | None, turns: Sequence[int]
    ) -> list[Answer]:
        """Answers of a conversation, each as it is generated.

        Args:
            messages: The messages.
            tools: Tools of the record.
            turns: Numbers of the messages that are wanted.

        Raises:
            RecordError: The record cannot be learnt; says why.
        """
        guarded, wanted = self._prepared(messages), self._controls.guarded_tools(tools)
        return self._in_some_form(guarded, lambda form: [self._answer(form, guarded, wanted, turn) for turn in turns])

    def _in_some_form(self, messages: Sequence[AnyMessage], do: Callable[[list[Message]], T]) -> T:
        """What a function makes of the messages in the first form that the template takes."""
        problem: RecordError | None = None
        for form in self._template.forms(messages):
            made = attempt(partial(do, form))
            if not isinstance(made, RecordError):
                return made
            problem = problem or made
        raise problem or RecordError("no_targets", "the conversation is empty")

    def joined(self, answers: Sequence[Answer]) -> list[TextSample]:
        """Samples of answers, as few as the template allows."""
        return [_sample(group) for group in self._groups(answers)]

    def _groups(self, answers: Sequence[Answer]) -> list[list[Answer]]:
        """Answers that can share a sample.

        Each is followed, as the template writes it, by what precedes the next; and the text before the last one has the
        same tokens as a whole, as at inference, as it has in pieces.
        """
        groups: list[list[Answer]] = []
        for group in _chains(answers):
            pieces = [text for text, _ in _sample(group).pieces]
            before = pieces[: len(pieces) - len(group[-1].pieces)]
            groups += [group] if len(group) == 1 or self._same_tokens(before) else [[answer] for answer in group]
        return groups

    def _prepared(self, messages: Sequence[AnyMessage]) -> list[Message]:
        """Messages with marks for control tokens, by the options for developers and reasoning."""
        made = self._controls.guarded(messages)
        if self._options.developer == "system":
            made = [{**m, "role": "system"} if m.get("role") == "developer" else m for m in made]
        if self._options.reasoning == "drop":
            made = [{k: v for k, v in m.items() if k != "reasoning_content"} for m in made]
        return made

    def _turns(self, messages: Sequence[AnyMessage], plan: Plan) -> list[int]:
        """Numbers of the messages to learn; the others are counted."""
        asked = False
        turns = []
        for number, message in enumerate(messages):
            if message.get("role") != "assistant":
                asked = asked or message.get("role") in ("user", "tool")
            elif not asked:
                plan.unlearnt["opening"] += 1
            elif message.get("loss") is False:
                plan.unlearnt["loss_flag"] += 1
            elif says_nothing(message):
                plan.unlearnt["empty_answer"] += 1
            else:
                turns.append(number)
        if not turns:
            if plan.unlearnt["empty_answer"]:
                raise RecordError("empty_answer", "the answer is empty")
            raise RecordError("no_targets", "the conversation has no answer to learn")
        if self._options.learn == "last":
            plan.unlearnt["earlier_answer"] += len(turns) - 1
            turns = turns[-1:]
        last = max(i for i, m in enumerate(messages) if m.get("role") == "assistant")
        if last < len(messages) - 1:
            plan.unlearnt["after_last_answer"] += len(messages) - 1 - last
        return turns

    def _before(self, form: Sequence[AnyMessage], guarded: Sequence[AnyMessage], tools: Sequence[object] | None) -> str:
        before = self._template.write(form, tools, generation=True)
        check_shown(guarded, before)
        check_tools(tools, before)
        return before

    def _answer(
        self, form: Sequence[AnyMessage], guarded: Sequence[AnyMessage], tools: Sequence[object] | None, turn: int
    ) -> Answer:
        """The answer of one turn."""
        before = self._before(form[:turn], guarded[:turn], tools)
        until = [*form[:turn], self._template.learnt(form[turn])]
        after = self._template.write(until, tools, generation=False)
        message = guarded[turn]
        reasoning = str(message.get("reasoning_content") or "")
        target = attempt(lambda: target_of(before, after, reasoning))
        if isinstance(target, RecordError):
            again = None
            if target.reason == "template_rewrites":
                again = self._elsewhere(until, tools, reasoning, before)
            if again is None:
                raise target
            target = again
        text, written = target
        content = str(message.get("content") or "")
        self._check_answer(message, text, turn, reasoning)
        learnt, _, stops = ending(text, self._controls.special, self._stops)
        if not stops and not self._can_stop:
            raise RecordError("no_stop_token", "the template ends answers with no special token; name an end token")
        if not stops:
            learnt = learnt.rstrip("\n")
        begin = 0 if self._options.learn_reasoning else split_reasoning(learnt, reasoning, content)
        return Answer(turn, before, Target(learnt[:begin], learnt[begin:]), stops, written and stops)

    def _elsewhere(
        self, form: Sequence[AnyMessage], tools: Sequence[object] | None, reasoning: str, before: str
    ) -> tuple[str, bool] | None:
        """The answer as the template writes it without the messages that it rewrites; None if it rewrites others.

        Some templates write the system message before the last question, and leave it out once the question is
        answered. Others do so with what was thought between calls of tools: then the last question is enough, if the
        same generation prompt follows.
        """
        *asked, answer = form
        spoken = [m for m in asked if m.get("role") != "system"]
        question = [m for m in asked if m.get("role") == "user"][-1:]
        for shorter in (spoken, question):
            if not shorter or len(shorter) == len(asked):
                continue
            other = self._template.write(shorter, tools, generation=True)
            begin = other.removeprefix(self._template.write(shorter, tools, generation=False))
            if shorter is question and not (begin and before.endswith(begin)):
                continue
            after = self._template.write([*shorter, answer], tools, generation=False)
            made = attempt(partial(target_of, other, after, reasoning))
            if not isinstance(made, RecordError):
                return made[0], False
        return None

    def _check_answer(self, message: AnyMessage, text: str, turn: int, reasoning: str) -> None:
        """Check that an answer stands in what is learnt, with its reasoning and its calls of tools."""
        content = str(message.get("content") or "")
        if not is_shown(content, text):
            raise RecordError("not_rendered", f"the chat template leaves out the answer, message {turn}")
        if reasoning and not is_shown(reasoning, text):
            raise RecordError(
                "reasoning_not_rendered",
                f"the chat template leaves out the reasoning of message {turn}: a template option may turn it on "
                "(often enable_thinking: true), or reasoning: inline writes it into the answer",
            )
        check_calls(message, text, turn)


def says_nothing(message: AnyMessage) -> bool:
    """Whether a message has neither content nor calls of tools: there is nothing to learn of it."""
    return not str(message.get("content") or "").strip() and not message.get("tool_calls")


def _chains(answers: Sequence[Answer]) -> list[list[Answer]]:
    """Answers of which each is followed, as the template writes it, by what precedes the next."""
    groups: list[list[Answer]] = []
    for answer in answers:
        if groups and _follows(groups[-1][-1], answer):
            groups[-1].append(answer)
        else:
            groups.append([answer])
    return groups


def _follows(first: Answer, second: Answer) -> bool:
    """Whether the text before an answer begins with an earlier answer as it was learnt."""
    if not first.written:
        return False
    text = first.before + first.target.reasoning + first.target.text
    return second.before.startswith(text)


def _sample(group: Sequence[Answer]) -> TextSample:
    """A sample of answers that share it."""
    pieces: list[tuple[str, bool]] = []
    done = ""
    for answer in group:
        pieces.append((answer.before[len(done) :], False))
        pieces += answer.pieces
        done = answer.before + answer.target.reasoning + answer.target.text
    return TextSample([p for p in pieces if p[0]], [a.turn for a in group], not group[-1].stops)

"""Preferences and feedback: the prompt is everything before the answer, and a record has to show that it is.

A pair whose two dialogues differ before their answers, or an "answer" that is the user's, is nobody's judgement of two
answers to one question. Training on it would say nothing of that, so the record is refused with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from raylib.errors import RecordError
from raylib.messages import Message
from raylib.reading.conversations import history_of, prompt_and_answer, with_system
from raylib.reading.dialogues import anthropic_turns
from raylib.reading.fields import Fields, first_field, lacking, listed, optional_text, type_name
from raylib.reading.layouts import CHOSEN_FIELDS, REJECTED_FIELDS, TURN_FIELDS, label_field
from raylib.reading.turns import answer_message, is_message_list, messages_in, truth, turns_of

__all__ = ["feedback_of", "preference_of"]

_TEXT_PROMPTS = ("prompt", "question", "instruction")
_PROMPT_FIELDS = ("prompt", *TURN_FIELDS, "messages", "question", "instruction")
_VERDICT_FIELDS = ("label", "winner", "preference", "verdict")
_Answer = str | list[Message]
_Parts = tuple[list[Message], list[Message], list[Message]]


def preference_of(record: Fields, used: set[str]) -> dict[str, object]:
    """Prompt, chosen and rejected answer of a preference, each a list of messages.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the values come from are added.

    Raises:
        RecordError: A part is missing or has a wrong type, or the two answers do not follow the same prompt.
    """
    for field in _VERDICT_FIELDS:
        verdict = record.get(field)
        if isinstance(verdict, str) and verdict.strip().lower().split(" ")[0] == "tie":
            raise RecordError("tie", f"{field!r} is {verdict!r}: neither answer is the better one")
    plain = _plain_pair(record)
    if plain is not None:
        used.update(("prompt", "chosen", "rejected"))
    prompt, chosen, rejected = plain or _parts(record, used)
    if prompt and prompt[-1]["role"] == "assistant":
        raise RecordError(
            "prompt_ends_with_answer",
            f"message {len(prompt) - 1} of the prompt is the assistant's; 'chosen' and 'rejected' answer nothing",
        )
    if not any(_speaks(m) for m in prompt if m["role"] not in ("system", "developer")):
        raise RecordError("no_prompt", "there is no prompt: no question that the answers are answers to")
    _check_answer(chosen, "chosen", len(prompt))
    _check_answer(rejected, "rejected", len(prompt))
    if _same(chosen, rejected):
        raise RecordError("equal_answers", "'chosen' and 'rejected' are the same")
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _plain_pair(record: Fields) -> _Parts | None:
    """The parts of a record of three plain strings, as most are; None if it needs a closer look."""
    texts = [record.get(name) for name in ("prompt", "chosen", "rejected")]
    prompt = texts[0]
    if "history" in record or not isinstance(prompt, str):
        return None
    if "system" in record or "system_prompt" in record:
        return None
    for text in texts:  # a list as JSON, a dialogue, a thought, the prompt once more: none of them is plain
        if not isinstance(text, str) or text[:1] in "[H< \n\r\t" or (text is not prompt and text.startswith(prompt)):
            return None
    question: list[Message] = [{"role": "user", "content": prompt}]
    return question, [{"role": "assistant", "content": texts[1]}], [{"role": "assistant", "content": texts[2]}]


def _parts(record: Fields, used: set[str]) -> _Parts:
    """Prompt, chosen and rejected messages, as far as the fields tell them apart."""
    chosen_field = first_field(record, CHOSEN_FIELDS)
    other = first_field(record, ("rejected_response", "rejected_messages")) if "messages" in record else None
    if chosen_field is None and other is not None:
        return _beside_messages(record, other, used)
    rejected_field = first_field(record, REJECTED_FIELDS)
    if chosen_field is None or rejected_field is None:
        raise lacking(record, "a preference needs 'chosen' and 'rejected' (or 'reject')")
    used.update((chosen_field, rejected_field))
    answers = [_answer(record[name], name) for name in (chosen_field, rejected_field)]
    before, stated = _context(record, used)
    chosen, rejected = _as_messages(answers, stated)
    if before == chosen and _asks(chosen) and chosen[-1]["role"] == "assistant":
        before = []  # the chosen dialogue once more
    prompt, chosen, rejected = _apart(before, chosen, rejected)
    if stated is not None:
        prompt = _with_stated(prompt, stated)
    return with_system(prompt, record, used), chosen, rejected


def _beside_messages(record: Fields, field: str, used: set[str]) -> _Parts:
    """The parts of a dialogue beside which ms-swift puts what might stand in place of its last message."""
    used.update(("messages", field))
    messages = with_system(turns_of(listed(record["messages"]), "messages"), record, used)
    rejected = _answer(record[field], field)
    if isinstance(rejected, str):
        return messages[:-1], messages[-1:], [answer_message(rejected)]
    if _asks(rejected):
        return _apart([], messages, rejected)
    return messages[:-1], messages[-1:], rejected


def _context(record: Fields, used: set[str]) -> tuple[list[Message], str | None]:
    """The messages that a record puts before the answers, and a prompt that is a string, which may be one of them."""
    history = history_of(record, used)
    field = first_field(record, _PROMPT_FIELDS)
    if field is None:
        return history, None
    value = messages_in(record[field]) if field in _TEXT_PROMPTS else listed(record[field])
    if not isinstance(value, str):
        used.add(field)
        return [*history, *turns_of(value, field)], None
    used.add(field)
    extra = optional_text(record, "input", used) if field == "instruction" else ""
    dialogue = anthropic_turns(value)
    if dialogue is not None:
        if dialogue[-1] == {"role": "assistant", "content": ""}:
            dialogue.pop()
        return [*history, *dialogue], None
    text = f"{value}\n{extra}" if extra else value
    return ([*history, {"role": "user", "content": text}], None) if history else ([], text)


def _answer(value: object, field: str) -> _Answer:
    """An answer as it is given: a string, or messages."""
    value = messages_in(value)
    if isinstance(value, dict):
        return turns_of([value], field)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    if is_message_list(value):
        return turns_of(value, field)
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"field {field!r} should be a string or messages, is {type_name(value)}")
    return value


def _as_messages(answers: Sequence[_Answer], stated: str | None) -> list[list[Message]]:
    """Answers as messages; strings may be whole dialogues, as hh-rlhf has them, or repeat the `stated` prompt."""
    texts = [a for a in answers if isinstance(a, str)]
    dialogues = [d for d in map(anthropic_turns, texts) if d is not None]
    if len(dialogues) == len(answers):
        return dialogues
    repeated = f"{stated}\n" if stated else ""
    if not (repeated and len(texts) == len(answers) and all(t.startswith(repeated) for t in texts)):
        repeated = ""
    return [
        [answer_message(a[len(repeated) :].lstrip("\n") if repeated else a)] if isinstance(a, str) else a
        for a in answers
    ]


def _apart(before: list[Message], chosen: list[Message], rejected: list[Message]) -> _Parts:
    """Prompt and answers of two lists of messages that may begin with the prompt, or with a part of it."""
    system = next((m[0] for m in (before, chosen, rejected) if m and m[0]["role"] == "system"), None)
    prompt, chosen, rejected = (_without_system(m, system) for m in (before, chosen, rejected))
    chosen, rejected = _after(prompt, chosen), _after(prompt, rejected)
    if not prompt and chosen and rejected and _asks(chosen) != _asks(rejected):  # one is a dialogue, one its answer
        longer = chosen if _asks(chosen) else rejected
        prompt = longer[:-1]
        chosen, rejected = _after(prompt, chosen), _after(prompt, rejected)
    elif _asks(chosen) and _asks(rejected):
        shared = _common(chosen, rejected)
        prompt, chosen, rejected = [*prompt, *chosen[:shared]], chosen[shared:], rejected[shared:]
        if not prompt:
            raise RecordError("histories_differ", "'chosen' and 'rejected' begin with different messages (message 0)")
    return [*([system] if system else []), *prompt], chosen, rejected


def _without_system(messages: list[Message], system: Message | None) -> list[Message]:
    """The messages without the system message that is the prompt's; another one is another history."""
    if not messages or messages[0]["role"] != "system":
        return messages
    if messages[0] != system:
        raise RecordError("histories_differ", "the dialogues have different system messages (message 0)")
    return messages[1:]


def _after(prompt: Sequence[Message], messages: list[Message]) -> list[Message]:
    """The messages after the prompt, if they begin with it or with its last part."""
    for begin in range(len(prompt)):
        if _starts_with(messages, prompt[begin:]):
            return messages[len(prompt) - begin :]
    return messages


def _starts_with(messages: Sequence[Message], prompt: Sequence[Message]) -> bool:
    return len(messages) >= len(prompt) and all(a == b for a, b in zip(messages, prompt, strict=False))


def _asks(messages: Sequence[Message]) -> bool:
    return any(m["role"] == "user" for m in messages)


def _common(chosen: Sequence[Message], rejected: Sequence[Message]) -> int:
    """Number of messages with which both begin, up to where an answer may begin."""
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    while shared and chosen[shared - 1]["role"] == "assistant":
        shared -= 1  # two answers may begin alike
    return shared


def _with_stated(prompt: list[Message], stated: str) -> list[Message]:
    """The prompt, with the string that states it; a dialogue has to ask that first or last."""
    asked = [m["content"] for m in prompt if m["role"] == "user"]
    if not asked:
        return [*prompt, {"role": "user", "content": stated}]
    said = [text.strip() for text in (asked[0], asked[-1]) if isinstance(text, str)]
    if stated.strip() not in said:
        raise RecordError("prompt_differs", "'prompt' is neither the first nor the last question of the dialogues")
    return prompt


def _check_answer(answer: Sequence[Message], field: str, begin: int) -> None:
    """Refuse what is no answer of the assistant; `begin` is the number of messages before it."""
    last = begin + len(answer) - 1
    if not answer:
        raise RecordError("answer_not_assistant", f"{field!r} has no message after the prompt")
    for number, message in ((begin, answer[0]), (last, answer[-1])):
        if message["role"] != "assistant":
            raise RecordError(
                "answer_not_assistant", f"message {number} of {field!r} is the {message['role']}'s, not the assistant's"
            )
    for number, message in enumerate(answer, begin):
        if message["role"] not in ("assistant", "tool"):
            raise RecordError(
                "histories_differ",
                f"the dialogues differ from message {begin} on, and message {number} of {field!r} is the "
                f"{message['role']}'s: the answers after it do not answer the same",
            )


def _speaks(message: Message) -> bool:
    content = message["content"]
    return bool((isinstance(content, str) and content.strip()) or message.get("tool_calls"))


def _same(one: Sequence[Message], other: Sequence[Message]) -> bool:
    """Whether two answers say the same, white space around it aside."""
    return [_stripped(m) for m in one] == [_stripped(m) for m in other]


def _stripped(message: Message) -> Message:
    return {k: v.strip() if isinstance(v, str) else v for k, v in message.items()}


def feedback_of(record: Fields, used: set[str]) -> dict[str, object]:
    """Prompt, answer and label of a record of feedback.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the values come from are added.

    Raises:
        RecordError: There is no label that is true or false, no conversation, or no answer at its end.
    """
    field = label_field(record) or first_field(record, ("kto_tag", "label"))
    if field is None:
        raise lacking(record, "a record of feedback needs 'label' or 'kto_tag', true or false")
    label = truth(record[field])
    if label is None:
        raise RecordError("wrong_value", f"field {field!r} should be true or false, is {record[field]!r}")
    used.add(field)
    prompt, answer = prompt_and_answer(record, used)
    if not _asks(prompt):
        raise RecordError("no_prompt", "there is no question before the answer")
    _check_answer(answer, "answer", len(prompt))
    return {"prompt": prompt, "answer": answer, "label": label}

"""The reference of record kinds and layouts, docs/layouts.md, from the tables that reading and writing use."""

from __future__ import annotations

from raylib.messages import MESSAGES
from raylib.reading.coercion import REASONS
from raylib.reading.layouts import LAYOUTS, Layout
from raylib.reading.roles import CALLS, ROLES
from raylib.reading.turns import MESSAGE_KEYS
from raylib.reference.fields import cell
from raylib.schema import KINDS, SCHEMAS
from raylib.storage.layouts import WRITTEN

__all__ = ["layouts_markdown"]

_HEAD = """# Kinds and layouts

Generated from the code by `python -m raylib.reference`; a test checks that this page is up to date.

A record is read as a whole: every field is used, or kept in `meta`, or named by the reject of the record. A field that
is null counts as absent, in records and in messages. `raylib inspect` shows the kind and the layout of a file.

## Kinds and their columns

`input.kind` of a recipe names the kind; `auto` decides by the first record.

| kind | columns |
|---|---|"""

_KINDS = {
    "document": "Text to pretrain on.",
    "conversation": "Messages to learn the answers of.",
    "preference": "A prompt and two answers to it, of which `chosen` is the better one.",
    "feedback": "A prompt, an answer to it, and a `label` that says whether the answer is good, as KTO learns from.",
    "safety": "A conversation, or a question alone, with the category of its danger.",
}

_COLUMNS = """
`messages`, `prompt`, `chosen`, `rejected` and `answer` are lists of messages. `tools` is JSON text: the list of tools
that the assistant may call. `meta` is JSON text: an object of the fields that have no column. In Python (`for row in
dataset`) and in JSON lines a message has only the keys that it has, and `tools` is a list.

## Messages

A message with any of these keys is read. Keys that are not in this table are kept: in Parquet in `extra`, as JSON; in
Python and in JSON lines under their own name. Calls are kept as they are given; a `function_call` of OpenAI's older
interface becomes one of `tool_calls`. `<think>...</think>` at the beginning of an assistant's content is its reasoning.
`content` may be null if there are calls or reasoning; an empty string stays one. Of content parts only text is read.

| field | type | read from the keys |
|---|---|---|"""

_ROLES_HEAD = """
## Roles

Case does not matter. A role that is not in this table is refused, with the nearest spelling.

| role | spellings |
|---|---|"""

_LAYOUTS_HEAD = """
## Layouts that are read

A record has the first of the layouts of its kind whose needed fields are all there. Of fields joined by "or" one is
enough. With any of them, `system` or `system_prompt` becomes the first message, `tools` or `functions` the tools, and
`history`, a list of questions with answers or of messages, what was said before. A list may be JSON in a string, as CSV
files have it.

| layout | kind | needed fields | other fields that are read | what they become |
|---|---|---|---|---|"""

_PREFERENCES = """
The prompt of a preference is everything before the answer. It may be repeated in the answers, and a system message may
stand in one place only. Where two dialogues have no prompt beside them, it is what they begin with alike; a `prompt`
string beside them has to be their first or last question. Scores and margins stay in `meta`.

A record of feedback has one of the layouts of conversations, and `label` or `kto_tag` is true or false (0 or 1 for
`kto_tag`, and for `label` beside a `completion`). The answer is the field that holds it, or else what follows the last
message of the user. Such a record read as a conversation is refused.

## Layouts that are written

`output.layout` of a recipe with `format: jsonl`. A record that a layout cannot hold, such as one with tools in
Alpaca's, is rejected as `wrong_layout`; the detail names what does not fit. Without a layout the lines have our own
columns.

| layout | kinds |
|---|---|"""

_REASONS_HEAD = """
## Reasons of rejects

The reasons for which a record that was parsed is refused (`stage` is `read`).

| reason | meaning |
|---|---|"""


def layouts_markdown() -> str:
    """The page: kinds, messages, roles, layouts and reasons, each as a table."""
    lines = [_HEAD]
    for kind in KINDS:
        columns = ", ".join(f"`{name}`" for name in SCHEMAS[kind].names)
        lines.append(f"| {kind} | {columns}. {_KINDS[kind]} |")
    lines.append(_COLUMNS)
    for field in MESSAGES.value_type:
        keys = ", ".join(f"`{key}`" for key in MESSAGE_KEYS.get(field.name, ())) or "all other keys"
        lines.append(f"| {field.name} | {field.type} | {keys} |")
    lines.append(_ROLES_HEAD)
    for role, spellings in ROLES.items():
        lines.append(f"| {role} | {', '.join(spellings)} |")
    lines.append(f"| assistant, with calls as JSON in the content | {', '.join(CALLS)} |")
    lines.append(_LAYOUTS_HEAD)
    for kind, layouts in LAYOUTS.items():
        lines += [_row(known, kind) for known in layouts]
    lines.append(_PREFERENCES)
    lines += [f"| {name} | {', '.join(kinds)} |" for name, kinds in WRITTEN.items()]
    lines.append(_REASONS_HEAD)
    lines += [f"| {reason} | {cell(meaning)} |" for reason, meaning in REASONS.items()]
    return "\n".join(lines).rstrip() + "\n"


def _row(known: Layout, kind: str) -> str:
    """The row of a layout."""
    common = ("system", "system_prompt", "tools", "functions", "history")
    needs = "; ".join(" or ".join(f"`{name}`" for name in names) for names in known.needs)
    takes = ", ".join(f"`{name}`" for name in known.takes if name not in common)
    return f"| {known.name} | {kind} | {needs} | {takes} | {cell(known.becomes)} |"

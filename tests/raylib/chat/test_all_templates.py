"""Every chat template at hand x planted conversations: as the template writes them, or refused for a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylib.chat import Renderer
from raylib.errors import RecordError, attempt
from tests.raylib.chat.planted import (
    MARKER,
    PLANTED,
    Independent,
    Learnt,
    Planted,
    learnt_answers,
    templates_of_trl,
    tiny_tokenizer,
)

# where these look for the reasoning of a message
_KEYS = {"gptoss": "thinking", "gptoss_training": "thinking", "lfm2_2_5": "thinking", "openai-gpt-oss-120b": "thinking"}
# These take messages whose content is a list of parts, and write nothing for text.
_PARTS_ONLY = ("idefics3", "llava_next", "smolvlm")
_OPEN_THOUGHT = re.compile(r"(?:<[^<>/\s]*think[^<>\s]*>|\[THINK\])\s*\Z")
_CLOSED_THOUGHT = re.compile(r"</[^<>\s]*think[^<>\s]*>\s*\Z")


class Story:
    """A planted conversation under one template."""

    def __init__(self, independent: Independent, planted: Planted) -> None:
        self.write, self.refused, self.planted = independent.write, independent.refused, planted
        self.messages, self.tools = planted.messages, planted.tools

    def before(self, turn: int) -> str:
        return self.write(self.messages[:turn], self.tools, generation=True)

    def after(self, turn: int) -> str:
        return self.write(self.messages[: turn + 1], self.tools, generation=False)

    def texts(self) -> Iterator[tuple[int, str, str]]:
        """Prompt and whole text of each answer that the template takes."""
        for turn in self.planted.turns:
            before, after = (_outcome(lambda t=turn, do=do: do(t)) for do in (self.before, self.after))
            if isinstance(before, str):
                yield turn, before, after if isinstance(after, str) else before

    def raises(self) -> bool:
        """Whether the template refuses the conversation as it is."""
        wanted = [(self.messages[: t + k], not k) for t in self.planted.turns for k in (0, 1)]
        return any(self.refused(said, self.tools, generation=g) for said, g in wanted)

    def explains(self, reason: str) -> bool:
        """Whether the independent rendering shows why a record is refused."""
        if reason == "empty_answer":
            return not self.planted.turns
        if reason == "template":
            return self.raises()
        texts = list(self.texts())
        if reason == "needs_reasoning":
            bare = [t for t in self.planted.turns if not self.messages[t].get("reasoning_content")]
            return any(turn in bare and _OPEN_THOUGHT.search(before) for turn, before, _ in texts)
        if reason == "reasoning_not_rendered":
            thoughts = [(self.messages[t].get("reasoning_content"), b, a) for t, b, a in texts]
            return any(r and (r not in a or _CLOSED_THOUGHT.search(b)) for r, b, a in thoughts)
        if reason == "template_rewrites":  # neither continued, nor begun again with the same generation prompt
            return any(not a.startswith(b) for _, b, a in texts) and any("tool_calls" in m for m in self.messages)
        if reason == "tools_not_rendered":
            return any(part not in text for _, b, a in texts for part, text in _tool_parts(self, b, a))
        if reason == "not_rendered":
            return any(
                (m["content"] or "") not in text
                for turn, b, a in texts
                for text, said in ((b, self.messages[:turn]), (a, self.messages[: turn + 1]))
                for m in said
            )
        return False


def _tool_parts(story: Story, before: str, after: str) -> Iterator[tuple[str, str]]:
    """Names and arguments, and the text in which they have to stand."""
    if story.tools:
        yield f'"{story.tools[0]["function"]["name"]}"', before
        yield "苏州", after


def _outcome(do: Any) -> Any:
    try:
        return do()
    except Exception as error:  # noqa: BLE001 - templates raise anything
        return error


def _check_learnt(story: Story, found: Learnt, special: re.Pattern[str], end: str) -> None:
    """An answer is what follows the prompt, to the token that ends it, or to one that is added if there is none."""
    before, after = story.before(found.turn), story.after(found.turn)
    assert found.prompt == before
    anchor = (story.messages[found.turn]["content"] or "find_trains").strip()
    reasoning = story.messages[found.turn].get("reasoning_content", "")
    thought = f"<think>\n{reasoning}\n</think>\n\n"
    if after.startswith(before):
        expected = after[len(before) :]
        if reasoning and reasoning not in expected:  # the template takes it from the content alone
            expected = thought + expected.lstrip()
    else:  # the template writes a finished answer otherwise: from its text on it has to be the same
        at = found.answer.rindex(anchor)
        assert reasoning in found.answer[:at]
        opened = _OPEN_THOUGHT.search(before)
        assert bool(reasoning) or not opened
        expected = found.answer[:at] + after[after.rindex(anchor) :]
    stops = list(special.finditer(expected.rstrip()))
    if stops and stops[-1].end() == len(expected.rstrip()):
        assert expected.startswith(found.answer)
        assert special.sub("", expected[len(found.answer) :]).strip() == "", "nothing but ends and white space is left"
        assert any(found.answer.endswith(s.group()) for s in stops)
    else:
        assert found.answer == expected.rstrip("\n") + end


def check_template(name: str, tokenizer: Any) -> set[str]:
    """Check a template with all planted conversations; returns the names of those that are learnt."""
    renderer = Renderer(tokenizer)
    special = renderer.controls.special
    assert special is not None
    assert renderer.end is not None
    end = tokenizer.decode([renderer.end])
    independent = Independent(tokenizer, _KEYS.get(name, "reasoning_content"), renderer.template.defaults(tokenizer))
    taken = set()
    for label, planted in PLANTED.items():
        story = Story(independent, planted)
        found = attempt(lambda p=planted: learnt_answers(renderer, p.messages, p.tools))  # type: ignore[misc]
        if isinstance(found, RecordError):
            assert story.explains(found.reason), f"{label}: {found}"
            continue
        assert [f.turn for f in found] == planted.turns, f"{label}: no answer is lost"
        for answer in found:
            _check_learnt(story, answer, special, end)
            assert answer.before == renderer.prompt(planted.messages[: answer.turn], planted.tools), label
        taken.add(label)
    return taken


@pytest.mark.parametrize("path", templates_of_trl(), ids=lambda p: p.stem)
def test_what_is_learnt_is_what_the_template_writes(path: Path) -> None:
    taken = check_template(path.stem, tiny_tokenizer(path.read_text("utf-8")))
    if not path.stem.startswith(_PARTS_ONLY):
        assert {"single", "multi", "english", "attack"} <= taken or {"reasoning", "reasoning multi"} <= taken
    if path.stem.startswith("gptoss"):
        assert {"tools with content", "reasoning with tools"} <= taken, "thoughts between calls are left out afterwards"


def test_templates_of_all_families_are_at_hand() -> None:
    assert len(templates_of_trl()) > 50


@pytest.mark.slow
@pytest.mark.data
def test_real_templates_with_a_real_tokenizer(real_data: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(real_data / "tokenizers" / "qwen3")
    paths = sorted((real_data / "chat_templates").glob("*.jinja"))
    assert len(paths) >= 15
    markers = {m for path in paths for m in MARKER.findall(path.read_text("utf-8"))}
    tokenizer.add_special_tokens({"extra_special_tokens": sorted(markers)})  # as the template's own tokenizer has them
    for path in paths:
        tokenizer.chat_template = path.read_text("utf-8")
        taken = check_template(path.stem, tokenizer)
        assert {"single", "multi", "english", "attack"} <= taken or {"reasoning", "reasoning multi"} <= taken

"""Templates by name: what is a target, and the same tokens at training and inference."""

from __future__ import annotations

import pytest

from raylib.chat import TEMPLATES, Renderer, RenderOptions
from raylib.errors import RecordError
from tests.raylib.chat.jinja import CHATML
from tests.raylib.chat.planted import FOUND, PLANTED, RESULT, learnt_answers, tiny_tokenizer

TALK = PLANTED["system"].messages
ENDS = {
    "plain": "</s>",
    "chatml": "<|im_end|>",
    "qwen": "<|im_end|>",
    "llama2": "</s>",
    "llama3": "<|eot_id|>",
    "mistral": "</s>",
}


def named(name: str) -> Renderer:
    """A renderer whose tokenizer has no template of its own, but all markers."""
    tokenizer = tiny_tokenizer("".join(TEMPLATES.values()))
    tokenizer.chat_template = None
    return Renderer(tokenizer, RenderOptions(template=name))


def test_all_names_are_looked_at() -> None:
    assert set(ENDS) == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_targets_are_answers_and_their_end_and_nothing_else(name: str) -> None:
    renderer = named(name)
    (sample,) = renderer.conversation(TALK)
    found = learnt_answers(renderer, TALK)
    assert [a.answer for a in found] == [f"先磨豆浆，再点卤。{ENDS[name]}", f"半天。{ENDS[name]}"]
    rest = renderer.tokenizer.decode([i for i, t in zip(sample.ids, sample.targets, strict=True) if not t])
    assert "豆腐怎么做" in rest
    assert "你是厨师" in rest
    assert "半天" not in rest
    assert sample.ids[-1] in renderer.stops()


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_are_the_same_tokens_at_training_and_inference(name: str) -> None:
    renderer = named(name)
    for found in learnt_answers(renderer, TALK):
        assert renderer.prompt(TALK[: found.turn]) == found.before
    (sample,) = renderer.conversation(TALK)
    bos = renderer.tokenizer.convert_tokens_to_ids("<s>")
    assert not any(a == b == bos for a, b in zip(sample.ids, sample.ids[1:], strict=False)), "no second beginning"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_role_that_a_template_lacks_is_refused(name: str) -> None:
    with pytest.raises(RecordError, match="role tool"):
        named(name).conversation([*TALK, RESULT, FOUND])


def test_a_tokenizer_without_a_template_gets_the_plain_one() -> None:
    assert named("auto").template.name == "plain"


def test_a_name_goes_before_the_own_template() -> None:
    tokenizer = tiny_tokenizer(CHATML)
    assert Renderer(tokenizer).template.name == "auto"
    assert Renderer(tokenizer, RenderOptions(template="plain")).prompt_text(TALK[1:2]).startswith("<s>User: ")

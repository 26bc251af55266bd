"""How conversations are rendered and which of their answers are learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from raylib.chat.named import TEMPLATES
from raylib.errors import ParameterError

__all__ = ["Developer", "Learn", "Reasoning", "RenderOptions"]

Learn = Literal["all", "last"]
Reasoning = Literal["template", "inline", "drop"]
Developer = Literal["developer", "system"]


@dataclass(frozen=True)
class RenderOptions:
    """How conversations are rendered and which of their answers are learnt.

    Attributes:
        template: Name of a template (see `TEMPLATES`); `auto` uses the tokenizer's own, and `plain` where it has none.
        template_options: Variables of the template, such as `{"enable_thinking": False}`.
        learn: Answers of a conversation that are learnt: `all`, or the `last` alone.
        learn_reasoning: Whether the reasoning before an answer is learnt, too.
        reasoning: Where reasoning stands: where the `template` writes it, or `inline`, between `<think>` and
            `</think>` at the start of the answer that is learnt, for templates that know none; `drop` leaves it out.
        developer: Role of developer messages: `developer`, or `system` for templates that know no developer.
        end_token: Token that ends an answer if the template writes none; empty means the model's own.
        max_samples_a_record: Largest number of samples of a conversation whose template rewrites earlier turns, the
            last ones; 0 sets no limit.

    Raises:
        ParameterError: A value is not one of the valid ones.
    """

    template: str = "auto"
    template_options: Mapping[str, object] = field(default_factory=dict)
    learn: Learn = "all"
    learn_reasoning: bool = True
    reasoning: Reasoning = "template"
    developer: Developer = "developer"
    end_token: str = ""
    max_samples_a_record: int = 0

    def __post_init__(self) -> None:
        if self.template != "auto" and self.template not in TEMPLATES:
            raise ParameterError(f"template {self.template!r}: valid are auto, {', '.join(TEMPLATES)}")
        for name, choices in (("learn", Learn), ("reasoning", Reasoning), ("developer", Developer)):
            value, valid = getattr(self, name), get_args(choices)
            if value not in valid:
                raise ParameterError(f"{name} {value!r}: valid are {', '.join(valid)}")
        if self.max_samples_a_record < 0:
            raise ParameterError(f"max_samples_a_record must be 0 or more, is {self.max_samples_a_record}")
        wrong = next((name for name in self.template_options if not name.isidentifier()), None)
        if wrong is not None:
            raise ParameterError(f"template_options: {wrong!r} is no name of a variable")
        reserved = {"messages", "tools", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize"}
        if taken := reserved & set(self.template_options):
            raise ParameterError(f"template_options: {min(taken)!r} is not for users to set")

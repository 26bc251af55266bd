"""Templates by name, as Jinja: for tokenizers that have none, and for models that were trained with another one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TEMPLATES"]


@dataclass(frozen=True)
class _Form:
    """How the turns of a conversation are written. `<bos>` and `<eos>` are the tokenizer's own tokens.

    Attributes:
        begin: Text before everything else.
        system: Text of a system message; `{content}` is replaced by the message.
        user: Text of a user message; `{content}` is replaced by the message.
        answer: Text before an answer: the generation prompt.
        end: Text that ends an answer.
        gap: Text between an answer and the next turn.
    """

    begin: str
    system: str
    user: str
    answer: str
    end: str
    gap: str

    def jinja(self) -> str:
        """The template as chat templates are written."""
        return (
            f"{_expression(self.begin)}"
            "{%- for message in messages -%}"
            f"{{%- if message['role'] == 'system' -%}}{_turn(self.system)}"
            f"{{%- elif message['role'] == 'user' -%}}{_turn(self.user)}"
            f"{{%- elif message['role'] == 'assistant' -%}}{_expression(self.answer)}{_turn('{content}' + self.end)}"
            f"{{%- if not loop.last -%}}{_expression(self.gap)}{{%- endif -%}}"
            "{%- else -%}{{- raise_exception('this template has no role ' + message['role']) -}}{%- endif -%}"
            "{%- endfor -%}"
            f"{{%- if add_generation_prompt -%}}{_expression(self.answer)}{{%- endif -%}}"
        )


def _expression(text: str) -> str:
    """A Jinja expression that writes a text."""
    parts = []
    for i, between in enumerate(text.split("<bos>")):
        parts += ["(bos_token or '')"] if i else []
        for k, plain in enumerate(between.split("<eos>")):
            parts += ["eos_token"] if k else []
            parts += [repr(plain)] if plain else []
    return "{{- " + " + ".join(parts) + " -}}" if parts else ""


def _turn(shape: str) -> str:
    """Expressions that write a message."""
    before, after = shape.split("{content}")
    return f"{_expression(before)}{{{{- message['content'] or '' -}}}}{_expression(after)}"


_CHATML = _Form(
    begin="",
    system="<|im_start|>system\n{content}<|im_end|>\n",
    user="<|im_start|>user\n{content}<|im_end|>\n",
    answer="<|im_start|>assistant\n",
    end="<|im_end|>",
    gap="\n",
)
_FORMS = {
    "plain": _Form("<bos>", "{content}\n", "User: {content}<eos>\n", "Assistant: ", "<eos>", "\n"),
    "chatml": _CHATML,
    "qwen": _CHATML,
    "llama2": _Form("<bos>", "<<SYS>>\n{content}\n<</SYS>>\n\n", "[INST] {content} [/INST]", " ", "<eos>", "<bos>"),
    "llama3": _Form(
        begin="<bos>",
        system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
        gap="",
    ),
    "mistral": _Form("<bos>", "{content}\n\n", "[INST] {content} [/INST]", "", "<eos>", ""),
}
TEMPLATES: dict[str, str] = {name: form.jinja() for name, form in _FORMS.items()}
"""Jinja source by name."""

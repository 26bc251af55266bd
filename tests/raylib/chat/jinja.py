"""Chat templates that behave like those of well-known models, in the few lines that matter."""

from __future__ import annotations

_CALLS = (
    "{%- for call in m.tool_calls or [] -%}{{- '\\n<tool_call>\\n' -}}"
    '{{- \'{"name": "\' + call.function.name + \'", "arguments": \' -}}{{- call.function.arguments | tojson -}}'
    "{{- '}\\n</tool_call>' -}}{%- endfor -%}"
)
_TOOLS = (
    "{%- if tools -%}{{- '<|im_start|>system\\n<tools>' -}}{%- for t in tools -%}{{- '\\n' -}}{{- t | tojson -}}"
    "{%- endfor -%}{{- '\\n</tools><|im_end|>\\n' -}}{%- endif -%}"
)
_LAST_QUESTION = (
    "{%- set ns = namespace(last=-1) -%}{%- for m in messages -%}{%- if m.role == 'user' -%}"
    "{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
)

CHATML = (
    "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

# Takes reasoning out of earlier turns, writes an empty thought before an answer without one.
QWEN3 = (
    _TOOLS + _LAST_QUESTION + "{%- for m in messages -%}{%- if m.role == 'assistant' -%}"
    "{%- set thought = m.reasoning_content or '' -%}{{- '<|im_start|>assistant\\n' -}}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) -%}"
    "{{- '<think>\\n' + thought + '\\n</think>\\n\\n' -}}{%- endif -%}"
    "{{- m.content -}}" + _CALLS + "{{- '<|im_end|>\\n' -}}"
    "{%- elif m.role == 'tool' -%}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' -}}"
    "{%- elif m.role in ('system', 'user') -%}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}"
    "{%- endif -%}{%- endif -%}"
)

# Its generation prompt opens the thought; a finished answer is written without it.
R1 = (
    "{{- bos_token -}}{%- for m in messages -%}{%- if m.role == 'user' -%}{{- '<｜User｜>' + m.content -}}"
    "{%- elif m.role == 'assistant' -%}{{- '<｜Assistant｜>' + m.content.split('</think>')[-1] -}}"
    "{{- '<｜end▁of▁sentence｜>' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<｜Assistant｜><think>\\n' -}}{%- endif -%}"
)

# Writes no token that ends an answer.
GLM = (
    "{{- '[gMASK]<sop>' -}}" + _LAST_QUESTION + "{%- for m in messages -%}"
    "{%- if m.role == 'assistant' -%}{{- '<|assistant|>\\n<think>' -}}"
    "{%- if loop.index0 > ns.last -%}{{- m.reasoning_content or '' -}}{%- endif -%}{{- '</think>\\n' + m.content -}}"
    "{%- else -%}{{- '<|' + m.role + '|>\\n' + m.content -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
GLM_MARKS = ["<|user|>", "<|system|>", "<|observation|>", "<|endoftext|>"]

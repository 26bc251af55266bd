"""Chat templates of strangers: none runs for ever or fills memory, and each is refused with a reason."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from raylib.chat import Renderer
from raylib.errors import ParameterError, RecordError
from tests.raylib.chat.jinja import CHATML
from tests.raylib.chat.planted import assistant, tiny_tokenizer, user

DOUBLING = "{%- set ns = namespace(x='甲') -%}{%- for i in range(60) -%}{%- set ns.x = SUM -%}{%- endfor -%}"
LONG = "{% set x = 'x' * 100000000 %}"
HOSTILE = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops without output": "{% for a in range(9999) %}{% for b in range(9999) if b < 0 %}{% endfor %}{% endfor %}",
    "a range": "{% for a in range(10**9) %}{% endfor %}",
    "a text times a number": "{{ 'x' * 10**9 }}",
    "a number times a text": "{{ 1000000000 * 'x' }}",
    "a list times a number": "{% set x = [1] * 1000000000 %}",
    "a power": "{{ 9 ** 999999999 }}",
    "powers": "{{ ((9 ** 999) ** 999) ** 999 }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "a loop that calls itself": "{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "sums": DOUBLING.replace("SUM", "ns.x + ns.x"),
    "sums with constants": DOUBLING.replace("SUM", "'乙' + ns.x + '乙' + ns.x"),
    "joined texts": DOUBLING.replace("SUM", "ns.x ~ ns.x"),
    "lists of lists": DOUBLING.replace("SUM", "[ns.x, ns.x]") + "{{ ns.x }}",
    "mappings of mappings": DOUBLING.replace("SUM", "{'a': ns.x, 'b': ns.x}") + "{{ ns.x|tojson }}",
    "mappings by a function": DOUBLING.replace("SUM", "dict(a=ns.x, b=ns.x)") + "{{ ns.x|tojson }}",
    "lists by a filter": DOUBLING.replace("SUM", "range(2)|map(attribute='y', default=ns.x)|list") + "{{ ns.x }}",
    "formats": DOUBLING.replace("SUM", "'%s%s' % (ns.x, ns.x)"),
    "format method": DOUBLING.replace("SUM", "'{0}{0}'.format(ns.x)"),
    "replaced": DOUBLING.replace("SUM", "ns.x.replace('甲', '甲甲')"),
    "replaced by nothing found": DOUBLING.replace("SUM", "ns.x|replace('', '甲')"),
    "joined by a filter": DOUBLING.replace("SUM", "[ns.x, ns.x]|join(ns.x)"),
    "joined by a method": DOUBLING.replace("SUM", "ns.x.join([ns.x, ns.x])"),
    "blocks": "{%- set ns = namespace(x='甲') -%}{%- for i in range(60) -%}{%- set ns.x -%}{{ ns.x }}{{ ns.x }}"
    "{%- endset -%}{%- endfor -%}",
    "the output": "{% set x = 'x' * 10**6 %}{% for a in range(99999) %}{{ x }}{% endfor %}",
    "the output of a macro": "{% set x = 'x' * 10**6 %}{% macro f() %}{% for a in range(99999) %}{{ x }}{% endfor %}"
    "{% endmacro %}{% set y = f() %}",
    "padding": "{% set x = 'x'.center(10**10) %}",
    "padding of constants": "{{ 'x'|center(10000000000) }}",
    "indentation": "{{ 'x\ny'|indent(10000000000) }}",
    "indented JSON": "{{ [1]|tojson(indent=10000000000) }}",
    "credit by a negative indent": "{% set y = messages|tojson(indent=-1000000000000) %}"
    "{% set z = 'x' * (10**9 * messages|length) %}",
    "zeros": "{{ '1'.zfill(10000000000) }}",
    "batches": "{{ [1]|batch(1000000000, 'x')|list }}",
    "slices": "{{ [1]|slice(1000000000)|list }}",
    "a wide format": "{{ '%9999999999d' % 1 }}",
    "a wide format by an argument": "{{ '%*d' % (999999999, 1) }}",
    "a wide format by a filter": "{{ '%9999999999d'|format(1) }}",
    "a wide format by a method": "{{ '{:9999999999}'.format(1) }}",
    "a wide format by an argument of a method": "{{ '{:{}}'.format(1, 9999999999) }}",
    "fields of a long text": LONG + "{% set y = ('{0}' * 200).format(x) %}",
    "named fields": LONG + "{% set y = ('%(a)s' * 200) % {'a': x} %}",
    "fields of a filter": LONG + "{% set y = ('%(a)s' * 200)|format(a=x) %}",
    "indented JSON by position": "{% set y = [1]|tojson(false, 2000000000) %}",
    "separators": "{% set y = range(3000)|list|tojson(separators=('x' * 1000000, ':')) %}",
    "indents that are texts": "{% set y = ('a\n' * 30000)|indent('x' * 100000) %}",
    "ends of lines": "{% set y = ('a ' * 100000)|wordwrap(1, wrapstring='x' * 30000) %}",
    "dates": "{{ strftime_now('%c' * 3000000) }}",
    "sums of lists": "{{ ([range(10000)|list] * 400)|sum(start=[])|length }}",
    "a text of 100 MB": LONG + "{{ x }}",
    "bytes": "{{ (1).to_bytes(9999999999, 'big') }}",
    "filler": "{{ lipsum(n=100000000) }}",
    "translated": "{{ 'aaa'.translate({97: 'b'}) }}",
}
MOST = 2 << 30


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_template_that_never_ends_or_fills_memory_is_refused(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with pytest.raises((ParameterError, RecordError), match=r"template"):
        Renderer(tiny_tokenizer(CHATML + source)).prompt([user("几点开门？")])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST


def test_a_template_that_is_refused_for_a_short_question_is_refused_before_the_run() -> None:
    with pytest.raises(ParameterError, match="it loops for too long or builds a text that is too long"):
        Renderer(tiny_tokenizer(HOSTILE["loops in loops"]))


def test_a_record_over_which_a_template_never_ends_is_refused_and_the_next_is_not() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML + "{% if messages|length > 2 %}" + HOSTILE["sums"] + "{% endif %}"))
    talk: list[Any] = [user("几点开门？"), assistant("九点。")]
    expected = renderer.prompt_text(talk[:1])
    with pytest.raises(RecordError, match="it loops for too long"):
        renderer.prompt([*talk, user("几点关门？")])
    assert renderer.prompt_text(talk[:1]) == expected


@pytest.mark.parametrize("source", ["{% for %}", "{{ " + "(" * 5000 + ")" * 5000 + " }}", "x" * (2 << 20)])
def test_a_template_that_is_no_template_is_an_error_in_one_line(source: str) -> None:
    with pytest.raises(ParameterError, match="the chat template"):
        Renderer(tiny_tokenizer(source))


def test_long_conversations_are_rendered() -> None:
    talk: list[Any] = [m for i in range(2000) for m in (user(f"第 {i} 问" * 100), assistant(f"第 {i} 答" * 100))]
    renderer = Renderer(tiny_tokenizer(CHATML))
    text = renderer.template.write(talk, None, generation=False)
    expected = renderer.tokenizer.apply_chat_template(talk, tokenize=False)  # type: ignore[attr-defined]
    assert text == expected

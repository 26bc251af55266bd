"""Chat templates whose work is bounded: a template of a stranger neither runs for ever nor fills memory.

The sandbox of transformers lets a template read and change nothing, but lets it loop and build texts as it likes. Here
whatever a template makes and does is charged to an account: characters, rounds of loops, calls. What could be large in
one step is charged before it is done. The bound counts work and not time, so that a record is refused on every machine
or on none; for templates that models really have it is out of reach, and what they write is the same.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterator
from types import BuiltinMethodType

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from raylib.chat.account import (
    CALL,
    ITEM,
    SMALL,
    STEP,
    TooMuchWork,
    Value,
    before,
    charge,
    charge_format,
    charged_filter,
    joined,
    looped,
    made,
    watched,
)
from raylib.errors import ParameterError

__all__ = ["bound"]

_LONGEST = 1 << 20  # characters of a template; the longest that we know has 20 KB
_MOST_BITS = 1 << 12  # of a number
_FEW = 16  # texts that may be joined before anyone looks
_LEFT_OUT = ("lipsum",)  # texts by chance, as long as one asks for


class _Generator(CodeGenerator):
    """Code that charges what grows: sums, joined texts, lists with variables, and loops."""

    _around: dict[int, str]

    def visit(self, node: nodes.Node, *args: Value, **kwargs: Value) -> Value:
        around = self.__dict__.setdefault("_around", {})
        if isinstance(node, nodes.For):
            around[id(node.iter)] = "looped"
        elif isinstance(node, nodes.Add) and _inert(node):
            around.update({id(side): "" for side in (node.left, node.right)})
        elif isinstance(node, nodes.Concat) and len(node.nodes) > _FEW:
            around.update({id(part): "made" for part in node.nodes})
        if isinstance(node, nodes.Expr) and id(node) not in around and _grows(node):
            around[id(node)] = "made"
        function = around.pop(id(node), "")
        if not function:
            return super().visit(node, *args, **kwargs)
        self.write(f"environment.{function}(")
        super().visit(node, *args, **kwargs)
        self.write(")")
        return None

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802 - jinja's own name
        if frame.buffer is None:  # what is written is charged piece by piece
            around = self.__dict__.setdefault("_around", {})
            for written in node.nodes:
                chain = list(_chain(written))
                around.update({id(part): "" for part in chain if len(chain) < _FEW})
        super().visit_Output(node, frame)


def _chain(node: nodes.Node) -> Iterator[nodes.Node]:
    """The sums of a sum."""
    if isinstance(node, nodes.Add):
        yield node
        yield from _chain(node.left)
        yield from _chain(node.right)


def _inert(node: nodes.Add) -> bool:
    """Whether the sum around this one is charged for both."""
    return isinstance(node.left, nodes.Const) or isinstance(node.right, nodes.Const)


def _grows(node: nodes.Node) -> bool:
    """Whether what an expression makes can be larger than what it is made of."""
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return getattr(node, "ctx", "load") == "load" and not all(isinstance(i, nodes.Const) for i in node.items)
    return isinstance(node, (nodes.Add, nodes.Concat)) or (isinstance(node, nodes.Dict) and bool(node.items))


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox of transformers with an account."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(["*", "**", "%"])
    concat = staticmethod(joined)
    made, looped = staticmethod(made), staticmethod(looped)

    def call_binop(self, context: Context, operator: str, left: Value, right: Value) -> Value:
        if operator == "%":
            if isinstance(left, (str, bytes)):
                charge_format(str(left), "%", (right,))
            return made(left % right)
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MOST_BITS:
                raise TooMuchWork
        elif operator == "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(times, int) and hasattr(value, "__len__"):
                    charge(len(value) * max(0, times))
        return made(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Value, /, *args: Value, **kwargs: Value) -> Value:
        if type(obj) is BuiltinMethodType:
            name, value = obj.__name__, obj.__self__
            if name in SMALL:
                charge(STEP)
                return context.call(obj, *args, **kwargs)
            if name == "split" and type(value) is str:
                charge(STEP + ITEM * len(value))
                return context.call(obj, *args, **kwargs)
            args = before(name, value, args, kwargs)
        elif obj in self.globals.values():
            charge(STEP + STEP * sum(len(a) for a in args if isinstance(a, str)))  # such as a format of dates
        else:
            wrapped = getattr(obj, "__wrapped__", None)  # the sandbox's own str.format
            if type(wrapped) is BuiltinMethodType:
                before(wrapped.__name__, wrapped.__self__, args, kwargs)
            charge(CALL + STEP * sum(len(a) for a in args if hasattr(a, "__len__") and type(a) is not str))
        return made(super().call(context, obj, *args, **kwargs))


def _keeper(key: str) -> jinja2.Template | None:
    """What transformers compiles and keeps for a key; None without transformers."""
    module = sys.modules.get("transformers.utils.chat_template_utils")
    kept: jinja2.Template | None = module._compile_jinja_template(key) if module else None  # noqa: SLF001 - no other way
    return kept


def bound(source: str) -> str:
    """Make transformers render a template with an account; cheap where that is done.

    Args:
        source: Jinja source.

    Returns:
        What to give as the template to transformers: a comment in whose place it has the bounded template. The source
        itself without transformers.

    Raises:
        ParameterError: The template is not valid, or too deeply nested, or too long.
    """
    if len(source) > _LONGEST:
        raise ParameterError(f"the chat template has {len(source):,} characters; valid are up to {_LONGEST:,}")
    key = _key(source)
    template = _keeper(key)
    if template is None:
        return source
    environment: Value = template.environment
    if isinstance(environment, _Environment):
        return key
    environment.__class__ = _Environment
    environment.filters = {
        name: function if name in SMALL else charged_filter(name, function)
        for name, function in environment.filters.items()
    }
    for name in _LEFT_OUT:
        environment.globals.pop(name, None)
    try:
        with watched(lambda: 0):
            template.__dict__.update(_compiled(environment, source).__dict__)
    except BaseException:
        environment.__class__ = ImmutableSandboxedEnvironment  # so that the next call finds it unfinished
        raise
    return key


@functools.lru_cache
def _key(source: str) -> str:
    return f"{{# {hashlib.sha256(source.encode(errors='surrogatepass')).hexdigest()} #}}"


def _compiled(environment: jinja2.Environment, source: str) -> jinja2.Template:
    """A template in the environment.

    Raises:
        ParameterError: It is not valid.
    """
    try:
        return environment.from_string(source)
    except TooMuchWork as error:
        raise ParameterError(f"the chat template is refused: {error}") from None
    except (jinja2.TemplateError, SyntaxError, RecursionError, MemoryError) as error:
        raise ParameterError(f"the chat template is not valid: {error}") from None

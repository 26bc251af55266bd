"""The checks of `tests/test_house.py` as functions: each takes source text and returns the problems that it finds."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("raylib", "cleaning", "dedup", "quality", "training")
LONGEST_FILE = 350
LONGEST_FUNCTION = 50
# A face of these may look its names up when they are first asked for (PEP 562).
LAZY_NAMES = {"__getattr__", "__dir__"}
# The two functions of `training` import torch when they are called.
FACES_WITH_FUNCTIONS = {"training/__init__.py"}
# The contract and the data that travels between processes: nothing in them is `Any`.
TRAVELS = (
    "raylib/stage/*.py",
    "raylib/storage/names.py",
    "raylib/storage/entry.py",
    "raylib/recipe/*.py",
    "training/config/*.py",
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def product() -> list[Path]:
    """Every Python file of the five packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_files() -> list[Path]:
    """Every Python file below `tests`."""
    return sorted((ROOT / "tests").rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def sizes(text: str) -> list[str]:
    """A file has at most 350 lines, and each of its functions is shorter than 50."""
    problems = []
    if (lines := len(text.splitlines())) > LONGEST_FILE:
        problems.append(f"{lines} lines; at most {LONGEST_FILE}")
    for function in functions(ast.parse(text)):
        if (lines := (function.end_lineno or 0) - function.lineno) >= LONGEST_FUNCTION:
            problems.append(f"{function.name} has {lines} lines; fewer than {LONGEST_FUNCTION}")
    return problems


def face(text: str) -> list[str]:
    """A package's `__init__` imports and lists names; it defines nothing but a lazy look-up."""
    problems = []
    for node in ast.parse(text).body:
        if isinstance(node, Function) and node.name in LAZY_NAMES:
            continue
        if isinstance(node, Function | ast.ClassDef):
            problems.append(f"a face defines {node.name} in line {node.lineno}")
        elif isinstance(node, ast.For | ast.While | ast.Try | ast.With):
            problems.append(f"a face does something in line {node.lineno}")
    return problems


def first_line(text: str) -> list[str]:
    """A module begins with a docstring whose first line is a sentence: the tree in ARCHITECTURE.md is made of it."""
    line = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    if not re.fullmatch(r"[A-Z0-9`\w].*\w.*\.", line) or len(line.split()) < 3:
        return [f"the first line of the docstring is not a sentence: {line!r}"]
    return []


def any_names(text: str) -> int:
    """How often `Any` stands in types: as a name, or in a type that is written as a string."""
    found = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            found += node.id == "Any"
        elif isinstance(node, ast.Attribute):
            found += node.attr == "Any" and isinstance(node.value, ast.Name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            found += _any_in_type(node.value)
    return found


def _any_in_type(text: str) -> int:
    """How often `Any` stands in a string that could be a type; a sentence is not an expression."""
    try:
        return any_names(text) if re.search(r"\bAny\b", text) and "\n" not in text else 0
    except SyntaxError:
        return 0


def silencers(text: str) -> list[str]:
    """Comments that silence ruff name the rule and give a reason."""
    return [
        f"line {number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := re.search(r"#\s*(?:noqa|ruff: noqa).*", line))
        and not re.match(r"# noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \w+", found.group())
    ]


def module_path(path: Path) -> str:
    """The dotted name of a file of the repository."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


# --- names of modules in text ----------------------------------------------------------------------------------------

_NAME = rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+"
# Imports and `python -m` also stand in strings, as scripts that a test starts; pages name modules in backticks.
_IMPORTED = re.compile(rf"(?:\bfrom|\bimport|-m|[\"']-m[\"'],) +[\"']?({_NAME})")
_NAMED = re.compile(rf"`({_NAME})(?:\([^`]*\))?`")


def written_files() -> list[Path]:
    """Every file that people or programs read and that may name a module."""
    folders = (*PACKAGES, "tests", "benchmarks", "examples", "jobs", "docs", "deploy", "recipes")
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml"}
    ]
    return sorted([*found, *ROOT.glob("*.md"), ROOT / "Makefile"])


def lost_names(text: str, *, page: bool = False) -> list[str]:
    """Modules, and in pages also functions and classes, that a text names and that are not there."""
    names = _IMPORTED.findall(text) + (_NAMED.findall(text) if page else [])
    return sorted({name for name in names if not _there(name)})


def _there(name: str) -> bool:
    """Whether a dotted name is a module, or leads from one to an attribute."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return not parts[length:] or _has(thing, parts[length:])
    return False


def _has(thing: object, names: list[str]) -> bool:
    for name in names:
        if not hasattr(thing, name):
            fields = getattr(thing, "__dataclass_fields__", None) or getattr(thing, "model_fields", {})
            return name in fields
        thing = getattr(thing, name)
    return True


# --- options ---------------------------------------------------------------------------------------------------------


def sections(kind: type) -> list[type]:
    """A configuration class and every class of options that its fields are made of."""
    found: list[type] = []
    waiting = [kind]
    while waiting:
        one = waiting.pop(0)
        if one in found:
            continue
        found.append(one)
        waiting += [part for hint in typing.get_type_hints(one).values() for part in _classes(hint)]
    return found


def _classes(hint: object) -> list[type]:
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "model_fields")):
        return [hint]
    return [part for argument in typing.get_args(hint) for part in _classes(argument)]


def descriptions(kind: type) -> Mapping[str, str]:
    """The description of every field of a pydantic model or dataclass; empty where there is none."""
    known: Mapping[str, object] = getattr(kind, "model_fields", None) or getattr(kind, "__pydantic_fields__", {})
    return {name: str(getattr(info, "description", "") or "") for name, info in known.items()}


def options(kind: type) -> list[str]:
    """Every option is described by whole sentences."""
    found = descriptions(kind)
    if not found:
        return [f"{kind.__name__} has no fields of pydantic"]
    return [
        f"{kind.__name__}.{name}: {text!r}"
        for name, text in found.items()
        if not re.fullmatch(r"[A-Z0-9`].*[.)]", text, re.S) or len(text.split()) < 3
    ]


# --- docstrings of public names --------------------------------------------------------------------------------------


def undocumented(name: str, thing: object) -> list[str]:
    """Parameters of a public function, or fields of a public dataclass, that its docstring does not list.

    Options of pydantic are described field by field, errors and protocols have no parameters of their own.
    """
    if isinstance(thing, type) and (issubclass(thing, BaseException) or hasattr(thing, "__pydantic_fields__")):
        return []
    if isinstance(thing, type) and dataclasses.is_dataclass(thing):
        wanted = [f.name for f in dataclasses.fields(thing) if f.init and not f.name.startswith("_")]
    elif inspect.isfunction(thing):
        wanted = [p for p in inspect.signature(thing).parameters if not p.startswith("_")]
    else:
        return []
    listed = _listed(_docstring(thing))
    missing = [w for w in wanted if w not in listed]
    return [f"{name}: {', '.join(missing)}"] if missing else []


def _docstring(thing: type | FunctionType) -> str:
    """The docstring as it is written: a class may give its instances another one."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    assert isinstance(definition, Function | ast.ClassDef)
    return ast.get_docstring(definition) or ""


def _listed(docstring: str) -> set[str]:
    """Names in the sections `Args:` and `Attributes:` of a docstring in Google's style."""
    names: set[str] = set()
    inside = False
    for line in docstring.splitlines():
        if re.fullmatch(r"(Args|Attributes|Keyword Args):", line):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside and (found := re.match(r" {2,4}\*{0,2}(\w+(?:, \*{0,2}\w+)*)(?: \(.*?\))?: ", line)):
            names.update(re.findall(r"\w+", found.group(1)))
    return names


# --- tests -----------------------------------------------------------------------------------------------------------


class Assertions:
    """Which functions assert something: themselves, or by a helper that does.

    Args:
        helpers: Functions of other modules by the names under which they are imported.
    """

    def __init__(self, text: str, helpers: Mapping[str, bool] | None = None) -> None:
        self.tree = ast.parse(text)
        self.functions: dict[str, Function] = {f.name: f for f in functions(self.tree)}
        self.known: dict[str, bool] = dict(helpers or {})

    def of(self, name: str) -> bool:
        """Whether the function of that name asserts something whenever it returns."""
        if name not in self.known:
            self.known[name] = False  # a function that calls itself
            function = self.functions.get(name)
            self.known[name] = function is not None and self._in_block(function.body)
        return self.known[name]

    def _in_block(self, body: list[ast.stmt]) -> bool:
        return any(self._in_statement(statement) for statement in body)

    def _in_statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Assert):
            return not (isinstance(node.test, ast.Constant) and bool(node.test.value))
        if isinstance(node, ast.If):  # only where both ways assert
            return bool(node.orelse) and self._in_block(node.body) and self._in_block(node.orelse)
        if isinstance(node, ast.Try):
            return self._in_block(node.body) or self._in_block(node.orelse) or self._in_block(node.finalbody)
        if isinstance(node, ast.With | ast.AsyncWith):
            return any(self._expects(item.context_expr) for item in node.items) or self._in_block(node.body)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            return self._in_block(node.body) or self._in_block(node.orelse)
        if isinstance(node, ast.Match):
            return all(self._in_block(case.body) for case in node.cases)
        if isinstance(node, Function):  # counts where it is called
            return False
        return any(self._asserts(call) for call in ast.walk(node) if isinstance(call, ast.Call))

    def _expects(self, node: ast.expr) -> bool:
        """`with pytest.raises(...)` and its like."""
        called = _called(node.func) if isinstance(node, ast.Call) else ""
        return called in {"raises", "warns", "deprecated_call"} or self._asserts(node)

    def _asserts(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = _called(node.func)
        return called.startswith(("assert", "check")) or called in {"fail", "validate"} or self.of(called)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def idle_tests(text: str, helpers: Mapping[str, bool] | None = None) -> list[str]:
    """Tests that can never fail because they assert nothing."""
    assertions = Assertions(text, helpers)
    return [name for name in assertions.functions if name.startswith("test_") and not assertions.of(name)]


def imported_helpers(text: str, load: Callable[[str], str | None]) -> dict[str, bool]:
    """Of the functions that a test module imports from `tests`: which ones assert something."""
    found: dict[str, bool] = {}
    for node in ast.walk(ast.parse(text)):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and module.startswith("tests") and (source := load(module)):
            there = Assertions(source)
            found |= {alias.asname or alias.name: there.of(alias.name) for alias in node.names}
    return found


def borrowed_fixtures(text: str, load: Callable[[str], str | None]) -> list[str]:
    """Fixtures that are imported; one that several modules use belongs into a `conftest.py`."""
    return [
        f"line {node.lineno}: {alias.name} from {node.module}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (source := load(node.module or ""))
        for alias in node.names
        if alias.name in fixtures(source)
    ]


def fixtures(text: str) -> set[str]:
    """Names of the fixtures that a module defines."""
    return {
        function.name
        for function in functions(ast.parse(text))
        if any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)
    }

"""Who imports whom, held by the source itself: no circles, no private names of others, no hidden modules."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import minidl

ROOT = Path(__file__).resolve().parents[1]


def modules(package: str) -> dict[str, Path]:
    """The files of a package by the names of their modules."""
    return {name: path for name, path in everything().items() if name.partition(".")[0] == package}


@functools.cache
def everything() -> dict[str, Path]:
    paths = [path for package in ("minidl", "recsys") for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def folder(module: str) -> str:
    """The package that a module is in, which for a package is itself."""
    return module if everything()[module].name == "__init__.py" else module.rpartition(".")[0]


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from at_run_time(child)


def imports(package: str, module: str) -> set[str]:
    """The modules of a package that one of them imports, inside of functions too."""
    known, found = modules(package), set()
    for node in at_run_time(tree(known[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names}
    return found & known.keys() - {module}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Modules that import one another in a round: those that can be reached from each other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, stack = set(), [start]
        while stack:
            new = graph[stack.pop()] - seen
            seen |= new
            stack += new
        reached[start] = seen
    return [{b for b in reached[a] if a in reached[b]} for a in graph if a in reached[a]]


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert circles(graph) == [{"a", "b", "c"}] * 3


def test_at_most_three_files_import_one_another() -> None:
    found = circles({module: imports("minidl", module) for module in modules("minidl")})
    assert max(map(len, found), default=0) <= 3, found


def test_ops_import_their_siblings() -> None:
    """All of them at once would be a circle, which `importlib` in `minidl.ops` would hide."""
    users = {m for m in modules("minidl") if m.startswith("minidl.ops.") and "minidl.ops" in imports("minidl", m)}
    assert users == {"minidl.ops.dispatch"}  # which looks up any of them, when NumPy calls


# -------------------------------------------------------------------------------------------- private names

def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


@functools.cache
def defined() -> dict[str, set[str]]:
    """Private names that the files of each folder make: functions, classes, variables, attributes, slots."""
    found: dict[str, set[str]] = {}
    for module, path in everything().items():
        names = found.setdefault(folder(module), set())
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)  # of __slots__ and setattr
    return {where: set(filter(private, names)) for where, names in found.items()}


def borrowed(module: str) -> Iterator[tuple[int, str]]:
    """Lines of a file that name what is private to another folder."""
    own = folder(module)
    others = set().union(*defined().values()) - defined()[own]
    for node in ast.walk(tree(everything()[module])):
        if isinstance(node, ast.ImportFrom) and node.module in everything():
            if folder(node.module) != own:
                yield from ((node.lineno, alias.name) for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Attribute) and node.attr in others:
            yield node.lineno, node.attr


@pytest.mark.parametrize("package", ["minidl", "recsys"])
def test_no_private_name_crosses_a_package(package: str) -> None:
    found = [f"{modules(package)[m].relative_to(ROOT)}:{line}: {name}" for m in modules(package)
             for line, name in borrowed(m)]
    assert not found, "\n".join(found)


# ----------------------------------------------------------------------------------- names of modules and of others

def meanings(package: ModuleType, name: str) -> Iterator[object]:
    """What a name of a package may stand for, imported at once or when it is asked for."""
    if name in vars(package):
        yield vars(package)[name]
    if "__getattr__" in vars(package):
        with contextlib.suppress(AttributeError):
            yield vars(package)["__getattr__"](name)


@pytest.mark.parametrize("package", ["minidl", "recsys"])
def test_no_function_hides_a_module_of_its_name(package: str) -> None:
    hidden = set()
    for module in modules(package):
        above, _, name = module.rpartition(".")
        if above and not all(isinstance(x, ModuleType) for x in meanings(importlib.import_module(above), name)):
            hidden.add(module)
    assert not hidden


# --------------------------------------------------------------------------------------------------- public names

def test_the_core_is_read_in_an_evening() -> None:
    files = [ROOT / "minidl" / name for name in ("tensors.py", "engine.py")]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 900


@pytest.mark.parametrize("package", [minidl, minidl.ops, minidl.nn.functional, minidl.testing])
def test_dir_shows_what_is_there(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in dir(package):
        assert getattr(package, name) is not None

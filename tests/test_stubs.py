"""A stub is what its module is: the same names, parameters, values and words.

A stub is valid Python, so it is run in place of its module and the two are compared by inspection.
"""

import __future__

import importlib
import inspect
import re
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

CORE = Path(__file__).resolve().parents[1] / "core_ext"
MODULES = sorted(path.stem for path in CORE.glob("*.pyx"))
of_every_module = pytest.mark.parametrize("name", MODULES)

# Methods that are not called by name but belong to the face.
SPOKEN = {"__len__", "__iter__", "__next__", "__getitem__", "__contains__", "__call__", "__enter__", "__exit__"}

# Bases that only a type checker or Cython needs.
UNSAID = {"Buffer", "ABC", "__Pyx_FlexibleEnumBase"}


def module(name: str) -> ModuleType:
    """Return a module of the core as compiled."""
    return importlib.import_module(f"core_ext.{name}")


def face(name: str) -> ModuleType:
    """Return the stub of a module of the core, run; annotations stay text."""
    path = CORE / f"{name}.pyi"
    stub = ModuleType(f"core_ext.{name}")
    exec(compile(path.read_text(), path, "exec", __future__.annotations.compiler_flag, True), vars(stub))
    return stub


def public(names: Any) -> set[str]:
    """Return the names that do not begin with an underscore."""
    return {name for name in names if not name.startswith("_")}


def imported(name: str) -> set[str]:
    """Return the names that a .pyx takes from elsewhere."""
    clauses = re.findall(r"^(?:from [\w.]+ )?import (.+)$", (CORE / f"{name}.pyx").read_text(), re.MULTILINE)
    return {part.split()[-1] for clause in clauses for part in clause.split(",")}


def declared(stub: ModuleType) -> set[str]:
    """Return the names that a stub declares itself: constants by annotation, the rest by definition."""
    defined = {name for name, value in vars(stub).items() if getattr(value, "__module__", None) == stub.__name__}
    return public(defined | constants(stub).keys())


def constants(stub: ModuleType) -> dict[str, str]:
    """Return the annotations of a stub, by name."""
    return vars(stub).get("__annotations__", {})


def pairs(name: str, kind: type) -> list[tuple[Any, Any]]:
    """Return (as in the stub, as compiled) of everything of a kind, in a module and in its classes."""
    stub, compiled = vars(face(name)), vars(module(name))
    top = [(stub[own], compiled.get(own)) for own in sorted(declared(face(name)) & stub.keys())]
    inside = [
        (value, vars(theirs).get(own))
        for ours, theirs in top
        if isinstance(ours, type)
        for own, value in vars(ours).items()
        if not own.startswith("_")
    ]
    return [pair for pair in top + inside if isinstance(pair[0], kind)]


def members(cls: type) -> set[str]:
    """Return what a class shows of its own."""
    if issubclass(cls, Enum):
        return set(cls.__members__)
    own = vars(cls).keys() | vars(cls).get("__annotations__", {}).keys()
    return public(own) | own & SPOKEN


def bases(cls: type) -> list[str]:
    """Return the names of the classes that a class derives from, without the unsaid ones."""
    return [base.__name__ for base in cls.__mro__[1:] if base.__name__ not in UNSAID]


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Return (name, kind, default) of every parameter."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def constructor(cls: type) -> list[str] | None:
    """Return the parameters' names that the compiler wrote into the docstring of a class, None if it did not."""
    signature = re.match(rf"{cls.__name__}\((.*)\)$", (cls.__doc__ or "").partition("\n")[0])
    if signature is None:
        return None
    parts = [part.partition("=")[0].split() for part in signature[1].split(",")]
    return [part[-1] for part in parts if part and part != ["*"]]


def words(thing: Any) -> str:
    """Return the first line of a docstring, the signature that the compiler put before it left out.

    What only an enumeration's base says, or nobody, is no words.
    """
    doc = "" if isinstance(thing, type) and issubclass(thing, Enum) else thing.__doc__ or ""
    head, _, rest = doc.partition("\n")
    return inspect.cleandoc(rest if re.match(r"[\w.]+\(.*\)", head) else doc).partition("\n")[0]


@of_every_module
def test_a_stub_declares_the_names_of_its_module(name: str) -> None:
    assert declared(face(name)) == public(dir(module(name))) - imported(name)


@of_every_module
def test_a_class_of_a_stub_has_the_members_of_the_compiled_one(name: str) -> None:
    for ours, theirs in pairs(name, type):
        assert members(ours) == members(theirs), ours.__name__


@of_every_module
def test_a_class_of_a_stub_derives_from_what_the_compiled_one_does(name: str) -> None:
    for ours, theirs in pairs(name, type):
        assert bases(ours) == bases(theirs), ours.__name__


@of_every_module
def test_an_enumeration_of_a_stub_has_the_compiled_values(name: str) -> None:
    enumerations = [pair for pair in pairs(name, type) if issubclass(pair[1], Enum)]
    for ours, theirs in enumerations:
        assert [(m.name, m.value) for m in ours] == [(m.name, m.value) for m in theirs]
        assert all(isinstance(member, int) for member in theirs)


@of_every_module
def test_a_function_of_a_stub_takes_what_the_compiled_one_takes(name: str) -> None:
    for ours, theirs in pairs(name, FunctionType):
        assert parameters(ours) == parameters(theirs), ours.__qualname__


@of_every_module
def test_a_constructor_of_a_stub_takes_what_the_compiled_one_takes(name: str) -> None:
    for ours, theirs in pairs(name, type):
        names = constructor(theirs)
        if names is not None:
            assert [p for p, *_ in parameters(ours.__init__)][1:] == names, ours.__name__


@of_every_module
def test_a_constant_of_a_stub_has_the_type_of_the_compiled_one(name: str) -> None:
    for own, annotation in constants(face(name)).items():
        kinds = {kind.__name__ for kind in type(getattr(module(name), own)).__mro__}
        assert re.match(r"[\w.]+", annotation)[0].split(".")[-1] in kinds, own


@of_every_module
def test_a_stub_lets_be_assigned_what_the_header_makes_public(name: str) -> None:
    header = (CORE / f"{name}.pxd").read_text()
    exposed = set(re.findall(r"^    cdef public [\w. ]+ (\w+) *(?:#.*)?$", header, re.MULTILINE))
    writable = {field for ours, _ in pairs(name, type) for field in vars(ours).get("__annotations__", {})}
    assert writable == exposed


@of_every_module
def test_a_stub_says_in_one_line_what_its_module_says(name: str) -> None:
    for ours, theirs in pairs(name, type) + pairs(name, FunctionType) + pairs(name, property):
        said = inspect.cleandoc(ours.__doc__ or "")
        assert re.fullmatch(r"[^\n]+\.", said), f"no line for {theirs.__name__}"
        assert words(theirs) in ("", said), theirs.__name__


# The comparison above must see what it compares.


def test_the_stub_of_the_types_is_seen_whole() -> None:
    assert declared(face("types")) >= {"Rows", "Kind", "EVENT_DTYPE", "decimals_of"}
    assert {f.__qualname__ for f, _ in pairs("types", FunctionType)} >= {
        "Rows.array",
        "Instruments.spec",
        "decimals_of",
    }


def test_the_constructor_that_the_compiler_wrote_down_is_read() -> None:
    assert constructor(module("book").Book) == ["window_bits"]
    assert constructor(module("signal").Markets) is None


def test_the_words_of_a_compiled_function_are_read_past_its_signature() -> None:
    assert words(module("types").Rows.clear) == "Forget the rows, keep the memory."
    assert words(module("driver").FeedError) == "A line of a recording that is no line of a recording."

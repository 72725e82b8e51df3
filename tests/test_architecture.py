"""Who may know whom in the core, who may read a clock, and who may approve an order."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "core_ext"

# From the top down: a module knows what stands below its row, nothing in it or above.
ROWS = [
    {"live"},
    {"feed", "driver"},
    {"headroom"},
    {"engine"},
    {"execution"},
    {"strategy"},
    {"risk", "sizing"},
    {"orders"},
    {"account"},
    {"signal", "regime"},
    {"quality"},
    {"book"},
    {"wire"},
    {"budget", "fixed", "sha256", "text"},
    {"types"},
]
BELOW = {name: set().union(*ROWS[i + 1 :]) for i, row in enumerate(ROWS) for name in row}
MAY_KNOW = {
    **BELOW,
    "feed": BELOW["feed"] | {"journal"},
    "driver": BELOW["driver"] | {"journal", "exchange", "latency", "fault"},
    "live": BELOW["live"] | {"journal"},
    "exchange": {"fault", "perpetual", "queue", "request", "orders", "account", "book", "fixed", "types"},
    "perpetual": {"book", "fixed", "types"},
    "request": {"fixed", "types"},
    "queue": {"fixed"},
    "fault": {"chance", "types"},
    "frames": set(),
    "latency": {"chance", "fixed"},
    "chance": set(),
    "journal": {"sha256", "types"},
    "payload": {"text", "types"},
    "quoter": BELOW["strategy"] | {"strategy"},
}

CLOCK = re.compile(
    r"clock_gettime|gettimeofday|time_ns|perf_counter|\bmonotonic(_ns)?\(|\btime\.time\b|datetime\.now|utcnow|\.today\("
    r"|\b(from|c?import)\s+time\b|\b(libc|posix)\.time\b|rdtsc"
)
CHANCE = re.compile(r"\brandom\b(?!\.Generator)|default_rng\(|\bsecrets\b|\buuid[0-9]|urandom|getrandom|\bs?rand\(")
CATCH_ALL = re.compile(r"^\s*except\s*(:|[^:\n]*\b(Base)?Exception\b)", re.MULTILINE)


def code(text: str) -> str:
    """Return a source without docstrings and comments; C that stands in a Cython source stays."""
    text = re.sub(
        r'(extern from[^\n]*:\s*)?"""[\s\S]*?"""', lambda found: found.group() if found.group(1) else "", text
    )
    return re.sub(r"#[^\n]*", "", text)


def sources(*folders: Path, kinds: str = "pyx pxd py") -> list[Path]:
    """Return every source of the kinds below the folders."""
    return sorted(path for folder in folders for kind in kinds.split() for path in folder.rglob(f"*.{kind}"))


def imported(text: str) -> set[str]:
    """Return the modules that a source imports or cimports, in full."""
    found = set()
    for origin, names in re.findall(r"^[ \t]*from\s+([\w.]+)\s+c?import\s*(\([^)]*\)|[^\n]+)", text, re.MULTILINE):
        origin = "core_ext" + origin.rstrip(".") if origin.startswith(".") else origin
        members = [part.split()[0] for part in names.strip("() \n").split(",") if part.strip()]
        found |= {f"core_ext.{name}" for name in members} if origin == "core_ext" else {origin}
    for names in re.findall(r"^[ \t]*c?import\s+([^\n]+)", text, re.MULTILINE):
        found |= {part.split()[0] for part in names.split(",")}
    return found


def neighbours(text: str) -> set[str]:
    """Return the modules of the core that a source imports."""
    return {name.split(".")[1] for name in imported(text) if name.startswith("core_ext.")}


def public_names(text: str) -> set[str]:
    """Return what a .pyx shows to Python: classes, functions, and ``Class.method``."""
    names, owner = set(), ""
    for line in code(text).splitlines():
        if found := re.match(r"(?:cdef |cpdef )?class (\w+)", line):
            owner = found.group(1)
            names.add(owner)
        elif found := re.match(r"(?:def|cpdef(?! enum)[^(=]*?) ?\b(\w+)\(", line):
            owner = ""
            names.add(found.group(1))
        elif line[:1].strip():
            owner = ""
        elif owner and (found := re.match(r"    (?:def|cpdef[^(=]*?) ?\b(\w+)\(", line)):
            names.add(f"{owner}.{found.group(1)}")
    return {name for name in names if not any(part.startswith("_") for part in name.split("."))}


def exported_by_header(text: str) -> set[str]:
    """Return what a .pxd shows to Python: its cpdef enums, and ``Class.field`` of public and readonly fields."""
    names, owner = set(), ""
    for line in code(text).splitlines():
        if found := re.match(r"(cpdef enum|cdef class) (\w+)", line):
            owner = found.group(2)
            names |= {owner} if found.group(1) == "cpdef enum" else set()
        elif found := re.match(r"    cdef (?:public|readonly) .*?(\w+(?:, *\w+)*) *$", line):
            names |= {f"{owner}.{field.strip()}" for field in found.group(1).split(",")}
    return names


def stub_names(path: Path) -> set[str]:
    """Return the names of a stub, members as ``Class.member``."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        names |= own_names(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for member in node.body for name in own_names(member)}
    return names


def own_names(node: ast.stmt) -> set[str]:
    """Return the names that one statement of a stub declares."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign | ast.Assign):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def forgeries(text: str) -> list[str]:
    """Return the lines that write a field of an ``approved_t``, or make one out of other memory."""
    fields = [rf"\b{name}(\[[^\]]*\])?\.\w+\s*(<<|>>|[-+*/|&^])?=(?!=)" for name in approvals(text)]
    made = [r"\bapproved_t\(", r"<\s*(const )?approved_t\s*\*\s*>(?!\s*\w*alloc\()"]
    return [line.strip() for line in text.splitlines() if re.search("|".join(fields + made), line)]


def approvals(text: str) -> set[str]:
    """Return the names that a source declares as an ``approved_t``, a pointer to one, or an array of them."""
    declared = re.findall(r"\bapproved_t\b[ *]*(\w+(?:, *\**\w+(?=\[| *,| *$))*)", text, re.MULTILINE)
    return {name.strip(" *") for group in declared for name in group.split(",")}


COMPILED = sorted(CORE.glob("*.pyx"))
by_name = pytest.mark.parametrize("source", COMPILED, ids=lambda path: path.stem)


@pytest.mark.parametrize("source", sources(CORE, kinds="pyx pxd pyi"), ids=lambda path: path.name)
def test_a_core_module_knows_only_what_stands_below_it(source: Path) -> None:
    assert source.stem in MAY_KNOW, f"{source.name} has no place in the order of the core"
    too_high = neighbours(code(source.read_text())) - MAY_KNOW[source.stem] - {source.stem}
    assert not too_high, f"{source.name} may not know {sorted(too_high)}"


@pytest.mark.parametrize("source", sources(CORE, kinds="pyx pxd pyi py"), ids=lambda path: path.name)
def test_the_core_knows_nothing_above_it(source: Path) -> None:
    above = {name for name in imported(code(source.read_text())) if name.split(".")[0] == "autotrader"}
    assert not above


def test_only_the_feed_knows_picows() -> None:
    knowing = {path.stem for path in sources(CORE) if "picows" in str(imported(code(path.read_text())))}
    assert knowing <= {"feed"}


def timeless() -> list[Path]:
    core = [path for path in sources(CORE) if path.stem not in {"feed", "driver"}]
    return core + sources(ROOT / "autotrader" / "models", ROOT / "autotrader" / "strategies")


def test_only_the_feed_and_the_driver_read_a_clock() -> None:
    assert {path: found for path in timeless() if (found := CLOCK.search(code(path.read_text())))} == {}


def test_nothing_that_decides_draws_a_random_number() -> None:
    deciding = sources(CORE, ROOT / "autotrader" / "models", ROOT / "autotrader" / "strategies")
    assert {path: found for path in deciding if (found := CHANCE.search(code(path.read_text())))} == {}


def test_only_risk_fills_an_approved_order() -> None:
    filled = {path.name: forgeries(code(path.read_text())) for path in sources(CORE) if path.stem != "risk"}
    assert {name: lines for name, lines in filled.items() if lines} == {}


def test_nothing_catches_everything_but_the_two_places_that_can_answer_it() -> None:
    """Whatever a strategy raises becomes one STRATEGY_FAILED event; a request's fault is answered -1000 and logged."""
    program = sources(CORE, ROOT / "autotrader")
    caught = {path.name: len(CATCH_ALL.findall(code(path.read_text()))) for path in program}
    allowed = {"engine.pyx": 1, "reception.py": 1}
    assert {name: count for name, count in caught.items() if count}.items() <= allowed.items()


@by_name
def test_a_compiled_module_has_a_header_and_a_stub(source: Path) -> None:
    missing = [kind for kind in (".pxd", ".pyi") if not source.with_suffix(kind).exists()]
    assert not missing


@by_name
def test_a_stub_names_all_that_its_module_shows(source: Path) -> None:
    shown = public_names(source.read_text()) | exported_by_header(source.with_suffix(".pxd").read_text())
    assert shown - stub_names(source.with_suffix(".pyi")) == set()


@by_name
def test_a_stub_names_nothing_that_its_module_lacks(source: Path) -> None:
    module = importlib.import_module(f"core_ext.{source.stem}")
    stub = {name for name in stub_names(source.with_suffix(".pyi")) if not name.startswith("_")}
    assert {name for name in stub if not reaches(module, name)} == set()


def reaches(module: object, name: str) -> bool:
    """Tell whether a dotted name is found from a module."""
    for part in name.split("."):
        if not hasattr(module, part):
            return False
        module = getattr(module, part)
    return True


# The searches above must find what they search for.


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from core_ext.book cimport Book", {"book"}),
        ("from core_ext cimport book, wire as w", {"book", "wire"}),
        ("from core_ext cimport (\n    book,\n    wire,\n)", {"book", "wire"}),
        ("from .book cimport Book", {"book"}),
        ("from . cimport book", {"book"}),
        ("cimport core_ext.book as b", {"book"}),
        ("    from core_ext.engine import Engine", {"engine"}),
        ("from libc.stdint cimport int64_t", set()),
    ],
)
def test_every_way_to_import_a_neighbour_is_seen(line: str, names: set[str]) -> None:
    assert neighbours(line) == names


@pytest.mark.parametrize(
    "text",
    [
        "cdef approved_t order\norder.lots = 1",
        "cdef approved_t* order\norder.lots += 1",
        "cdef int f(approved_t* first, approved_t* order):\n    order[0].lots = 1",
        "cdef approved_t orders[4]\nself.orders[i].lots = 1",
        "cdef approved_t first, order\norder.lots = 1",
        "order = <approved_t*> &row",
        "order = approved_t(client_id=1)",
    ],
)
def test_a_forged_approval_is_seen(text: str) -> None:
    assert len(forgeries(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "cdef const approved_t* order\nrow.lots = order.lots\nif order.lots == 1: pass",
        "cdef const approved_t* order\nreturn order.price_ticks >= self.touch",
        "self.orders = <approved_t*> PyMem_Malloc(n * sizeof(approved_t))",
        "cdef approved_t orders[4]\nself.orders[i] = order[0]",
    ],
)
def test_reading_copying_and_storing_an_approval_is_allowed(text: str) -> None:
    assert forgeries(text) == []


@pytest.mark.parametrize("line", ["except:", "    except Exception as e:", "except (OSError, BaseException):"])
def test_every_way_to_catch_everything_is_seen(line: str) -> None:
    assert CATCH_ALL.search(line)


def test_a_narrow_except_is_allowed() -> None:
    assert not CATCH_ALL.search("except (OSError, ValueError):\ncdef int f() except -1\n")

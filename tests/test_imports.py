"""The shape of the program: imports run down the one road, and every file keeps to the house rules."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import logontracks

ROOT = Path(logontracks.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LINES = 500
ROAD = {
    "errors": set(),
    "progress": set(),
    "schema": set(),
    "catalogue": set(),
    "forms": {"schema"},
    "engines": {"errors"},
    "sources": {"errors", "schema", "catalogue", "engines"},
    "quick_forms": {"schema", "forms"},
    "normalize": {"errors", "schema", "catalogue", "quick_forms", "engines", "sources"},
    "staging": set(),
    "copies": {"schema", "engines", "normalize"},
    "worker": {"errors", "schema", "sources", "normalize", "staging"},
    "pool": {"errors", "sources"},  # it starts the worker as a process
    "manifest": {"errors", "schema"},
    "case": {"errors", "schema", "engines", "manifest"},
    "merge": {"errors", "schema", "engines", "normalize", "staging", "copies", "manifest", "case"},
    "models": {"schema", "catalogue", "engines"},
    "build": {"errors", "progress", "engines", "manifest", "case", "models"},
    "address_list": {"errors", "schema", "forms", "sources"},
    "pipeline": {
        "address_list",
        "build",
        "errors",
        "progress",
        "schema",
        "engines",
        "sources",
        "pool",
        "manifest",
        "case",
        "merge",
    },
    "queries": {"build", "errors", "schema", "catalogue", "forms", "engines", "manifest", "case"},
    "score": {"errors", "engines", "case", "queries"},
    "cli": {"build", "catalogue", "errors", "progress", "schema", "case", "pipeline", "queries", "score", "simulate"},
    "__main__": {"cli"},
    "simulate": {"schema", "catalogue"},  # apart: it makes logs to try the rest with
}
"""What each part may import. A part is a module or folder of src/logontracks; a new one takes its place here."""

each_file = pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("logontracks", *parts)).removesuffix(".__init__")


def part_of(module: str) -> str:
    """logontracks.sources.evtx to sources; logontracks itself to nothing."""
    return module.partition(".")[2].partition(".")[0]


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path, *, only_when_loaded: bool = False) -> frozenset[str]:
    """Our own modules that a file imports: all of them, or those that are loaded together with it."""
    found = set()
    for node in when_loaded(tree_of(path)) if only_when_loaded else ast.walk(tree_of(path)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found |= {f"{module}.{name.name}" if f"{module}.{name.name}" in MODULES else module for name in names}
            case ast.ImportFrom():
                raise AssertionError(f"{path} imports from a relative name")
    return frozenset(name for name in found if name in MODULES)


def when_loaded(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is loaded: not those of functions, nor those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from when_loaded(node)


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Nodes that lie on circles or lead to them; none when there is no circle."""
    left = {node: targets - {node} for node, targets in edges.items()}
    while free := {node for node, targets in left.items() if not targets}:
        left = {node: targets - free for node, targets in left.items() if node not in free}
    return sorted(left)


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_the_road_goes_down():
    assert circle(ROAD) == []
    assert set().union(*ROAD.values()) <= set(ROAD)
    parts = {part_of(module) for module in MODULES} - {""}
    assert parts <= set(ROAD), "a part of the program has no place on the road"


def test_there_is_no_circle_of_imports():
    edges = {module: set(imports_of(path, only_when_loaded=True)) - {"logontracks"} for module, path in MODULES.items()}
    assert circle(edges) == []
    assert sum(map(len, edges.values())) > 60  # they were found at all


@each_file
def test_imports_run_down_the_road(path):
    part = part_of(module_of(path))
    reached = {part_of(module) for module in imports_of(path)} - {"", part}
    assert reached <= ROAD.get(part, set())


def test_every_way_on_the_road_is_used():
    """Else the table above would promise more order than there is."""
    used = {(part_of(module), part_of(other)) for module, path in MODULES.items() for other in imports_of(path)}
    modules = {part_of(module) for module in MODULES}
    foundations = {"errors", "schema", "engines"}  # open to all above them
    allowed = {(part, other) for part, others in ROAD.items() for other in others - foundations if part in modules}
    assert allowed <= used


@each_file
def test_a_module_opens_with_a_sentence(path):
    tree = tree_of(path)
    docstring = ast.get_docstring(tree)
    if not tree.body:
        return  # a folder that says nothing of its own
    assert docstring, "it has no docstring"
    first = docstring.partition("\n\n")[0].replace("\n", " ")
    assert first[0].isupper() or first[0].islower(), first
    assert first.endswith((".", ":")), first
    assert len(first) > 20, first


@each_file
def test_a_file_is_not_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


RIMS = {
    "logontracks.worker": "rim of the worker process: it hands the traceback over, and the parent raises it",
    "logontracks.engines.duckdb": "rim of a thread that asks the database: who waits for it raises it again",
    "logontracks.pool": "rim of a thread that serves a worker: the main thread raises it again",
}


def test_all_exceptions_are_caught_at_the_rims_alone():
    places = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
                names = {ast.unparse(each) if each else "" for each in caught}
                again = any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(node))
                if names & {"", "Exception"} or ("BaseException" in names and not again):
                    places.append(module_of(path))
    assert sorted(places) == sorted(set(places) & set(RIMS)), "once in each at most"


@each_file
def test_prints_and_logs_go_through_the_command_line(path):
    """stdout carries the asked-for data alone: only cli/, simulate's own command and the worker's protocol write."""
    if part_of(module_of(path)) in {"cli", "worker"} or path.name == "__main__.py":
        return
    text = path.read_text(encoding="utf-8")
    calls = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}
    assert not calls & {"print", "input", "breakpoint", "sys.exit", "exit"}
    assert "sys.stdout" not in text
    assert "sys.stderr" not in text


@each_file
def test_no_pickle_no_eval_no_shell(path):
    names = {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
    assert not names & {"eval", "exec", "pickle", "marshal", "shelve", "__import__"}
    modules = set()
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Import(names=names_of):
                modules |= {name.name.partition(".")[0] for name in names_of}
            case ast.ImportFrom(module=str(module)):
                modules.add(module.partition(".")[0])
            case ast.keyword(arg="shell"):
                raise AssertionError("a shell is started")
    assert not modules & {"pickle", "marshal", "shelve", "urllib", "http", "socket", "ssl", "requests"}, "it is offline"
    if "subprocess" in modules:
        assert module_of(path) == "logontracks.pool"
    if "click" in modules:
        assert part_of(module_of(path)) in {"cli", "simulate"}
    if "evtx" in modules:
        assert part_of(module_of(path)) == "sources"

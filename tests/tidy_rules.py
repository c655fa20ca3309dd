"""The rules of `test_tidy.py`: each reads one parsed file and returns what breaks it, as (line, what was found)."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

Found = list[tuple[int, str]]
FILE_LINES_MAX = 900

CLOCKS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time") for unit in ("", "_ns")),
    "time.clock_gettime",
    "time.clock_gettime_ns",
    "time.gmtime",
    "time.localtime",
}
SEEDED = {"random.Random", "numpy.random.default_rng", "numpy.random.Generator", "numpy.random.PCG64", "numpy.random.SeedSequence"}
UNSAFE_FORMATS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
# The words are put together here, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.:])/(?:home|Users|root|work|farm|opt/pypi[\w-]*|tmp/[a-z]+)/")
INDEX_HOST = re.compile(r"(?:pypi|pythonhosted|npmjs|index)[\w-]*\.(?:org|com|io|net)\b|--(?:extra-)?index" + "-url")


class Source(NamedTuple):
    """A Python file: its path from the root of the repository, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module


Rule = Callable[[Source], Found]


def parse(path: str, text: str) -> Source:
    """A `Source` of the text; `path` is only a name."""
    return Source(path, text, ast.parse(text, path))


def aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: {"np": "numpy", "now_ns": "time.time_ns"}."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                names[item.asname or item.name.partition(".")[0]] = item.name if item.asname else item.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for item in node.names:
                names[item.asname or item.name] = f"{node.module}.{item.name}"
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """The full name of `np.random.rand` or `now_ns`, "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def references(source: Source) -> Iterator[tuple[ast.expr, str]]:
    """Every use of an imported name, longest form only, with its full name."""
    names = aliases(source.tree)
    inner = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner and (name := dotted(node, names)):
            yield node, name


def clock(source: Source) -> Found:
    """Uses of the machine's clock."""
    return [(node.lineno, name) for node, name in references(source) if name in CLOCKS]


def chance(source: Source) -> Found:
    """Random numbers without a seed that an argument gives."""
    seeded = {id(node.func) for node in ast.walk(source.tree) if isinstance(node, ast.Call) and (node.args or node.keywords)}
    annotated = {id(part) for note in annotations(source.tree) for part in ast.walk(note)}
    found = []
    for node, name in references(source):
        drawn = name.startswith(("random.", "numpy.random.")) or name in ("uuid.uuid1", "uuid.uuid4", "os.urandom")
        if drawn and id(node) not in annotated and not (name in SEEDED and id(node) in seeded):
            found.append((node.lineno, name))
    return found


def annotations(tree: ast.Module) -> Iterator[ast.expr]:
    """Every annotation of an argument, a result or a variable."""
    for node in ast.walk(tree):
        note = node.returns if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else getattr(node, "annotation", None)
        if isinstance(note, ast.expr):
            yield note


def bare_except(source: Source) -> Found:
    """`except:` without a class."""
    return [(node.lineno, "except:") for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler) and node.type is None]


def called_builtins(source: Source, *names: str) -> Found:
    """Calls of a builtin by its bare name."""
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    return [(node.lineno, f"{node.func.id}(") for node in calls if isinstance(node.func, ast.Name) and node.func.id in names]


def printing(source: Source) -> Found:
    """Calls of `print`."""
    return called_builtins(source, "print")


def code_from_text(source: Source) -> Found:
    """Text turned into code."""
    return called_builtins(source, "eval", "exec")


def unsafe_format(source: Source) -> Found:
    """Formats that run code when they are read."""
    found = [(line, name) for line, name in imports(source) if name.partition(".")[0] in UNSAFE_FORMATS]
    words = (node for node in ast.walk(source.tree) if isinstance(node, ast.keyword) and node.arg == "allow_pickle")
    return found + [(node.value.lineno, "allow_pickle=") for node in words if getattr(node.value, "value", None) is not False]


def orphan_task(source: Source) -> Found:
    """Tasks that nobody keeps: the result of `create_task` outside a task group thrown away."""
    names = aliases(source.tree)
    groups = {
        item.optional_vars.id
        for node in ast.walk(source.tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name)
    }
    found = []
    for node in ast.walk(source.tree):
        dropped = isinstance(node, ast.Expr) or (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_"
        )
        call = node.value if isinstance(node, ast.Expr | ast.Assign) and dropped else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
            continue
        word = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func, names).rpartition(".")[2]
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        owned = (isinstance(owner, ast.Name) and owner.id in groups) or (isinstance(owner, ast.Attribute) and "group" in owner.attr)
        if word in ("create_task", "ensure_future") and not owned:
            found.append((node.lineno, f"{word}("))
    return found


def package_docstring(source: Source) -> Found:
    """A package that does not say what it owns and what it never does."""
    if not source.path.endswith("/__init__.py"):
        return []
    text = (ast.get_docstring(source.tree) or "").lower()
    return [(1, f"docstring without {word!r}") for word in ("owns", "never") if not re.search(rf"\b{word}\b", text)]


def function_docstring(source: Source) -> Found:
    """Public functions and methods without a docstring."""
    found: Found = []

    def walk(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                walk(node.body)
            elif isinstance(node, ast.If | ast.Try):
                walk(node.body)
                walk(node.orelse)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                overload = any("overload" in ast.dump(mark) or "setter" in ast.dump(mark) for mark in node.decorator_list)
                if not overload and not ast.get_docstring(node):
                    found.append((node.lineno, f"def {node.name}"))

    walk(source.tree.body)
    return found


def silent_test(source: Source) -> Found:
    """Tests that do not say what is true."""
    tests = (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.lineno, node.name) for node in tests if node.name.startswith("test_") and not ast.get_docstring(node)]


def module_docstring(source: Source) -> Found:
    """A file that does not open by saying what it is."""
    return [] if ast.get_docstring(source.tree) else [(1, "no docstring")]


def imports(source: Source) -> Found:
    """Every imported module, with its line."""
    found: Found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, item.name) for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.lineno, node.module))
    return found


def decorated(source: Source, *marks: str) -> Found:
    """Functions under one of the named decorators, plain or called."""
    found: Found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                target = mark.func if isinstance(mark, ast.Call) else mark
                if isinstance(target, ast.Name) and target.id in marks:
                    found.append((node.lineno, node.name))
    return found


def _lines(pattern: re.Pattern[str], text: str) -> Found:
    return [(number, match[0]) for number, line in enumerate(text.splitlines(), 1) if (match := pattern.search(line))]


def unfinished(text: str) -> Found:
    """Marks of unfinished work."""
    return _lines(UNFINISHED, text)


def machine_path(text: str) -> Found:
    """Paths of the machine somebody worked on."""
    return _lines(MACHINE_PATH, text)


def index_host(text: str) -> Found:
    """Names of package indexes: which one is used is the installer's configuration."""
    return _lines(INDEX_HOST, text)


def too_long(text: str) -> Found:
    """Files of more lines than a reader keeps in mind."""
    count = len(text.splitlines())
    return [(count, f"{count} lines")] if count > FILE_LINES_MAX else []

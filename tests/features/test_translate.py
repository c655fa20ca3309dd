"""What the translator refuses, and that what it accepts means in C what it means in Python."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tercel.base.kernel import F, I, bits, entry, f64, i64, kernel, plain, single, unbits
from tercel.features.opcodes import Opcode
from tercel.features.opcodes.table import NAN
from tercel.features.translate import NotInSubset, translate
from tercel.features.wasm import compile_c, source
from tests.features.engines import Wasmtime
from tests.features.running import hostile
from tests.twins import bits as words
from tests.twins import twin

HEAD = """import math
from tercel.base.kernel import F, I, f64, i64, kernel
from tercel.features.opcodes.table import NAN

ROWS = 5
LARGE = 2**63

def plain(x):
    return x

@kernel
def bump(S: F, s: i64) -> f64:
    S[s] = S[s] + 1.0
    return S[s]

@kernel
def count(I0: I) -> i64:
    return I0[0]

"""
LINE = HEAD.count("\n") + 3  # where the body of a snippet begins, behind its decorator and its signature
COUNTER = itertools.count()


def module_of(text: str, folder: Path) -> ModuleType:
    """A module with some source, from a file, as a user's would be."""
    file = folder / f"snippet{next(COUNTER)}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(f"tests.{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refusal(body: str, folder: Path, signature: str = "(S: F, N: I, x: f64, n: i64) -> None") -> str:
    """What the translator says about a kernel with this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    module = module_of(f"{HEAD}@kernel\ndef subject{signature}:\n{lines}", folder)
    with pytest.raises(NotInSubset) as caught:
        translate([module.subject])
    return str(caught.value)


REFUSED = [
    ("floor division", "k = n // 2", "`n // 2`: an operator that the languages do differently; write `math.floor(a / b)` of floats, or >>"),
    ("remainder", "k = n % 2", "`n % 2`: an operator that the languages do differently; write `a - b * float(math.floor(a / b))`"),
    ("power", "y = x ** 2.0", "`x ** 2.0`: an operator that the languages do differently; write the products"),
    ("power in place", "S[0] **= 2.0", "`S[0] ** 2.0`: an operator that the languages do differently; write the products"),
    ("min", "y = min(x, 1.0)", "`min(x, 1.0)`: a call of what is no kernel; write `a if a < b else b`"),
    ("max", "y = max(x, 1.0)", "`max(x, 1.0)`: a call of what is no kernel; write `a if a > b else b`"),
    ("pow", "y = math.pow(x, 2.0)", "`math.pow(x, 2.0)`: a call of what is no kernel; write the products"),
    ("library exp", "y = math.exp(x)", "`math.exp(x)`: a call of what is no kernel; write `exp` of tercel.base.real"),
    ("library log", "y = math.log(x)", "`math.log(x)`: a call of what is no kernel; write `log` of tercel.base.real"),
    ("library sine", "y = math.sin(x)", "`math.sin(x)`: a call of what is no kernel; write a kernel and call that"),
    ("isnan", "if math.isnan(x):\n    return", "`math.isnan(x)`: a call of what is no kernel; write `x != x`"),
    ("round", "y = round(x)", "`round(x)`: a call of what is no kernel; write `round_even` of tercel.base.exact"),
    ("plain function", "y = plain(x)", "`plain(x)`: a call of what is no kernel; write a kernel and call that"),
    ("unknown function", "y = nothing(x)", "`nothing(x)`: a call of what is no kernel; write a kernel and call that"),
    ("method", "y = S.sum()", "`S.sum()`: a call of what is no kernel; write a kernel and call that"),
    ("keywords", "y = bump(S, s=0)", "`bump(S, s=0)`: an expression outside the subset"),
    ("too few arguments", "y = bump(S)", "`bump(S)`: 1 arguments; write the 2 it takes"),
    ("wrong argument", "y = bump(S, x)", "`x`: expected i64, found f64; write int() around it"),
    ("wrong memory", "y = bump(N, 0)", "`N`: expected F, found I; write the name of an argument of type F"),
    ("chain", "if 0.0 < x < 1.0:\n    return", "`0.0 < x < 1.0`: a chained comparison; write `a < b and b < c`"),
    ("mixed sum", "y = x + n", "`x + n`: its sides are f64 and i64; write float() or int() around one of them"),
    ("mixed literal", "y = 2 * x", "`2 * x`: its sides are i64 and f64; write float() or int() around one of them, 2.0 for 2"),
    ("mixed comparison", "if x > 0:\n    return", "`x > 0`: a comparison of f64 with i64; write == != < <= > >= between two numbers"),
    ("mixed branches", "y = x if n > 0 else 0", "`x if n > 0 else 0`: its branches are f64 and i64; write two numbers of one type"),
    ("integer quotient", "y = n / 2", "`n / 2`: a quotient of integers; write float() around both"),
    ("integer quotient in place", "n /= 2", "`n / 2`: a quotient of integers; write float() around both"),
    ("bits of a float", "y = x & x", "`x & x`: the bits of floats; write `bits(x)` around both"),
    ("two types", "y = 0\ny = x", "`y = x`: y was i64 and becomes f64; write int(), or another name"),
    ("two types of an argument", "n = x", "`n = x`: n was i64 and becomes f64; write int(), or another name"),
    ("loop name", "for x in range(n):\n    pass", "`for x in range(n):`: x was f64 and becomes i64"),
    ("truth of a number", "if n:\n    return", "`n`: a condition is a comparison, found i64; write `!= 0` or `!= 0.0` behind it"),
    ("truth in and", "if x > 0.0 and x:\n    return", "`x`: a condition is a comparison, found f64; write `!= 0`"),
    (
        "comparison kept",
        "y = x > 0.0",
        "`y = x > 0.0`: a variable is a number, not bool; write the comparison or the memory where it is needed",
    ),
    ("memory kept", "T = S", "`T = S`: a variable is a number, not F; write the comparison or the memory where it is needed"),
    ("wrong value", "S[0] = n", "`S[0] = n`: the memory holds f64, the value is i64; write float() around the value"),
    ("wrong index", "y = S[x]", "`x`: expected i64, found f64; write int() around it"),
    ("negative index", "y = S[-1]", "`S[-1]`: an index is not negative; write the index from the start"),
    ("slice", "y = S[0:2]", "`0:2`: an expression outside the subset; write numbers, names, memory[index]"),
    ("float of a float", "y = float(x)", "`x`: expected i64, found f64; write int() around it"),
    ("int of an integer", "k = int(n)", "`n`: expected f64, found i64; write float() around it"),
    ("abs of an integer", "k = abs(n)", "`n`: expected f64, found i64; write float() around it"),
    ("unknown name", "y = z", "`z`: neither a number nor a variable assigned above; write a number"),
    ("truth value", "while True:\n    pass", "`True`: neither a number nor a variable assigned above; write a number"),
    ("text", "y = 'a'", "`'a'`: neither a number nor a variable assigned above; write a number"),
    ("too large", "k = LARGE", "`LARGE`: an integer beyond 63 bits; write a smaller one, or a float"),
    ("sign of a comparison", "y = -(x > 0.0)", "`-(x > 0.0)`: the sign of bool; write a number behind it"),
    ("matrix product", "y = x @ x", "`x @ x`: an operator that the languages do differently; write + - * /"),
    ("inversion", "k = ~n", "`~n`: an expression outside the subset"),
    (
        "step",
        "for k in range(0, n, 2):\n    pass",
        "`for k in range(0, n, 2):`: a range with a step; write `range(start, stop)` and the product",
    ),
    (
        "other loop",
        "for k in (1, 2):\n    pass",
        "`for k in (1, 2):`: a statement outside the subset; write assignments to one name or place",
    ),
    ("else of a loop", "while x > 0.0:\n    pass\nelse:\n    return", "`while x > 0.0:`: a statement outside the subset"),
    ("two targets", "a = b = x", "`a = b = x`: a statement outside the subset"),
    ("tuple", "a, b = x, x", "`(x, x)`: an expression outside the subset"),
    ("attribute", "S.size = n", "`S.size = n`: an assignment outside the subset; write one name or one place in memory on the left"),
    ("raise", "raise ValueError", "`raise ValueError`: a statement outside the subset"),
    ("inner function", "def inner():\n    pass", "`def inner():`: a statement outside the subset"),
    ("result of none", "return x", "`return x`: the result is None; write what -> says"),
    ("call beside a read", "y = bump(S, 0) + S[0]", "`y = bump(S, 0) + S[0]`: a kernel that may write memory is called beside other reads"),
    ("call in place", "S[0] += bump(S, 1)", "`S[0] += bump(S, 1)`: a kernel that may write memory is called beside other reads"),
    ("call beside a place", "S[N[0]] = bump(S, 1)", "`S[N[0]] = bump(S, 1)`: a kernel that may write memory is called beside other reads"),
    (
        "two calls",
        "if bump(S, 0) < bump(S, 1):\n    return",
        "`if bump(S, 0) < bump(S, 1):`: a kernel that may write memory is called beside",
    ),
]


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_breaks_a_rule_is_refused_with_what_to_write_instead(body: str, expected: str, tmp_path: Path) -> None:
    """The refusal names file, line and text, the rule and the cure."""
    found = refusal(body, tmp_path)
    place, _, rest = found.partition(": ")
    file, _, line = place.rpartition(":")
    assert file.startswith("snippet")
    assert LINE <= int(line) < LINE + 2
    assert rest.startswith(expected)


@pytest.mark.parametrize(
    ("signature", "body", "expected"),
    [
        ("(x) -> None", "return", "`x`: an argument needs its type; write f64, i64, F or I behind it"),
        ("(x: float) -> None", "return", "`x: float`: an argument needs its type; write f64, i64, F or I behind it"),
        ("(x: f64)", "return", "`def subject`: the type of its result; write -> f64, -> i64 or -> None"),
        ("(x: f64) -> F", "return x", "`def subject`: the type of its result; write -> f64, -> i64 or -> None"),
        ("(x: f64 = 1.0) -> None", "return", "`def subject`: arguments with defaults or stars; write plain names with their types"),
        ("(*x: f64) -> None", "return", "`def subject`: arguments with defaults or stars; write plain names with their types"),
        ("(x: f64) -> f64", "if x > 0.0:\n    return x", "`def subject`: a path ends without a result; write a return at the end"),
        ("(x: f64) -> f64", "return", "`return`: the result is f64; write what -> says"),
        ("(x: f64) -> f64", "return 1", "`1`: expected f64, found i64; write float() around it"),
    ],
)
def test_a_signature_says_every_type(signature: str, body: str, expected: str, tmp_path: Path) -> None:
    """Arguments and result have a type each, and every path keeps it."""
    assert refusal(body, tmp_path, signature).partition(": ")[2].startswith(expected)


def test_a_kernel_that_calls_itself_is_refused(tmp_path: Path) -> None:
    """Recursion would need a stack whose depth nobody knows."""
    assert refusal("subject(S, N, x, n)", tmp_path).endswith(".subject: calls itself; write a loop")


def test_an_exported_integer_is_refused(tmp_path: Path) -> None:
    """JavaScript has no int64."""
    module = module_of(HEAD, tmp_path)
    with pytest.raises(NotInSubset, match="count: an exported kernel returns i64"):
        translate([module.count])


@pytest.mark.parametrize("value", ["x", "x if x == x else 0.0", "x if x > x else NAN", "x if x == y else NAN", "NAN", "x + 1.0"])
def test_an_opcode_writes_only_the_one_nan(value: str, tmp_path: Path) -> None:
    """An output that may be another NaN is refused; the form that makes it the one NaN is accepted."""
    head = f"{HEAD}@kernel\ndef own(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:\n"
    head += "    x = X[R[r]]\n    y = x\n    X[R[r + 1]] ="

    def own(value: str) -> str:
        function = module_of(f"{head} {value}\n", tmp_path).own
        return translate([], [Opcode("own", 900, 1, function, ("value",), (), ("value",), lambda _: 0, lambda _: 1)])

    assert "case 900" in own("y if y == y else NAN")
    with pytest.raises(NotInSubset, match=r"a NaN that is not portable; write `X\[\.\.\] = out if out == out else NAN`"):
        own(value)


THIRD = 1.0 / 3.0
LOWEST = -(2**63) + 1
ENDS = (math.inf, -math.inf)
TOP, BOTTOM = ENDS


@kernel
def halve(S: F, s: i64, x: f64) -> f64:
    """Half of x, and one more call counted in S[s]."""
    S[s] += 1.0
    return x * 0.5


@kernel
def lower(a: f64, b: f64) -> f64:
    """The lower of two numbers."""
    if a < b:
        return a
    else:  # noqa: RET505
        return b


@kernel
def everything(X: F, Y: F, S: F, N: I, n: i64) -> None:
    """Every construct of the subset, over a column X; N counts in integers, S in floats."""
    for k in range(n):
        x = X[k]
        if x != x or not abs(x) < 1e15:
            Y[k] = TOP if x > 0.0 else BOTTOM if x < 0.0 else NAN
            N[0] += 1
            continue
        whole = math.floor(x)
        word = bits(x)
        y = x - float(whole) + single(x) * THIRD + math.sqrt(abs(x)) - unbits(word ^ (1 << 51))
        for back in range(1, 4):
            back = back * 2  # noqa: PLW2901
            y = y * 0.5 + float(back)
            if back == 4 and x > 1.38:
                break
        steps = 0
        while steps < 5:
            steps += 1
            if (whole + steps) & 1 == 0:
                continue
            y = y - float((-steps >> 1) * 3 - LOWEST - 9223372036854775807)
        N[1] = (N[1] ^ (word >> 3)) | (int(x) & 7)
        if y < 14.0337:
            y = lower(y, -y)
        elif y > 20.0:
            pass
        else:
            halve(S, 1, y)
            y = halve(S, 0, y)
        Y[k] = y if y == y else NAN


def test_every_construct_means_in_c_what_it_means_in_python() -> None:
    """Jumps, loops whose variable is assigned, shifts of negatives, floors, bits, constants: numbers and counts are the same everywhere."""
    X = hostile()[0]
    rows = len(X)
    memory = {engine: (X.copy(), np.zeros(rows), np.zeros(2), np.zeros(2, np.int64)) for engine in ("numba", "python", "wasmtime")}
    entry(everything).bind(*memory["numba"])(rows)

    there = twin("python").kernel
    names = vars(there) | {name: globals()[name] for name in ("math", "NAN", "THIRD", "LOWEST", "TOP", "BOTTOM")}
    exec("\n".join(inspect.getsource(plain(fn)) for fn in (halve, lower, everything)), names)
    names["everything"](*(there.Plain(array) for array in memory["python"]), rows)

    engine = Wasmtime(compile_c(translate([everything])))
    places = [engine.place(array) for array in memory["wasmtime"]]
    engine.call("everything", *places, rows)
    memory["wasmtime"] = tuple(engine.view(at, array.shape, array.dtype) for at, array in zip(places, memory["wasmtime"], strict=True))

    for name in ("python", "wasmtime"):
        for mine, other in zip(memory["numba"], memory[name], strict=True):
            assert np.array_equal(mine.view(np.int64), other.view(np.int64)), name
    _, Y, S, N = memory["numba"]
    assert S.min() > 50
    assert N[0] > 50
    assert N[1]
    assert (Y < 0.0).any()
    assert len(set(words(Y))) > 100


def test_the_text_is_the_same_in_every_process() -> None:
    """Nothing in it depends on the order of imports, the mode of the kernels or where the sources lie."""
    code = "import sys; from tercel.features.wasm import source; sys.stdout.write(source())"
    env = {**os.environ, "TERCEL_KERNELS": "python", "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == source(), done.stderr

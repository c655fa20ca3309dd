"""Normal keys: what means the same asks for the same entry, and what does not never meets.

Numbers are rounded (six decimals by default), so that 1.1000000001 finds what 1.1 left; -0.0 is 0 and every NaN the same. Arrays count by
dtype, shape and rounded content. Long keys end in a hash of all of it. A signature of the configuration keeps versions apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import ConfigError

DECIMALS: Final = 6
KEY_CHARS_MAX: Final = 120
HEAD_CHARS: Final = 64
DEPTH_MAX: Final = 16

_ESCAPED: Final = re.compile(r"[^A-Za-z0-9._+@/-]")
_NUMBER_LIKE: Final = re.compile(r"[0-9+.\-]|(?:nan|inf|none|true|false)$")


def key(*parts: Any, decimals: int = DECIMALS, signature: str = "") -> str:
    """One text for the parts: text, numbers, None, bytes, arrays, and tuples, lists and mappings of them.

    Equal exactly when the parts are equal after rounding to `decimals`. At most 120 characters of letters, digits and `._+@/-:%()=,~`, so
    no shell pattern and no hash tag of a Redis cluster is hidden in it. Raises `ConfigError` for a part of another type.
    """
    text = ":".join(_text(part, decimals, 0) for part in parts)
    if signature:
        text = f"{text}:{_word(signature)}"
    if len(text) <= KEY_CHARS_MAX:
        return text
    return f"{text[:HEAD_CHARS]}~{blake2b(text.encode(), digest_size=16).hexdigest()}"


def signature(config: Any) -> str:
    """Sixteen hex digits of a configuration: a mapping, a msgspec struct or a dataclass; the same for the same content in any order."""
    plain = msgspec.to_builtins(config, builtin_types=(bytes,), order="sorted")
    return blake2b(_text(plain, 15, 0).encode(), digest_size=8).hexdigest()


def _word(text: str) -> str:
    """Text with everything but plain characters escaped, and marked when it could be taken for a number."""
    escaped = _ESCAPED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass")), text)
    return f"%{escaped}" if not escaped or _NUMBER_LIKE.match(escaped) else escaped


def _number(value: float, decimals: int) -> str:
    if value != value:
        return "nan"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _text(part: Any, decimals: int, depth: int) -> str:
    if depth > DEPTH_MAX:
        raise ConfigError(f"cache key: expected at most {DEPTH_MAX} levels of nesting")
    if isinstance(part, str):
        return _word(part)
    if part is None or isinstance(part, bool | np.bool_):
        return str(part).lower()
    if isinstance(part, int | np.integer):
        return str(int(part))
    if isinstance(part, float | np.floating):
        return _number(float(part), decimals)
    if isinstance(part, bytes | bytearray | memoryview):
        return f"(b{blake2b(part, digest_size=16).hexdigest()})"
    if isinstance(part, np.ndarray):
        return f"(a{_array(part, decimals)})"
    if isinstance(part, tuple | list):
        return f"({','.join(_text(item, decimals, depth + 1) for item in part)})"
    if isinstance(part, Mapping):
        return f"({','.join(sorted(_pairs(part.items(), decimals, depth)))}=)"
    raise ConfigError(f"cache key: expected text, numbers, bytes, arrays, tuples, lists or mappings, found {type(part).__name__}")


def _pairs(items: Iterable[tuple[Any, Any]], decimals: int, depth: int) -> list[str]:
    return [f"{_text(name, decimals, depth + 1)}={_text(value, decimals, depth + 1)}" for name, value in items]


def _array(values: np.ndarray[Any, Any], decimals: int) -> str:
    if values.dtype.hasobject or values.dtype.kind == "V":
        raise ConfigError(f"cache key: expected an array of numbers or text, found dtype {values.dtype}")
    if values.dtype.kind in "fc":
        values = np.round(values, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
        if np.isnan(values).any():
            values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    head = f"{values.dtype.str}{list(values.shape)}"
    return blake2b(head.encode() + np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()

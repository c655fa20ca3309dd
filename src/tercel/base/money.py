"""Settings that may differ by key: one number for all, or a table with an entry per key and "" for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from tercel.base.errors import ConfigError

Per = float | Mapping[str, float]


def per(setting: Per, keys: tuple[str, ...], what: str) -> float:
    """The value of a setting for the first of `keys` it has, else for "". Raises `ConfigError` when it has neither."""
    if not isinstance(setting, Mapping):
        return float(setting)
    for key in (*keys, ""):
        if key in setting:
            return float(setting[key])
    raise ConfigError(f'{what}: expected a value for one of {", ".join(keys)} or for "" (all others), found only {", ".join(setting)}')


def checked(setting: Per, what: str, at_least: float = 0.0) -> Per:
    """The setting itself when every value of it is a finite number of at least `at_least`; raises `ConfigError` otherwise."""
    for key, value in setting.items() if isinstance(setting, Mapping) else [("", setting)]:
        if not (at_least <= value < float("inf")):
            place = f"{what}.{key}" if key else what
            raise ConfigError(f"{place}: expected a number of at least {at_least:g}, was {value!r}")
    return setting

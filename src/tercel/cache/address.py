"""Addresses of Redis as they stand in settings."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from tercel.base.errors import ConfigError

Address = tuple[str, int]


def parse(url: str, cluster: bool) -> tuple[list[Address], dict[str, Any]]:
    """Addresses and login of "redis://user:password@host:port/0", further seeds after commas. Raises `ConfigError`."""
    first, *others = url.split(",")
    parts = urlsplit(first)
    try:
        seeds = [(parts.hostname or "", parts.port or 6379)]
        for other in others:
            host, _, port = other.partition(":")
            seeds.append((host, int(port or 6379)))
        database = int(parts.path.strip("/") or 0)
    except ValueError as error:
        raise ConfigError(f"cache.redis: {error} in the address") from None
    if parts.scheme not in ("redis", "rediss") or not all(host for host, _ in seeds) or (cluster and database):
        raise ConfigError("cache.redis: expected redis://host:port[/database] or rediss://, for a cluster without a database")
    tls = ssl.create_default_context() if parts.scheme == "rediss" else None
    login = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
    return seeds, {**login, "database": database, "tls": tls}

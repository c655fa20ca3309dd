"""Every address of the desk, from the application it serves."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from starlette.routing import Route, WebSocketRoute

from docs.generate.live_view import kind_name
from docs.generate.markup import said, table
from tercel.api import answers, desk, guard, handlers, orders, stream


def routes() -> list[Route | WebSocketRoute]:
    """The addresses that answer, the page's own files left out."""
    with tempfile.TemporaryDirectory() as folder:  # an application makes the control block of its account
        found = desk.application(Path(folder), Path(folder)).routes
    return [one for one in found if isinstance(one, Route | WebSocketRoute) and not one.path.startswith("/static/")]


def explained(route: Route | WebSocketRoute) -> str:
    """What a route answers: the docstring of its handler, or of the view it reads."""
    handler: Any = route.endpoint
    reads = getattr(handler, "args", ())  # of a handler that answers from what is bound to it: a view, or the page's bytes
    if reads and not callable(reads[0]):
        return "The page."
    handler = reads[0] if reads else handler
    return said(handler)


def page() -> str:
    """The addresses, the bodies, the stream."""
    rows = [
        (
            f"`{' '.join(sorted((route.methods or set()) - {'HEAD'}))}`" if isinstance(route, Route) else "`WebSocket`",
            f"`{route.path}`",
            explained(route).replace("\n\n", " "),
        )
        for route in routes()
    ]
    bodies = [
        one
        for module in (handlers, orders)
        for _, one in inspect.getmembers(module, inspect.isclass)
        if one.__module__ == module.__name__ and issubclass(one, msgspec.Struct)
    ]
    parts = [
        f"## Addresses\n\n{table(('method', 'address', 'answers'), rows)}",
        f"## Bodies\n\nJSON of at most {answers.BODY_BYTES_MAX:,} bytes, with the content type `application/json`.\n",
    ]
    for body in bodies:
        fields = [
            (f"`{one.name}`", f"`{kind_name(one.type)}`", f"`{one.default}`" if not one.required else "required")
            for one in msgspec.structs.fields(body)
        ]
        parts.append(f"### {body.__name__}\n\n{said(body)}\n\n{table(('field', 'type', 'default'), fields)}")
    parts += [f"## Orders by hand\n\n{said(orders)}\n", f"## The stream\n\n{said(stream)}\n", f"## Who may ask\n\n{said(guard)}\n"]
    return "\n".join(parts)

"""Who may ask, and what every answer carries: host and origin checks, security headers, `X-Response-Time`.

The desk listens on the loopback address, where any web page the user visits can send requests too. So the Host must be a loopback name (no
DNS rebinding), and a change or a WebSocket our own Origin. A change needs a JSON body too: a foreign page must ask before it may send one.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tercel.base.time import clock_ns

HOST: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?")
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def refusal(headers: Headers, changes: bool, is_socket: bool) -> str:
    """Why this request is refused; "" when it is not."""
    host = headers.get("host", "")
    if HOST.fullmatch(host) is None:
        return "the host must be 127.0.0.1, localhost or [::1]"
    origin = headers.get("origin")
    if (changes or is_socket) and origin not in (None, f"http://{host}", f"https://{host}"):
        return "requests from another origin are refused"
    if (changes or is_socket) and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "requests from another site are refused"
    if changes and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return "the body must be application/json"
    return ""


class Guard:
    """ASGI middleware around the whole desk."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add headers to the answer."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = clock_ns()
        is_socket = scope["type"] == "websocket"
        why = refusal(Headers(scope=scope), not is_socket and scope["method"] not in SAFE_METHODS, is_socket)
        if why and is_socket:
            await send({"type": "websocket.close", "code": 1008, "reason": why})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                spent = f"{(clock_ns() - started) / 1e6:.3f}ms".encode()
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS, (b"x-response-time", spent)]
            await send(message)

        answer: ASGIApp = Response(why + "\n", 403, media_type="text/plain") if why else self.app
        await answer(scope, receive, send_with_headers)

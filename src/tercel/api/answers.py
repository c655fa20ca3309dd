"""How the desk answers: JSON that nobody keeps, and how much of a body it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tercel.api.board import encode
from tercel.base.errors import DataError, TercelError

BODY_BYTES_MAX: Final = 4096


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response that nobody keeps."""
    return Response(encode(value), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def failure(error: TercelError | str, status: int) -> Response:
    """A JSON response that says what went wrong."""
    return json_answer({"error": str(error)}, status)


async def body_of(request: Request) -> bytes:
    """The body of a request. Raises `DataError` when it is longer than `BODY_BYTES_MAX`."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_BYTES_MAX:
            raise DataError(f"body: expected at most {BODY_BYTES_MAX} bytes")
    return data

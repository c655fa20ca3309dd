"""A small WebSocket client over a plain socket: it can stop reading, stop answering and send what a browser would not."""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import Any

import msgspec


class Wire:
    """One connection to `/ws`; raises ConnectionError with the status line when the desk refuses it."""

    def __init__(self, port: int, origin: str | None = None, host: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        lines = ["GET /ws HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
        lines += [f"Origin: {origin}"] if origin else []
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline().decode().strip()
        while self.stream.readline() not in (b"\r\n", b""):
            pass
        if " 101 " not in f"{status} ":
            raise ConnectionError(status)

    def frame(self) -> tuple[int, bytes]:
        """(opcode, payload) of the next frame; ConnectionError at the end of the stream."""
        head = self.stream.read(2)
        if len(head) < 2:
            raise ConnectionError("closed without a word")
        size = head[1] & 0x7F
        if size > 125:
            size = int.from_bytes(self.stream.read(2 if size == 126 else 8), "big")
        return head[0] & 0x0F, self.stream.read(size)

    def message(self, answer: bool = True) -> dict[str, Any]:
        """The next message, answered with its version as the page does it; ConnectionError names the code of a close."""
        opcode, payload = self.frame()
        while opcode in (9, 10):
            opcode, payload = self.frame()
        if opcode == 8:
            raise ConnectionError(str(struct.unpack(">H", payload[:2])[0]) if payload else "closed")
        message: dict[str, Any] = msgspec.json.decode(payload)
        if answer:
            self.send(str(message["v"]))
        return message

    def send(self, text: str) -> None:
        """Send a text frame, masked as a client must."""
        data, mask = text.encode(), b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        assert len(data) < 126, "longer than any answer"
        self.socket.sendall(bytes([0x81, 0x80 | len(data)]) + mask + masked)

    def until_closed(self, answer: bool = True) -> str:
        """Read messages until the desk closes the connection; the code it gives."""
        while True:
            try:
                self.message(answer)
            except ConnectionError as error:
                return str(error)

    def close(self) -> None:
        """Drop the connection without a word."""
        self.stream.close()
        self.socket.close()

"""The indicators in a real browser: the committed module and loader, fetched as a page fetches them, give the server's bits."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from tercel.features.program import Program
from tercel.features.spec import FeatureSet, bars
from tests.features.engines import COMMITTED, LOADER, base_columns
from tests.features.judges import Column
from tests.features.running import hostile
from tests.features.test_program import FEATURES
from tests.twins import bits

pytestmark = pytest.mark.browser

RUN = """async rows => {
  const { load } = await import('/features.js');
  const description = await (await fetch('/program.json')).json();
  const all = new Float64Array(await (await fetch('/columns.bin')).arrayBuffer());
  const columns = Array.from({ length: all.length / rows }, (_, column) => all.subarray(column * rows, (column + 1) * rows));
  const features = await (await load('/features.wasm')).program(description);
  const made = features.batch(columns);
  features.reset();
  const pushed = features.push(columns.map(column => column[0]));
  const again = made.every((column, place) => Object.is(column[0], pushed[place]));
  const bytes = new Uint8Array(await new Blob(made).arrayBuffer());
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return [btoa(text), again, features.names];
}"""


@pytest.fixture
def program() -> Program:
    """A set with features of other features."""
    return FeatureSet(bars("1m"), FEATURES).compile()


@pytest.fixture
def site(tmp_path: Path, program: Program) -> Iterator[tuple[str, Column]]:
    """(address, base columns) of a site with loader, module, description and columns."""
    base = base_columns(*hostile())
    base.tofile(tmp_path / "columns.bin")
    (tmp_path / "program.json").write_text(json.dumps(program.description()))
    (tmp_path / "index.html").write_text("<!doctype html><title>features</title>")
    for file in (LOADER, COMMITTED):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", base
        server.shutdown()
        thread.join(5.0)


def test_the_page_computes_the_bits_of_the_server(chromium: Browser, site: tuple[str, Column], program: Program) -> None:
    """In Chromium, hostile rows included, every word of every feature is that of the server, and a reset begins anew."""
    address, base = site
    page = chromium.new_page()
    page.set_default_timeout(20_000)
    page.goto(address)
    made, again, names = page.evaluate(RUN, base.shape[1])
    server = bits(program.compute(base))
    assert names == [program.names[register] for register in program.outputs]
    assert np.array_equal(server, np.frombuffer(base64.b64decode(made), np.int64).reshape(server.shape))
    assert again
    page.close()

"""Compressed files: read like plain ones, refused when they are damaged or a bomb."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tercel.base.errors import DataError
from tercel.market.catalog import Catalog
from tercel.market.importers import compressed
from tercel.market.importers.compressed import members, open_plain, packing
from tercel.market.importers.detect import read_head
from tests.market.history import take

LINES = b"".join(b"20200101 17%02d%02d065,1.12%03d,1.12%03d,0\n" % (i // 60, i % 60, i, i + 7) for i in range(900))


def zipped(path: Path, *files: tuple[str, bytes]) -> Path:
    """A zip of the given files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def packed(path: Path, kind: str, data: bytes = LINES) -> Path:
    """A file that unpacks to `data`."""
    if kind == "zip":
        return zipped(path, ("inner.csv", data))
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "zstd": lambda text: pa.Codec("zstd").compress(text, asbytes=True),
        "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    }
    path.write_bytes(pack[kind](data))
    return path


KINDS = ("zip", "gzip", "zstd", "lzma")


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_file_is_read_like_a_plain_one(home: Path, tmp_path: Path, kind: str) -> None:
    """Recognised by its first bytes whatever its name, the same rows come out, and a second import of the plain file is nothing new."""
    path = packed(tmp_path / "EURUSD.csv", kind)
    head = read_head(path)
    assert (packing(path.read_bytes()), head.packing, head.data) == (kind, kind, LINES)
    with open_plain(path) as plain:
        assert plain.inner == ("inner.csv" if kind == "zip" else "EURUSD.csv")
        assert plain.read() == LINES
        assert plain.fraction() > 0.5
    report = take(path)
    assert (report.files[0].format, report.rows) == ("histdata-ticks", 900)
    (tmp_path / "EURUSD_b.csv").write_bytes(LINES)
    assert not take(tmp_path / "EURUSD_b.csv").changed
    assert sum(data.rows for data in Catalog().datasets()) == 900


def test_two_gzip_streams_in_one_file_are_both_read(tmp_path: Path) -> None:
    """Files joined after compression unpack to the join."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    with open_plain(path) as plain:
        assert plain.read() == b"onetwo"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_or_damaged_compressed_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Cut anywhere or with any byte changed, a file either unpacks to what it was or is refused as damaged."""
    whole = packed(tmp_path / "whole", kind).read_bytes()
    cut, refused = tmp_path / "cut", 0
    for length in (9, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match="truncated or damaged"), open_plain(cut) as plain:
            plain.read()
    for place in range(14, len(whole), 97):
        cut.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            with open_plain(cut) as plain:
                plain.read()
        except DataError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_while_it_is_read(home: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to very much is refused before it is unpacked whole."""
    path = packed(tmp_path / "EURUSD.csv", kind, LINES[:37] * 1_200_000)
    monkeypatch.setattr(compressed, "RATIO_MAX", 100)
    with pytest.raises(DataError, match="expected a file that unpacks to at most 100 times its"), open_plain(path) as plain:
        plain.read()
    with pytest.raises(DataError, match=r"unpacks to at most 100 times.*nothing was imported"):
        take(path)
    monkeypatch.setattr(compressed, "PLAIN_BYTES_MAX", 1_000)
    with pytest.raises(DataError, match="found more than"), open_plain(packed(tmp_path / "b", kind)) as plain:
        plain.read()


def test_a_zip_of_several_files_needs_one_table(home: Path, tmp_path: Path) -> None:
    """A table beside a text, as HistData ships it, is read; two tables are refused with their names; a member can be named."""
    path = zipped(tmp_path / "EURUSD.zip", ("status.txt", b"gaps"), ("DAT.csv", LINES))
    assert take(path).rows == 900
    both = zipped(tmp_path / "GBPUSD.zip", ("a.csv", LINES), ("b.csv", b"other"))
    with pytest.raises(DataError, match=r"expected one file in the zip, found 2: a\.csv, b\.csv"):
        take(both)
    assert members(both) == ["a.csv", "b.csv"]
    with open_plain(both, "b.csv") as plain:
        assert plain.read() == b"other"
    with pytest.raises(DataError, match="expected a zip of 1 to"):
        take(zipped(tmp_path / "empty.zip"))


def test_what_a_header_claims_is_not_believed(tmp_path: Path) -> None:
    """LZMA that wants gigabytes of memory, and an encrypted zip, are refused at once."""
    path = packed(tmp_path / "a.bi5", "lzma")
    whole = path.read_bytes()
    path.write_bytes(whole[:1] + b"\x00\x00\x00\xf0" + whole[5:])
    with pytest.raises(DataError, match=r"of dictionary, found 4,026,531,840"), open_plain(path):
        pass
    locked = packed(tmp_path / "a.zip", "zip")
    data = bytearray(locked.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"truncated or damaged one .*encrypted"), open_plain(locked):
        pass

"""What the tests of the live view share: instruments, and the removal of a view from shared memory."""

from __future__ import annotations

from pathlib import Path

from tercel.observe.live import LiveInstrument

PAIRS = (LiveInstrument("EURUSD@oanda", 7, "USD", 5, 0, 1000), LiveInstrument("USDJPY@oanda", 9, "JPY", 3, 2, 100))


def remove_view(folder: Path) -> None:
    """Delete the bytes behind `live.map`, as the next view would once the folder is gone."""
    link = folder / "live.map"
    if link.is_symlink():
        target = link.resolve()
        target.unlink(missing_ok=True)
        target.with_name(f"{target.name.partition('-')[0]}.home").unlink(missing_ok=True)

"""`tercel check`: prove what Tercel promises on your own data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cyclopts import App

from tercel.cli.options import BarsOf, PriceOf, SettingsFile, StrategyClass
from tercel.cli.show import Json, print_json
from tercel.cli.source import Simulated, source

if TYPE_CHECKING:
    from tercel.drivers.lookahead import Checked

app = App(name="check", help="Prove on your own data that nothing looks ahead.")

LEAKS_FOUND: Final = 1  # exit status


@app.command
def lookahead(
    *names: str,
    start: str | None = None,
    end: str | None = None,
    bars: BarsOf = None,
    price: PriceOf = None,
    settings: SettingsFile = None,
    strategy: StrategyClass = None,
    model: str | None = None,
    cuts: int = 5,
    records: int = 300_000,
    seed: int = 1,
    simulated: Simulated = None,
    json: Json = False,
) -> int:
    """Change the future: nothing in the past may change. Exit status 1 when something does, and its name.

    Features, signals, orders and fills up to a cut in time must be the same to the bit when everything that arrives later is altered, for
    several cuts and changes, and in batches of other sizes.

    Example: tercel check lookahead EURUSD@oanda --strategy my_desk:MyDesk

    Parameters
    ----------
    names
        Instruments such as EURUSD@oanda; without any, all FX and metals that have quotes.
    start
        First instant, ISO, UTC; included.
    end
        Last instant, ISO, UTC; not included.
    model
        A model, such as eurusd@3: its features, orders and labels are checked, and, with start and end, that it has not learnt from them.
    cuts
        How many cuts in time.
    records
        Play so many records of the history; each cut plays them again four times.
    seed
        Which records are dropped and repeated; of the simulated market, too.
    """
    from dataclasses import replace

    from tercel.base.time import parse_instant
    from tercel.cli.show import progress
    from tercel.decision.rules import ModelRule
    from tercel.drivers import lookahead as driver
    from tercel.drivers import lookahead_training as training
    from tercel.drivers.settings import load
    from tercel.models.registry import Registry

    plan = load(settings, strategy).on(bars, price)
    found: list[tuple[str, Checked]] = []
    kept = Registry().load(model) if model is not None else None
    if kept is not None:
        plan = replace(plan, features=kept.feature_set, decide=ModelRule(kept))
        if start is not None and end is not None:
            found.append(("the model in this period", training.check_in_sample(kept, parse_instant(start), parse_instant(end))))
    chosen = source("check lookahead", names, start, end, price=plan.features.clock.price, simulated=simulated, seed=seed)
    with progress(quiet=json) as tell:
        found.append(("features and orders", driver.check_history(plan, chosen, cuts=cuts, seed=seed, records_max=records, progress=tell)))
    if kept is not None:
        with progress(quiet=json) as tell:
            checked = training.check_labels(plan, chosen, kept.manifest.barriers, cuts=cuts, seed=seed, records_max=records, progress=tell)
        found.append(("features and labels", checked))
    _print(found, json)
    return 0 if all(one.clean for _, one in found) else LEAKS_FOUND


def _print(found: Sequence[tuple[str, Checked]], as_json: bool) -> None:
    if as_json:
        import msgspec

        view = [{"about": about, "clean": one.clean, **msgspec.structs.asdict(one)} for about, one in found]
        print_json(view)
        return
    from tercel.base.text import console, table

    out = console()
    rows = [
        (
            about,
            *(f"{count:,}" for count in (one.records, one.rows, one.outputs, len(one.cuts), one.runs)),
            f"{len(one.leaks) or 'nothing'}",
        )
        for about, one in found
    ]
    out.print(table("Does anything look ahead?", ("checked", "records", "rows", "outputs", "cuts", "runs", "found"), rows))
    for _, one in found:
        for leak in one.leaks:
            out.print(f"{leak.kind} {leak.name}: {leak.what}", markup=False, highlight=False, soft_wrap=True)
    if all(one.clean for _, one in found):
        out.print("Nothing decided before a cut depends on what comes after it.", highlight=False)

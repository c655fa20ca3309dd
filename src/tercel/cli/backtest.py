"""`tercel backtest`: trade recorded history and report."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from tercel.cli.options import BarsOf, PriceOf, SettingsFile, StrategyClass
from tercel.cli.show import Json, print_json
from tercel.cli.source import MarketSeed, Simulated, source

if TYPE_CHECKING:
    from tercel.drivers.backtest import Backtest
    from tercel.drivers.result import Result

THREADS_MAX: Final = 64


def backtest(
    *names: str,
    start: str | None = None,
    end: str | None = None,
    every: str | None = None,
    bars: BarsOf = None,
    price: PriceOf = None,
    settings: SettingsFile = None,
    strategy: StrategyClass = None,
    model: str | None = None,
    in_sample: Annotated[bool, Parameter(negative="")] = False,
    threads: int = 1,
    simulated: Simulated = None,
    seed: MarketSeed = 1,
    json: Json = False,
) -> None:
    """Trade recorded history and report: profit and loss per currency, costs, drawdown, reasons for not trading.

    Example: tercel backtest EURUSD@oanda --start 2014-05-01 --end 2014-05-14. Without any data: tercel backtest --simulated 24h

    Parameters
    ----------
    names
        Instruments such as EURUSD@oanda; without any, all FX and metals that have quotes.
    start
        First instant, ISO, UTC; included.
    end
        Last instant, ISO, UTC; not included.
    every
        Play bars of this interval instead of ticks.
    model
        A trained model, as name, name@version or name@stage; each stretch is traded by the fold that never saw it.
    in_sample
        Let the final part of the model trade what it was trained on; the report says so.
    threads
        Threads of the market phase; they change no bit of the result.
    """
    from tercel.base.errors import ConfigError
    from tercel.cli.show import progress
    from tercel.drivers import backtest as driver
    from tercel.drivers.settings import load

    if not 1 <= threads <= THREADS_MAX:
        raise ConfigError(f"backtest --threads: expected 1 to {THREADS_MAX}, found {threads}")
    plan = load(settings, strategy, model).on(bars, price)
    basis = plan.features.clock.price
    chosen = source("backtest", names, start, end, every=every, price=basis, simulated=simulated, seed=seed)
    with progress(quiet=json) as report:
        result = _played(driver.Backtest(plan, chosen, threads, report, in_sample=in_sample))
    if json:
        print_json(result.summary())
    else:
        result.show()


def _played(test: Backtest) -> Result:
    """The result; an error of the user's strategy becomes one line that says where."""
    from tercel.base.errors import TercelError

    try:
        return test.run()
    except TercelError:
        raise
    except Exception as error:
        notes = "; ".join(getattr(error, "__notes__", []))
        if not notes:
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise TercelError(f"{notes}: {type(error).__name__}: {error} ({place.filename}:{place.lineno})") from error

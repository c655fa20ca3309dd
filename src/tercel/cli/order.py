"""`tercel order`: give the running trader an order by hand, through its desk."""

from __future__ import annotations

from typing import Any, Final, Literal

from tercel.cli.show import Json, print_json, say

ANSWER_S_MAX: Final = 10.0
SENT, DENIED, WRONG = 201, 422, (400, 404, 409)


def order(
    side: Literal["buy", "sell"],
    qty: str,
    symbol: str,
    *,
    limit: str | None = None,
    client_id: str | None = None,
    account: str | None = None,
    json: Json = False,
) -> None:
    """Give an order by hand, on paper. It is checked like any other: limits, quotes and the halt hold for it.

    The exit status is 6 when a check denies it. Given again with the same --client-id it is never sent twice.

    Example: tercel order buy 0.5 EURUSD@oanda --limit 1.0825

    Parameters
    ----------
    side
        What to do: buy or sell.
    qty
        How many lots, such as 0.5.
    symbol
        The instrument, such as EURUSD@oanda, or EURUSD when one venue has it.
    limit
        The worst price to trade at; without it at the market.
    client_id
        Your name for the order, up to 64 characters; without one it is given one.
    account
        Name of the account; without it the one whose trader runs, else "paper".
    """
    import secrets

    from tercel.cli.control import chosen

    account = chosen(account, "order")
    body = {"symbol": symbol, "qty": qty, "side": side, "limit": limit, "client_id": client_id or secrets.token_hex(16)}
    found = post(account, {name: value for name, value in body.items() if value is not None})
    if json:
        print_json({"account": account, **found})
        return
    price = f"at {found['limit']:.10g}" if found["limit"] is not None else "at the market"
    again = " (given before, not sent again)" if found["repeated"] else ""
    say(f"account {account}: {found['side']} {found['qty']:.10g} lots of {found['symbol']} {price}: {found['status']}{again}")
    say(f"order {found['id']}, client_id {found['client_id']}")


def post(account: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the desk of an account says to an order that was sent.

    Raises `NotRunning` without a trader or desk, `ConfigError` for what is no order, `OrderRejected` for one that a check denies, and
    `TercelError` when it was not given or nobody knows.
    """
    import http.client
    from urllib.parse import urlsplit

    import msgspec

    from tercel.base import paths
    from tercel.base.errors import ConfigError, NotRunning, OrderRejected, TercelError
    from tercel.cli.control import alive

    page = paths.run_dir(account) / "desk.url"
    if not alive(account) or not page.is_file():
        lacking = "desk: start it with `tercel run`, not --no-desk" if alive(account) else "trader: start one with `tercel run`"
        raise NotRunning(f"order: account {account} has no running {lacking}")
    place = urlsplit(page.read_text().strip())
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_S_MAX)
    try:
        connection.request("POST", "/api/orders", msgspec.json.encode(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        status, found = answer.status, msgspec.json.decode(answer.read(), type=dict[str, Any])
    except ConnectionRefusedError:
        raise NotRunning(f"order: the desk of account {account} does not answer at {place.geturl()}; it starts again by itself") from None
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        again = f"--client-id {body['client_id']}"
        raise TercelError(
            f"order: the desk broke off ({type(error).__name__}): nobody knows whether it was sent; give it again with {again}: never twice"
        ) from error
    finally:
        connection.close()
    if status == SENT:
        return found
    said = str(found.get("error", f"status {status}"))
    if status == DENIED:
        raise OrderRejected(found["reason"], said.removeprefix(f"denied: {found['reason']}: "))
    if status in WRONG:
        raise ConfigError(f"order: {said}")
    raise TercelError(f"order: {said}")

"""The same users in the words of Locust: charts, signals and small orders, 3 : 2 : 1, 0.1 to 0.5 s after the last answer. A locustfile.

Locust waits for an answer before it draws the next time, so a desk that stalls is asked less; `benchmarks/load.py` goes on asking.
"""

from __future__ import annotations

from locust import HttpUser, between, task

DENIED = 422


class DeskUser(HttpUser):  # type: ignore[misc]  # Locust is known only in the peer's environment
    """Asks the desk that `--host` names."""

    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        """Learn which instruments there are; the first is what this user buys and sells."""
        self.names = [one["name"] for one in self.client.get("/api/instruments").json()["instruments"]]
        self.turn, self.held = 0, False

    @task(3)  # type: ignore[untyped-decorator]
    def chart(self) -> None:
        """Candles of the next instrument."""
        self.turn += 1
        self.client.get(f"/api/historical/chart-data/{self.names[self.turn % len(self.names)]}", name="chart")

    @task(2)  # type: ignore[untyped-decorator]
    def signals(self) -> None:
        """The newest signals."""
        self.client.get("/api/signals/current", name="signals")

    @task(1)  # type: ignore[untyped-decorator]
    def orders(self) -> None:
        """A hundredth of a lot, bought and sold in turn; one that a check of the trader denies is answered, under a name of its own."""
        body = {"symbol": self.names[0], "qty": "0.01", "side": "sell" if self.held else "buy"}
        with self.client.post("/api/orders", json=body, name="orders", catch_response=True) as answer:
            if answer.status_code == DENIED:
                answer.request_meta["name"] = "orders denied"
                answer.success()
            elif answer.ok:
                self.held = not self.held

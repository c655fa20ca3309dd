"""The same users in the words of Locust: charts, signals and orders, 3 : 2 : 1, 0.1 to 0.5 s after the last answer. A locustfile.

Locust waits for an answer before it draws the next time, so a desk that stalls is asked less; `benchmarks/load.py` goes on asking.
"""

from __future__ import annotations

from locust import HttpUser, between, task


class DeskUser(HttpUser):  # type: ignore[misc]  # Locust is known only in the peer's environment
    """Asks the desk that `--host` names."""

    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        """Learn which instruments have charts."""
        self.names = [one["name"] for one in self.client.get("/api/instruments").json()["instruments"]]
        self.turn = 0

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
        """The orders the desk holds: it takes none by POST."""
        self.client.get("/api/orders", name="orders")

"""Add up the orders of a small shop by region."""

from __future__ import annotations

import csv
from pathlib import Path

Order = dict[str, str]


def load_orders(path: str | Path) -> list[Order]:
    """Every order of the file, its cells as they stand there."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def amount(order: Order) -> float:
    """What one order brings in."""
    return int(order["quantity"]) * float(order["unit_price"])


def revenue_by_region(orders: list[Order]) -> dict[str, float]:
    """Revenue of every region."""
    totals: dict[str, float] = {}
    for order in orders:
        region = order["region"]
        totals[region] = totals.get(region, 0) + amount(order)
    return totals


def as_table(totals: dict[str, float]) -> str:
    """The totals as a markdown table, the largest first."""
    ranked = sorted(totals.items(), key=lambda item: item[1], reverse=True)
    rows = [f"| {region} | {total:,.2f} |" for region, total in ranked]
    return "\n".join(["| region | revenue |", "|--------|--------:|", *rows])


def main() -> None:
    orders = load_orders(Path(__file__).parent / "orders.csv")
    print(as_table(revenue_by_region(orders)))  # noqa: T201 - this is a script


if __name__ == "__main__":
    main()

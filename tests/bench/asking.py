"""Asks one server for /api/status over and over, and prints how long each answer took in ms.

A process of its own: what the other clients do at the same time must not be measured here.
"""

from __future__ import annotations

import http.client
import sys
import time

from .servers import TOKEN

EVERY_SECONDS = 0.02


def ask(port: int, seconds: float) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    head = {"Authorization": f"token {TOKEN}"}
    took: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        connection.request("GET", "/api/status", headers=head)
        with connection.getresponse() as answer:
            answer.read()
            assert answer.status == 200, answer.status
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(EVERY_SECONDS)
    connection.close()
    return took[1:]  # the first one connects


if __name__ == "__main__":
    sys.stdout.write("\n".join(f"{ms:.3f}" for ms in ask(int(sys.argv[1]), float(sys.argv[2]))))

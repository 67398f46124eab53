"""The payment gateway simulator: prepare, charge, status, cancel, refund and lists, in Stripe's dialect.

One rule: what was captured, and what was answered under a key, is on disk before the first byte of the answer leaves,
so that the file alone tells the truth whoever dies.

    python -m local.gateway --database FILE [--port 0] [--seed 1] [--rate charge.timeout_after=0.02 ...]
        [--calls-per-second 25]

It prints one line, `{"url": ...}`, when it is ready. Requests, captures, refunds and disputes share one sequence.
Faults come by rate, drawn from seed, payment id and the number of the call, so that no interleaving changes what
finally becomes of a payment; or on demand: POST /_faults {payment_id, call, fault, times, seconds}. What people do in
the gateway's dashboard is POST /_refunds {payment_id, amount, status}, later {refund, status}, and POST /_disputes
{payment_id, amount, reason, status}, later {dispute, status}. GET /_log shows what happened. Its API key is
`sk_test_simulator`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer


def _rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.gateway", description="Payment gateway simulator.")
    parser.add_argument("--database", type=Path, required=True, help="sqlite file; an existing one is carried on")
    parser.add_argument("--port", type=int, default=0, help="0 to 65535, 0: any free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=_rate, action="append", default=[], metavar="CALL.FAULT=PROBABILITY")
    parser.add_argument("--calls-per-second", type=int, help="further calls are answered 429; without it, none is")
    parser.add_argument("--key-lifetime-seconds", type=float, default=86_400.0)
    parser.add_argument("--search-lag-seconds", type=float, default=2.0)
    parser.add_argument("--delay-seconds", type=float, default=1.0, help="length of a delay that comes by rate")
    options = parser.parse_args(arguments)
    try:
        gateway = Gateway(
            options.database,
            seed=options.seed,
            rates=dict(options.rate),
            key_lifetime_seconds=options.key_lifetime_seconds,
            search_lag_seconds=options.search_lag_seconds,
            delay_seconds=options.delay_seconds,
        )
        server = GatewayServer(gateway, options.port, options.calls_per_second)
    except (ValueError, OverflowError, OSError, sqlite3.Error) as failure:
        print(f"the gateway cannot start on port {options.port} with {options.database}: {failure}", file=sys.stderr)
        return 2
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, as a thread inherits its mask: only the wait below may take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server.start("gateway")
    print(json.dumps({"url": server.url}), flush=True)
    signal.sigwait(stop)
    server.stop()
    gateway.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

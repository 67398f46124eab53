"""The simulator's limit of calls a second: what is above it is refused, and blames no payment."""

from __future__ import annotations

from contextlib import closing

import pytest

from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.errors import GatewayUnavailableError
from handler.domain.parse import parse
from handler.domain.reasons import CATALOGUE
from handler.domain.validate import Limits, validate
from local.gateway.call_rate import CallRate
from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from tests.support.payments import body


def test_no_second_has_more_calls_than_the_limit_and_a_refused_one_counts_for_nothing():
    times = iter([0.0, 0.5, 0.6, 0.99, 1.0, 1.1, 1.5, 1.6])
    rate = CallRate(2, lambda: next(times))
    assert [rate.takes() for _ in range(8)] == [True, True, False, False, True, False, True, False]


def test_without_a_limit_every_call_is_taken():
    rate = CallRate()
    assert all(rate.takes() for _ in range(1000))


@pytest.mark.parametrize("calls", [0, -1])
def test_a_limit_that_takes_nothing_is_refused(calls):
    with pytest.raises(ValueError, match="at least 1"):
        CallRate(calls)


def test_a_call_above_the_limit_is_refused_begins_nothing_and_blames_no_payment(tmp_path):
    key = "sk_test_12345678"
    payment = validate(parse(body(payment_token="pm_card_visa")), Limits(), 2).payment
    with closing(Gateway(tmp_path / "gateway.sqlite", api_keys={key: "test"})) as simulator:
        server = GatewayServer(simulator, calls_per_second=1)
        server.call_rate = CallRate(1, lambda: 0.0)
        server.start("gateway")
        adapter = StripeGateway(lambda: key, mode="test", environment="dev", url=server.url)
        with closing(adapter):
            ref = adapter.prepare(payment, "key:prepare")
            for call in (lambda: adapter.charge(ref, "key:confirm"), lambda: adapter.prepare(payment, "next:prepare")):
                with pytest.raises(GatewayUnavailableError, match="429") as caught:
                    call()
                assert not caught.value.is_own_failure
                assert not CATALOGUE[caught.value.reason_code].is_own_failure
            server.call_rate = CallRate()
            assert adapter.charge(ref, "key:confirm").state == "approved"
        server.stop()
        assert simulator._db.execute("SELECT count(*) FROM calls_above_the_limit").fetchone()[0] == 2
        log = simulator.log()
        assert [call["call"] for call in log["requests"]] == ["prepare", "charge"]

"""Stripe's adapter and the simulator's Stripe, against what Stripe itself publishes: its SDK and that SDK's types.

What every gateway keeps is in test_gateway_conformance.py.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
import stripe
from stripe.params import (
    DisputeListParams,
    PaymentIntentCancelParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentRetrieveParams,
    RefundCreateParams,
    RefundListParams,
)
from stripe.params._payment_intent_create_params import PaymentIntentCreateParamsAutomaticPaymentMethods

from handler.adapters.gateways.deadline_connection import Answer
from handler.adapters.gateways.stripe import VERSION, StripeGateway
from handler.adapters.gateways.stripe_answers import _DISPUTE_STATES, Mode
from handler.domain.errors import (
    ConfigurationError,
    GatewayAnswerError,
    GatewayBusyError,
    GatewayKeyRefusedError,
    GatewayReferenceUnknownError,
    GatewayRefusedError,
    GatewayUnavailableError,
    UnknownOutcomeError,
)
from handler.domain.payment import Payment
from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.gateway.stripe_dialect import TOKENS

PAYMENT = Payment("pay-1", "ord-1", "cust-1", 2599, "USD", "credit_card", payment_token="pm_card_visa")
PREPARE, KEY = "dev:pay-1:0123456789abcdef:prepare:0", "dev:pay-1:0123456789abcdef:confirm:0"
API_KEY, OTHER_ACCOUNT, LIVE_KEY = "sk_test_simulator", "rk_test_somebody_else", "sk_live_simulator"


class World:
    """The simulator with keys of three accounts, and adapters that talk to it."""

    def __init__(self, database: Path) -> None:
        accounts = {API_KEY: "test", OTHER_ACCOUNT: "test-2", LIVE_KEY: "live"}
        self.now_ms = 1_700_000_000_000
        self.gateway = Gateway(database, clock=lambda: self.now_ms, api_keys=accounts)
        self.server = GatewayServer(self.gateway)
        self.server.start("gateway")
        self.adapters: list[StripeGateway] = []
        self.sent: list[tuple[str, str, dict[str, str], list[tuple[str, str]]]] = []

    def adapter(self, *keys: str, mode: Mode = "test", environment: str = "dev", **more: Any) -> StripeGateway:
        """An adapter that is given one key after the other, and what it sends."""
        left = list(keys or (API_KEY,))
        adapter = StripeGateway(
            lambda: left.pop(0) if len(left) > 1 else left[0],
            mode=mode,
            environment=environment,
            url=self.server.url,
            deadline_seconds=30.0,
            **more,
        )
        call = adapter.connection.call

        def recorded(method: str, path: str, headers: Any, payload: bytes | None, deadline: float | None = None) -> Any:
            self.sent.append((method, path, dict(headers), parse_qsl((payload or b"").decode())))
            return call(method, path, headers, payload, deadline)

        adapter.connection.call = recorded  # type: ignore[method-assign]
        self.adapters.append(adapter)
        return adapter

    @property
    def sdk(self) -> stripe.StripeClient:
        return stripe.StripeClient(API_KEY, base_addresses={"api": self.server.url}, max_network_retries=0)

    def close(self) -> None:
        for adapter in self.adapters:
            adapter.close()
        self.server.stop()
        self.gateway.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path / "gateway.sqlite")) as world:
        yield world


# ---- what is sent -------------------------------------------------------------------------------------------------


def test_every_request_is_spelled_as_stripe_documents_it(world: World) -> None:
    gateway = world.adapter()
    full = PAYMENT._replace(description="two shoes & a hat", gateway_customer_id="cus_1")
    ref = gateway.prepare(full, PREPARE)
    gateway.charge(ref, KEY)
    gateway.status(ref)
    gateway.cancel(ref)
    gateway.refund(ref, 100, "USD", "ref-1", "dev:ref-1")
    # A page, behind which ours is found: the first of these ends it.
    first, *_ = [world.gateway.in_dashboard("refunds", {"payment_id": "pay-1", "amount": 1})["id"] for _ in range(100)]
    gateway.refunds(ref)
    gateway.disputes(ref)
    assert [(method, path, fields) for method, path, _, fields in world.sent] == [
        (
            "POST",
            "/v1/payment_intents",
            [
                ("amount", "2599"),
                ("currency", "usd"),
                ("payment_method", "pm_card_visa"),
                ("customer", "cus_1"),
                ("description", "two shoes & a hat"),
                ("metadata[payment_id]", "pay-1"),
                ("metadata[environment]", "dev"),
                ("automatic_payment_methods[enabled]", "true"),
                ("automatic_payment_methods[allow_redirects]", "never"),
                ("capture_method", "automatic"),
            ],
        ),
        (
            "POST",
            f"/v1/payment_intents/{ref}/confirm",
            [("error_on_requires_action", "true"), ("off_session", "true"), ("expand[0]", "latest_charge")],
        ),
        ("GET", f"/v1/payment_intents/{ref}?expand%5B0%5D=latest_charge", []),
        (
            "POST",
            f"/v1/payment_intents/{ref}/cancel",
            [("cancellation_reason", "abandoned"), ("expand[0]", "latest_charge")],
        ),
        (
            "POST",
            "/v1/refunds",
            [
                ("payment_intent", ref),
                ("amount", "100"),
                ("metadata[refund_id]", "ref-1"),
                ("metadata[environment]", "dev"),
            ],
        ),
        ("GET", f"/v1/refunds?payment_intent={ref}&limit=100", []),
        ("GET", f"/v1/refunds?payment_intent={ref}&limit=100&starting_after={first}", []),
        ("GET", f"/v1/disputes?payment_intent={ref}&limit=100", []),
    ]
    for method, path, headers, _ in world.sent:
        assert headers["Authorization"] == f"Bearer {API_KEY}"
        assert headers["Stripe-Version"] == VERSION
        assert ("Idempotency-Key" in headers) == (method == "POST" and not path.endswith("/cancel"))
    keys = [headers.get("Idempotency-Key") for _, _, headers, _ in world.sent]
    assert keys == [PREPARE, KEY, None, None, "dev:ref-1:refund", None, None, None]


def test_every_parameter_is_one_of_the_sdks_typed_ones(world: World) -> None:
    gateway = world.adapter(off_session=False)
    ref = gateway.prepare(PAYMENT._replace(description="x", gateway_customer_id="cus_1"), PREPARE)
    gateway.charge(ref, KEY)
    gateway.cancel(ref)
    gateway.refund(ref, 100, "USD", "ref-1", "dev:ref-1")
    gateway.status(ref)
    for _ in range(100):
        world.gateway.in_dashboard("refunds", {"payment_id": "pay-1", "amount": 1})
    gateway.refunds(ref)
    gateway.disputes(ref)
    typed = (
        PaymentIntentCreateParams,
        PaymentIntentConfirmParams,
        PaymentIntentCancelParams,
        RefundCreateParams,
        PaymentIntentRetrieveParams,
        RefundListParams,
        RefundListParams,
        DisputeListParams,
    )
    nested = {"automatic_payment_methods": PaymentIntentCreateParamsAutomaticPaymentMethods.__annotations__}
    for (_, path, _, fields), parameters in zip(world.sent, typed, strict=True):
        for name, _ in fields or parse_qsl(path.partition("?")[2]):
            outer, _, inner = name.partition("[")
            assert outer in parameters.__annotations__, (path, name)
            if outer in nested:
                assert inner.rstrip("]") in nested[outer], (path, name)
            else:
                assert not inner or outer in ("metadata", "expand"), (path, name)


def test_the_version_that_is_asked_for_is_one_that_the_sdk_knows() -> None:
    assert VERSION.partition(".")[2] == stripe._api_version._ApiVersion.CURRENT_MAJOR


def test_a_confirm_never_carries_an_instrument(world: World) -> None:
    gateway = world.adapter()
    gateway.charge(gateway.prepare(PAYMENT, PREPARE), KEY)
    assert "payment_method" not in dict(world.sent[-1][3])


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("own", [None, True, False])
def test_the_card_networks_are_told_what_the_payment_says_or_else_the_deployment(
    world: World, default: bool, own: bool | None
) -> None:
    gateway = world.adapter(off_session=default)
    gateway.charge(gateway.prepare(PAYMENT, PREPARE), KEY, own)
    told = default if own is None else own
    assert dict(world.sent[-1][3])["off_session"] == ("true" if told else "false")


# ---- what comes back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "said"), [(token, said) for token, said in TOKENS.items() if said[1]])
def test_a_decline_keeps_the_gateways_code_and_decline_code(world: World, token: str, said: tuple[str, str]) -> None:
    gateway = world.adapter()
    declined = gateway.charge(gateway.prepare(PAYMENT._replace(payment_token=token), PREPARE), KEY)
    assert (declined.state, declined.code, declined.decline_code) == ("declined", *said)
    assert declined.request_id.startswith("req_")
    assert world.gateway.log()["captures"] == []


@pytest.mark.parametrize(
    ("token", "said"), [("pm_card_visa", "abandoned"), ("pm_card_visa_chargeDeclined", "card_declined")]
)
def test_a_cancelled_intent_still_says_why_it_was_declined_or_who_cancelled_it(
    world: World, token: str, said: str
) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT._replace(payment_token=token), PREPARE)
    if said != "abandoned":
        gateway.charge(ref, KEY)
    gateway.cancel(ref)
    assert (gateway.status(ref).state, gateway.status(ref).code) == ("cancelled", said)


def test_a_402_to_prepare_is_the_payments_own_failure_and_spends_its_key(world: World) -> None:
    gateway = world.adapter()
    said = Answer(402, {"error": {"type": "card_error", "code": "card_declined"}}, {})
    gateway.connection.call = lambda *_: said  # type: ignore[method-assign]
    with pytest.raises(GatewayRefusedError, match="402 card_error card_declined") as caught:
        gateway.prepare(PAYMENT, PREPARE)
    assert (caught.value.is_final, caught.value.spends_key, caught.value.is_own_failure) == (False, True, True)
    said = Answer(402, {}, {})
    with pytest.raises(GatewayUnavailableError) as caught_page:
        gateway.prepare(PAYMENT, PREPARE)
    assert not caught_page.value.spends_key


@pytest.mark.parametrize(
    ("status_code", "code"), [(409, "idempotency_key_in_use"), (409, "lock_timeout"), (429, "lock_timeout")]
)
@pytest.mark.parametrize("call", ["prepare", "status", "cancel"])
def test_a_gateway_that_works_on_the_same_payment_is_busy_and_spends_no_key(
    world: World, call: str, status_code: int, code: str
) -> None:
    gateway = world.adapter()
    said = Answer(status_code, {"error": {"type": "invalid_request_error", "code": code}}, {})
    gateway.connection.call = lambda *_: said  # type: ignore[method-assign]
    with pytest.raises(GatewayBusyError, match=f"{status_code} invalid_request_error {code}") as caught:
        gateway.prepare(PAYMENT, PREPARE) if call == "prepare" else getattr(gateway, call)("pi_1")
    assert not caught.value.spends_key


def test_a_bank_debit_is_in_progress_for_days(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT._replace(payment_token="pm_usBankAccount"), PREPARE)
    assert gateway.charge(ref, KEY).state == "in_progress"


@pytest.mark.parametrize(
    ("currency", "amount_minor", "amount"), [("JPY", 500, 500), ("KWD", 1500, 1500), ("MGA", 500, 5), ("ISK", 5, 500)]
)
def test_an_amount_goes_out_and_comes_back_in_stripes_units(
    world: World, currency: str, amount_minor: int, amount: int
) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT._replace(amount_minor=amount_minor, currency=currency), PREPARE)
    charged = gateway.charge(ref, KEY)
    assert (charged.state, charged.amount_minor, charged.currency) == ("approved", amount_minor, currency)
    assert [row["amount"] for row in world.gateway.log()["captures"]] == [amount]


def test_an_amount_that_cannot_be_said_is_refused_before_any_call(world: World) -> None:
    with pytest.raises(GatewayRefusedError):
        world.adapter().prepare(PAYMENT._replace(amount_minor=1505, currency="KWD"), PREPARE)
    assert world.sent == []


def test_a_token_that_stripe_does_not_know_is_a_final_refusal_of_the_payment(world: World) -> None:
    with pytest.raises(
        GatewayRefusedError, match="404 invalid_request_error resource_missing payment_method"
    ) as caught:
        world.adapter().prepare(PAYMENT._replace(payment_token="pm_unknown"), PREPARE)
    assert (caught.value.code, caught.value.is_final) == ("resource_missing", True)
    assert re.fullmatch("req_[0-9]+", caught.value.request_id)


def test_a_refusal_that_is_not_about_the_payment_is_not_final(world: World) -> None:
    gateway = world.adapter()
    gateway._environment = "x" * 9
    call = gateway.connection.call

    def with_an_unknown_parameter(*given: Any) -> Any:
        method, path, headers, payload, deadline = given
        return call(method, path, headers, payload + b"&confirmation=now", deadline)

    gateway.connection.call = with_an_unknown_parameter  # type: ignore[method-assign]
    with pytest.raises(GatewayRefusedError, match="parameter_unknown confirmation") as caught:
        gateway.prepare(PAYMENT, PREPARE)
    assert not caught.value.is_final


def test_an_intent_that_succeeded_over_less_than_its_amount_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    shown = world.gateway._object
    monkeypatch.setattr(world.gateway, "_object", lambda ref: {**shown(ref), "amount_received": 1})
    with pytest.raises(GatewayAnswerError, match="another amount than its own"):
        gateway.charge(ref, KEY)


@pytest.mark.parametrize(
    "said",
    [
        {"amount_received": 2599.0},
        {"amount": 1, "amount_received": True},
        {"currency": "#sd"},
        {"currency": "u\u017fd"},
    ],
)
def test_an_amount_is_a_whole_number_in_a_currencys_code(
    world: World, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    shown = world.gateway._object
    monkeypatch.setattr(world.gateway, "_object", lambda ref: {**shown(ref), **said})
    with pytest.raises(GatewayAnswerError, match=r"another amount than its own|no amount and currency") as caught:
        gateway.charge(ref, KEY)
    assert "#sd" not in str(caught.value).lower()


def test_an_intent_of_another_environment_is_not_believed(world: World) -> None:
    ref = world.adapter().prepare(PAYMENT, PREPARE)
    with pytest.raises(GatewayAnswerError, match="not of environment stage"):
        world.adapter(environment="stage").status(ref)


@pytest.mark.parametrize("call", ["charge", "status", "cancel"])
def test_a_reference_of_another_account_stays_open(world: World, call: str) -> None:
    ref = world.adapter().prepare(PAYMENT, PREPARE)
    other = world.adapter(OTHER_ACCOUNT)
    with pytest.raises(GatewayReferenceUnknownError, match="is the key of its account"):
        other.charge(ref, KEY) if call == "charge" else getattr(other, call)(ref)


def test_an_answer_of_the_other_mode_is_not_believed(world: World) -> None:
    world.gateway.api_keys[API_KEY] = "live"
    with pytest.raises(GatewayAnswerError, match="not of mode test"):
        world.adapter().prepare(PAYMENT, PREPARE)


def test_in_mode_live_the_key_and_every_answer_are_live(world: World) -> None:
    gateway = world.adapter(LIVE_KEY, mode="live")
    assert gateway.charge(gateway.prepare(PAYMENT, PREPARE), KEY).state == "approved"


def test_a_customers_action_is_a_state_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    shown = world.gateway._object
    monkeypatch.setattr(world.gateway, "_object", lambda ref: {**shown(ref), "status": "requires_action"})
    assert gateway.status(ref).state == "requires_action"


def test_a_payment_without_an_instrument_is_refused_before_any_call(world: World) -> None:
    with pytest.raises(GatewayRefusedError, match="no instrument") as caught:
        world.adapter().prepare(PAYMENT._replace(payment_token=""), PREPARE)
    assert caught.value.is_final
    assert world.sent == []


def test_an_intent_without_an_instrument_was_not_declined(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    shown = world.gateway._object
    monkeypatch.setattr(world.gateway, "_object", lambda ref: {**shown(ref), "status": "requires_payment_method"})
    with pytest.raises(GatewayAnswerError, match="unknown state requires_payment_method"):
        gateway.status(ref)


def test_no_error_repeats_what_was_sent(world: World) -> None:
    gateway = world.adapter()
    secret = PAYMENT._replace(payment_token="pm_swordfish", description="swordfish")
    with pytest.raises(GatewayRefusedError) as caught:
        gateway.prepare(secret, PREPARE)
    assert "swordfish" not in str(caught.value)
    assert API_KEY not in str(caught.value)
    assert "req_" in str(caught.value)


# ---- what comes after the charge ----------------------------------------------------------------------------------


def captured(world: World, gateway: StripeGateway, **more: Any) -> str:
    ref = gateway.prepare(PAYMENT._replace(**more), PREPARE)
    gateway.charge(ref, KEY)
    return ref


def in_dashboard(world: World, kind: str, **order: Any) -> str:
    return str(world.gateway.in_dashboard(kind, {"payment_id": "pay-1", **order})["id"])


@pytest.mark.parametrize(
    ("currency", "amount_minor", "amount"), [("JPY", 500, 500), ("ISK", 5, 500), ("KWD", 1500, 1500)]
)
def test_what_is_given_back_comes_in_our_units(world: World, currency: str, amount_minor: int, amount: int) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway, amount_minor=2 * amount_minor, currency=currency)
    in_dashboard(world, "refunds", amount=amount)
    in_dashboard(world, "disputes", amount=amount)
    assert gateway.status(ref).refunded_minor == amount_minor
    assert [(each.amount_minor, each.currency) for each in gateway.refunds(ref)] == [(amount_minor, currency)]
    assert [(each.amount_minor, each.currency) for each in gateway.disputes(ref)] == [(amount_minor, currency)]


def test_a_refund_is_ours_by_our_environment_and_counts_whoever_made_it(world: World) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    for metadata in (
        {"refund_id": "ours", "environment": "dev"},
        {"refund_id": "of-stage", "environment": "stage"},
        {"refund_id": "by-hand"},
        {"refund_id": "no id at all", "environment": "dev"},
    ):
        world.sdk.v1.refunds.create({"payment_intent": ref, "amount": 1, "metadata": metadata})  # type: ignore[typeddict-item]
    assert [each.refund_id for each in gateway.refunds(ref)] == ["ours", "", "", ""]
    assert gateway.status(ref).refunded_minor == 4


@pytest.mark.parametrize("said", [{"metadata": {"refund_id": "ref-2", "environment": "dev"}}, {"metadata": {}}])
def test_an_answer_about_another_refund_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    made = world.gateway._after._refunded
    monkeypatch.setattr(world.gateway._after, "_refunded", lambda *asked: {**made(*asked), **said})
    with pytest.raises(GatewayAnswerError, match="not about refund ref-1"):
        gateway.refund(ref, 100, "USD", "ref-1", "dev:ref-1")


@pytest.mark.parametrize("kind", ["refunds", "disputes"])
@pytest.mark.parametrize(
    "said",
    [
        *({"payment_intent": "pi_0"}, {"payment_intent": None}, {"id": ""}, {"id": "ch_1"}, {"status": "unheard_of"}),
        *({"status": None}, {"amount": 1.0}, {"amount": 0}, {"amount": -1}, {"currency": "#sd"}, {"created": None}),
        {"created": 10**11},
    ],
)
def test_one_that_is_not_whole_or_not_of_the_intent_makes_the_list_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, said: dict[str, Any]
) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    in_dashboard(world, kind, amount=10)
    listed = world.gateway._after._all
    assert len(getattr(gateway, kind)(ref)) == 1
    monkeypatch.setattr(world.gateway._after, "_all", lambda *of: [{**each, **said} for each in listed(*of)])
    with pytest.raises(GatewayAnswerError) as caught:
        getattr(gateway, kind)(ref)
    assert "unheard" not in str(caught.value)


def test_a_dispute_of_the_other_mode_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    in_dashboard(world, "disputes")
    listed = world.gateway._after._all
    monkeypatch.setattr(world.gateway._after, "_all", lambda *of: [{**each, "livemode": True} for each in listed(*of)])
    with pytest.raises(GatewayAnswerError, match="in mode test"):
        gateway.disputes(ref)


@pytest.mark.parametrize(
    "page",
    [
        *({}, {"data": None, "has_more": False}, {"data": []}, {"data": [], "has_more": None}),
        *({"data": [], "has_more": True}, {"data": ["re_1"], "has_more": False}),
        # The same page again and again.
        {"data": [{"id": "re_1"}], "has_more": True},
    ],
)
@pytest.mark.parametrize("kind", ["refunds", "disputes"])
def test_a_page_that_does_not_say_how_it_goes_on_is_no_answer(world: World, kind: str, page: dict[str, Any]) -> None:
    gateway = world.adapter()
    gateway.connection.call = lambda *_: Answer(200, page, {})  # type: ignore[method-assign]
    with pytest.raises(GatewayAnswerError):
        getattr(gateway, kind)("pi_1")


def test_a_page_of_disputes_with_all_their_evidence_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    for _ in range(100):
        in_dashboard(world, "disputes", amount=1)
    listed, evidence = world.gateway._after._all, {"uncategorized_text": "x" * 4000}
    monkeypatch.setattr(
        world.gateway._after, "_all", lambda *of: [{**each, "evidence": evidence} for each in listed(*of)]
    )
    assert len(gateway.disputes(ref)) == 100


@pytest.mark.parametrize(
    "said", [{"amount_refunded": -1}, {"amount_refunded": 2600}, {"amount_refunded": 1.0}, {"disputed": "no"}]
)
def test_a_charge_that_does_not_say_what_came_after_it_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    gateway = world.adapter()
    ref = captured(world, gateway)
    shown = world.gateway._object

    def damaged(ref: str) -> dict[str, Any]:
        intent = shown(ref)
        return {**intent, "latest_charge": {**intent["latest_charge"], **said}}

    monkeypatch.setattr(world.gateway, "_object", damaged)
    with pytest.raises(GatewayAnswerError, match="what came after"):
        gateway.status(ref)


@pytest.mark.parametrize("call", ["refunds", "disputes"])
def test_what_came_after_the_charge_of_another_account_is_not_listed(world: World, call: str) -> None:
    ref = captured(world, world.adapter())
    with pytest.raises(GatewayReferenceUnknownError, match="is the key of its account"):
        getattr(world.adapter(OTHER_ACCOUNT), call)(ref)


def test_every_state_that_stripe_lists_for_a_dispute_is_known() -> None:
    literal, _ = get_args(stripe.Dispute.__annotations__["status"])
    assert set(get_args(literal)) == set(_DISPUTE_STATES)


def test_the_sdk_pages_through_what_came_after_a_charge(world: World) -> None:
    ref = captured(world, world.adapter())
    refunds = [in_dashboard(world, "refunds", amount=1) for _ in range(15)]
    dispute = in_dashboard(world, "disputes", amount=100, reason="fraudulent")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        world.sdk.v1.refunds.create({"payment_intent": ref, "amount": 1})
    assert caught.value.code == "charge_disputed"
    assert [each.id for each in world.sdk.v1.refunds.list({"payment_intent": ref}).auto_paging_iter()] == refunds[::-1]
    (found,) = world.sdk.v1.disputes.list({"payment_intent": ref, "limit": 1}).data
    assert (found.id, found.status, found.reason, found.livemode) == (dispute, "needs_response", "fraudulent", False)
    charge = world.sdk.v1.payment_intents.retrieve(ref, {"expand": ["latest_charge"]}).latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.amount_refunded, charge.disputed) == (15, True)
    for order in ({"limit": 0}, {"starting_after": "re_0"}):
        with pytest.raises(stripe.InvalidRequestError):
            world.sdk.v1.refunds.list({"payment_intent": ref, **order})  # type: ignore[typeddict-item]


# ---- keys ---------------------------------------------------------------------------------------------------------


def test_a_secret_that_is_not_the_bare_key_is_told_what_it_must_be(world: World) -> None:
    # As the console makes it, and as a file ends.
    for secret in (f'{{"key":"{API_KEY}"}}', f"{API_KEY}\n"):
        with pytest.raises(ConfigurationError, match=r"as the secret's whole text, no JSON and no line end$"):
            world.adapter(secret)


@pytest.mark.parametrize("key", ["", "swordfish", "pk_test_12345678", "sk_test_1234567\n", "sk_test_1", LIVE_KEY])
def test_a_secret_that_is_no_key_of_the_mode_fails_init_and_is_not_shown(world: World, key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^GATEWAY_SECRET_ARN is 'a secret that is") as caught:
        world.adapter(key)
    assert not key or key not in str(caught.value)


def test_a_key_that_was_changed_is_read_again_and_the_call_goes_on(world: World) -> None:
    gateway = world.adapter(API_KEY, "sk_test_the_next_one")
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.gateway.api_keys = {"sk_test_the_next_one": "test"}
    assert gateway.charge(ref, KEY).state == "approved"
    assert len(world.gateway.log()["captures"]) == 1
    assert gateway.status(ref).state == "approved"


def test_a_key_that_is_refused_and_was_not_changed_is_asked_with_once(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.gateway.api_keys = {OTHER_ACCOUNT: "test"}
    sent = len(world.sent)
    with pytest.raises(GatewayKeyRefusedError, match="401"):
        gateway.charge(ref, KEY)
    assert len(world.sent) == sent + 1


def test_a_key_that_was_changed_to_no_key_is_refused_as_one(world: World) -> None:
    gateway = world.adapter(API_KEY, "swordfish")
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.gateway.api_keys = {OTHER_ACCOUNT: "test"}
    with pytest.raises(GatewayKeyRefusedError, match="no other") as caught:
        gateway.charge(ref, KEY)
    assert "swordfish" not in str(caught.value)


def test_a_key_that_is_not_read_again_by_the_calls_deadline_stays_refused(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.gateway.api_keys = {"sk_test_the_next_one": "test"}
    may_go_on = threading.Event()

    def read_slowly() -> str:
        may_go_on.wait(30)
        return "sk_test_the_next_one"

    gateway._read_key = read_slowly
    gateway.connection.deadline_seconds = 0.3
    with pytest.raises(GatewayKeyRefusedError, match="the secret was not read in time"):
        gateway.charge(ref, KEY)
    may_go_on.set()
    gateway.connection.deadline_seconds = 30.0
    assert gateway.charge(ref, KEY).state == "approved"


def test_who_waits_for_a_key_that_another_call_reads_waits_no_longer_than_its_own_deadline(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.gateway.api_keys = {"sk_test_the_next_one": "test"}
    reads, may_go_on = threading.Event(), threading.Event()

    def read_slowly() -> str:
        reads.set()
        may_go_on.wait(30)
        return "sk_test_the_next_one"

    gateway._read_key = read_slowly
    patient = threading.Thread(target=gateway.status, args=(ref,))
    patient.start()
    assert reads.wait(30)
    gateway.connection.deadline_seconds = 0.3
    with pytest.raises(GatewayKeyRefusedError, match="the secret was not read in time"):
        gateway.charge(ref, KEY)
    may_go_on.set()
    patient.join()
    gateway.connection.deadline_seconds = 30.0
    assert gateway.charge(ref, KEY).state == "approved"


# ---- Stripe's own SDK on the simulator ----------------------------------------------------------------------------


def created(world: World, token: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    return world.sdk.v1.payment_intents.create(
        {
            "amount": 2599,
            "currency": "usd",
            "payment_method": token,
            "metadata": {"payment_id": "pay-1", "environment": "dev"},
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        },
        more,  # type: ignore[arg-type]
    )


def test_the_sdk_takes_a_payment_and_gives_a_part_of_it_back(world: World) -> None:
    intent = created(world)
    assert (intent.status, intent.amount, intent.livemode) == ("requires_confirmation", 2599, False)
    confirmed = world.sdk.v1.payment_intents.confirm(intent.id, {"error_on_requires_action": True, "off_session": True})
    assert (confirmed.status, confirmed.amount_received) == ("succeeded", 2599)
    read = world.sdk.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert isinstance(read.latest_charge, stripe.Charge)
    assert read.latest_charge.created == 1_700_000_000
    refund = world.sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 99, "metadata": {"refund_id": "r"}})
    assert (refund.status, refund.amount, refund.payment_intent) == ("succeeded", 99, intent.id)


def test_the_sdk_reads_a_decline_as_a_card_error(world: World) -> None:
    intent = created(world, "pm_card_visa_chargeDeclinedLostCard")
    with pytest.raises(stripe.CardError) as caught:
        world.sdk.v1.payment_intents.confirm(intent.id)
    error = caught.value.error
    assert error is not None
    assert (caught.value.code, error.decline_code) == ("card_declined", "lost_card")
    after = world.sdk.v1.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None
    assert after.last_payment_error.decline_code == "lost_card"


def test_the_sdk_cancels_and_is_told_that_a_cancelled_intent_cannot_be_confirmed(world: World) -> None:
    intent = created(world)
    assert world.sdk.v1.payment_intents.cancel(intent.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        world.sdk.v1.payment_intents.confirm(intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"


def test_the_sdk_is_replayed_a_keys_first_answer_and_refused_other_content_under_it(world: World) -> None:
    first = created(world, idempotency_key="k")
    assert created(world, idempotency_key="k").id == first.id
    with pytest.raises(stripe.IdempotencyError):
        created(world, "pm_card_amex", idempotency_key="k")


def test_the_sdk_reads_the_simulators_refusals_as_stripes(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        created(world, "pm_unknown")
    assert (caught.value.code, caught.value.param) == ("resource_missing", "payment_method")
    world.gateway.order_fault({"payment_id": "pay-1", "call": "prepare", "fault": "error_429"})
    with pytest.raises(stripe.RateLimitError):
        created(world)
    world.gateway.api_keys = {}
    with pytest.raises(stripe.AuthenticationError):
        created(world)


def test_the_sdk_finds_a_payments_intents_once_the_search_has_caught_up(world: World) -> None:
    intent = created(world)
    query = world.sdk.v1.payment_intents.search
    assert query({"query": "metadata['payment_id']:'pay-1'"}).data == []
    world.now_ms += 2000
    assert [found.id for found in query({"query": 'metadata["payment_id"]:"pay-1"'}).data] == [intent.id]
    ours = "metadata['payment_id']:'PAY-1' AND metadata['environment']:'{}'"
    assert [found.id for found in query({"query": ours.format("dev"), "limit": 1}).data] == [intent.id]
    assert query({"query": ours.format("prod")}).data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        query({"query": "status:'succeeded'"})
    assert (caught.value.code, caught.value.param) == ("parameter_invalid", "query")


def test_what_another_deployment_prepared_is_not_found(world: World) -> None:
    gateway = world.adapter()
    assert gateway.prepare(PAYMENT, PREPARE)
    world.sdk.v1.payment_intents.create(
        {"amount": 2599, "currency": "usd", "metadata": {"payment_id": "pay-1", "environment": "DEV"}}
    )
    world.now_ms += 2000
    assert len(gateway.find("pay-1")) == 1


def test_the_adapter_and_the_sdk_see_one_intent(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    assert world.sdk.v1.payment_intents.confirm(ref).status == "succeeded"
    with pytest.raises(UnknownOutcomeError, match="payment_intent_unexpected_state"):
        gateway.charge(ref, KEY)
    charged = gateway.status(ref)
    assert charged.state == "approved"
    assert charged.authorization_code.startswith("AUTH")
    assert charged.timestamp == "2023-11-14T22:13:20Z"


def test_two_adapters_that_confirm_at_once_capture_once(world: World) -> None:
    one, two = world.adapter(), world.adapter()
    ref = one.prepare(PAYMENT, PREPARE)

    def confirm(gateway: StripeGateway, key: str) -> None:
        try:
            gateway.charge(ref, key)
        except UnknownOutcomeError:
            return

    threads = [threading.Thread(target=confirm, args=each) for each in ((one, KEY), (two, f"{KEY}:1"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.gateway.log()["captures"]) == 1


def test_an_intent_that_is_created_confirmed_captures_once_for_its_key(world: World) -> None:
    for token, state in (("pm_card_visa", "succeeded"), ("pm_card_visa_chargeDeclined", None)):
        parameters: Any = {
            "amount": 2599,
            "currency": "usd",
            "payment_method": token,
            "confirm": True,
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"payment_id": token},
        }
        for _ in range(2):
            if state is None:
                with pytest.raises(stripe.CardError):
                    world.sdk.v1.payment_intents.create(parameters, {"idempotency_key": token})
            else:
                intent = world.sdk.v1.payment_intents.create(parameters, {"idempotency_key": token})
                assert intent.status == state
    assert [capture["payment_id"] for capture in world.gateway.log()["captures"]] == ["pm_card_visa"]


def test_the_payment_of_an_intent_is_told_by_its_metadata_where_it_is_ours(world: World) -> None:
    adapter = world.adapter()
    ref = adapter.prepare(PAYMENT, PREPARE)
    assert adapter.payment_id_of(ref) == "pay-1"
    assert world.adapter(environment="prod").payment_id_of(ref) == ""
    with pytest.raises(GatewayReferenceUnknownError):
        adapter.payment_id_of("pi_unknown")
    ours = {"environment": "dev", "payment_id": "pay-1"}
    told: dict[str, Any] = {"id": ref, "livemode": False, "metadata": ours}
    said = adapter.connection.call("GET", f"/v1/payment_intents/{ref}", {"Authorization": f"Bearer {API_KEY}"}, None)
    adapter.connection.call = lambda *_: said._replace(document=told)  # type: ignore[method-assign]
    assert adapter.payment_id_of(ref) == "pay-1"
    for changed in ({"livemode": True}, {"metadata": None}, {"metadata": {**ours, "payment_id": "no id"}}):
        told = {"id": ref, "livemode": False, "metadata": ours, **changed}
        assert adapter.payment_id_of(ref) == ""
    told = {"id": "pi_other", "livemode": False, "metadata": ours}
    with pytest.raises(GatewayAnswerError, match="not about"):
        adapter.payment_id_of(ref)

"""The payment gateways by name: each can be chosen, and only the chosen one is paid for."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handler.adapters.gateways.registry import GATEWAYS, HAVE_KEYS
from handler.adapters.gateways.stripe import StripeGateway
from handler.adapters.gateways.stripe_amounts import CURRENCIES
from handler.composition import payment_gateway
from handler.domain.errors import ConfigurationError
from handler.domain.parse import parse
from handler.domain.payment import Fault
from handler.domain.ports import PaymentGateway
from handler.domain.validate import Limits, validate
from handler.settings import read_settings
from tests.support.payments import body

ROOT = Path(__file__).parents[3]

# What each needs beside its name.
VARIABLES: dict[str, dict[str, str]] = {
    "simulated": {},
    "stripe": {
        "GATEWAY_MODE": "test",
        "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key",
        "CANONICAL_VERSION_WRITTEN": "2",
    },
}
OUTSIDE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "REJECTED_QUEUE_URL": "http://127.0.0.1:1/000000000000/rejected"}
KEY = "sk_test_12345678"
LOG = logging.getLogger(__name__)


@pytest.mark.parametrize("name", GATEWAYS)
def test_init_imports_the_chosen_gateway_and_no_other(name):
    snippet = f"""
import sys
import handler.composition
from handler.adapters.gateways.registry import Deployment, choose
from handler.settings import read_settings
settings = read_settings({{"GATEWAY": {name!r}, **{VARIABLES[name]!r}}})
choose(Deployment(
    settings.gateway, settings.gateway_url, 5.0, settings.gateway_mode, settings.gateway_secret_arn,
    lambda: {KEY!r}, ("USD",),
    settings.rules.canonical_version, "dev", True, False,
))
print(*(module for module in sys.modules if module.startswith("handler.adapters.gateways.")))
"""
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, cwd=ROOT, check=True)
    imported = {module.rsplit(".", 1)[1] for module in done.stdout.split()}
    its_own = {module for module in imported if module == name or module.startswith(f"{name}_")}
    assert imported - {"registry", "deadline_connection"} == its_own >= {name}


def compose_stripe(monkeypatch, key: str = KEY, **variables: str) -> PaymentGateway:
    """The gateway that init makes where the secret holds `key`."""
    monkeypatch.setattr("handler.composition.read_text", lambda client, arn: key)
    given = {**OUTSIDE, "GATEWAY": "stripe", **VARIABLES["stripe"], **variables}
    return payment_gateway(read_settings(given), lambda service: None, LOG)


def test_stripe_is_made_from_its_secret_and_its_mode(monkeypatch):
    assert type(compose_stripe(monkeypatch)) is StripeGateway
    assert type(compose_stripe(monkeypatch, "rk_live_12345678", GATEWAY_MODE="live")) is StripeGateway


@pytest.mark.parametrize(("variables", "told"), [({}, True), ({"GATEWAY_OFF_SESSION": "false"}, False)])
def test_stripe_is_told_what_the_deployment_says_of_its_customers(monkeypatch, variables, told):
    gateway = compose_stripe(monkeypatch, **variables)
    assert isinstance(gateway, StripeGateway)
    assert gateway._off_session is told
    assert gateway._logger is LOG


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GATEWAY_MODE": ""}, "GATEWAY_MODE is not set"),
        ({"GATEWAY_MODE": "live"}, "GATEWAY_SECRET_ARN is 'a secret that is of mode test'; allowed: a key sk_live_"),
        ({"GATEWAY_SECRET_ARN": ""}, "GATEWAY_SECRET_ARN is not set"),
        ({"CANONICAL_VERSION_WRITTEN": "1"}, "CANONICAL_VERSION_WRITTEN is '1'; allowed: 2"),
        ({"PAYMENT_CURRENCY": "CLF"}, "PAYMENT_CURRENCY is 'CLF'; allowed: the currencies that Stripe lists"),
        ({"OTHER_CURRENCIES": "EUR:1:1,IQD:1:1"}, "OTHER_CURRENCIES is 'IQD'; allowed: the currencies that Stripe"),
    ],
)
def test_what_stripe_lacks_fails_init_by_name(monkeypatch, variables, said):
    with pytest.raises(ConfigurationError) as caught:
        compose_stripe(monkeypatch, **variables)
    assert str(caught.value).startswith(said)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(GATEWAYS) - set(HAVE_KEYS)))
@pytest.mark.parametrize("variable", ["GATEWAY_MODE", "GATEWAY_SECRET_ARN"])
def test_a_key_and_a_mode_that_a_gateway_does_not_have_fail_init_by_name(name, variable):
    given = {**OUTSIDE, "GATEWAY": name, **VARIABLES[name], variable: VARIABLES["stripe"][variable]}
    with pytest.raises(ConfigurationError, match=rf"^{variable} is '.+'; allowed: no value, as GATEWAY is {name}, "):
        payment_gateway(read_settings(given), lambda service: None, LOG)


@pytest.mark.parametrize("name", ["http", "Stripe", "paypal"])
def test_a_gateway_that_nobody_registered_fails_init_with_those_that_there_are(name):
    with pytest.raises(ConfigurationError, match=rf"^GATEWAY is '{name}'; allowed: simulated \| stripe$"):
        read_settings({**OUTSIDE, "GATEWAY": name, "GATEWAY_URL": "https://gateway.example"})


def test_in_memory_no_secret_can_be_read():
    with pytest.raises(ConfigurationError, match=r"GATEWAY_SECRET_ARN is 'arn:.+'; allowed: nothing in memory"):
        payment_gateway(read_settings({"GATEWAY": "stripe", **VARIABLES["stripe"]}), None, LOG)


@pytest.mark.parametrize(
    ("token", "customer", "fault"),
    [
        ("pm_card_visa", "", None),
        ("card_1", "cus_1", None),
        ("src_1", "cus_1", None),
        ("card_1", "", Fault("gateway_customer_id", "missing")),
        ("", "", Fault("payment_token", "token_missing")),
        ("tok_visa", "", Fault("payment_token", "single_use_token")),
        ("ctoken_1", "", Fault("payment_token", "single_use_token")),
        ("4242", "", Fault("payment_token", "malformed")),
        ("pm_a b", "", Fault("payment_token", "malformed")),
        ("pm", "", Fault("payment_token", "malformed")),
        ("pm_", "", Fault("payment_token", "malformed")),
        ("card_a/../b", "cus_1", Fault("payment_token", "malformed")),
        ("src_", "cus_1", Fault("payment_token", "malformed")),
        ("pm_a\n", "", Fault("payment_token", "control_character")),
    ],
)
def test_a_message_must_name_an_instrument_that_stripe_can_charge(token, customer, fault):
    limits = read_settings({"GATEWAY": "stripe", **VARIABLES["stripe"]}).rules.limits
    text = body(payment_token=token or None, gateway_customer_id=customer or None)
    assert validate(parse(text), limits, 2).faults == ((fault,) if fault else ())
    if fault is None or fault.reason_code != "control_character":
        assert validate(parse(text), Limits(), 2).faults == ()


def samples() -> list[str]:
    """The messages of `events/` and of the command lines that Terraform puts out."""
    found = []
    for path in sorted((ROOT / "events").glob("*.json")):
        event = json.loads(path.read_text())
        found += [each["body"] for each in event["Records"]] if "Records" in event else [json.dumps(event)]
    told = (ROOT / "terraform" / "outputs.tf").read_text()
    # What the shell puts in: a number, and a whole amount.
    told = told.replace("$((RANDOM % 100 + 10))", "10").replace("$i", "1")
    # In a text of JSON within one of the shell's.
    found += [body.replace(r"\\\"", '"') for body in re.findall(r'\\"MessageBody\\":\\"(\{.*?\})\\"', told)]
    return found + re.findall(r"--message-body ['\"](\{.*?\})['\"]", told.replace(r"\"", '"'))


def test_every_sample_names_an_instrument_that_stripe_can_charge():
    limits = read_settings({"GATEWAY": "stripe", **VARIABLES["stripe"]}).rules.limits
    assert len(samples()) == 8
    for text in samples():
        payment = validate(parse(text), limits, 2).payment
        assert payment is not None, text
        assert payment.payment_token == "pm_card_visa"


@pytest.mark.parametrize(("version", "token"), [(1, None), *((2, one) for one in (None, "4242", "card_1", "tok_1"))])
def test_a_payment_that_was_claimed_under_a_gateway_without_instruments_is_the_same_afterwards(version, token):
    text = body(payment_token=token)
    before = validate(parse(text), Limits(), version)
    after = validate(parse(text), Limits(needs_token=True), version)
    assert after.payment is None
    assert after.claimed == before.payment


def test_terraform_takes_the_same_gateways_at_plan():
    block = re.search(
        r'^variable "gateway" \{\n(.*?)^\}', (ROOT / "terraform" / "variables.tf").read_text(), re.DOTALL | re.MULTILINE
    )
    assert block
    named = re.search(r"contains\(\[([^\]]*)\], var\.gateway\)", block.group(1))
    assert named
    assert re.findall(r'"(\w+)"', named.group(1)) == list(GATEWAYS)


def test_terraform_takes_the_same_currencies_for_stripe_at_plan():
    text = (ROOT / "terraform" / "currencies.tf").read_text()
    block = re.search(r"^  gateway_currencies = \{\n    stripe = (.*?)^    \]", text, re.DOTALL | re.MULTILINE)
    assert block
    listed = " ".join(re.findall(r'"([A-Z ]{3,})"', block.group(1)))
    assert listed == " ".join(sorted(CURRENCIES))


def test_terraform_takes_keys_and_modes_of_the_same_gateways_at_plan():
    text = (ROOT / "terraform" / "variables.tf").read_text()
    named = r'contains\(\[([^\]]*)\], coalesce\(var\.gateway, "simulated"\)\)'
    without = r'\(var\.gateway_mode == "" && var\.gateway_secret_arn == ""\)'
    [taking] = re.findall(rf"= {named} \|\| {without}", text)
    [needing] = re.findall(rf'= !{named} \|\| \(var\.gateway_mode != "" && var\.gateway_secret_arn != ""\)', text)
    assert re.findall(r'"(\w+)"', taking) == re.findall(r'"(\w+)"', needing) == list(HAVE_KEYS)

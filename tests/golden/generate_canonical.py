"""Write canonical.json, the hash of each message in each version: .venv/bin/python -m tests.golden.generate_canonical

A version that was ever written must not change, so what stands in the file already is never written anew; an unwritten
version's rows are made again with `--version N`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from handler.domain.canonical import VERSIONS
from handler.domain.mask_1 import mask_1
from handler.domain.parse import parse
from handler.domain.rules import Rules
from handler.domain.validate import Limits, Validation, validate
from handler.domain.versions import read_in_version
from scoring import _pure

VECTORS = Path(__file__).with_name("canonical.json")
_PLAIN = '"order_id": "ord-1", "customer_id": "cust-1", "payment_method": "credit_card"'
_ADDRESS = (
    '"billing_address": {"street": "1 Rue de l\u2019\u00c9cole", "city": "Paris", "state": "IDF", "zip": "75001"}'
)


def _message(payment_id: str, amount: str, more: str = "") -> str:
    return f'{{"payment_id": "{payment_id}", "amount": {amount}, {_PLAIN}{", " if more else ""}{more}}}'


MESSAGES: dict[str, str] = {
    "plain": _message("p", "25.99"),
    "whole amount": _message("p", "25"),
    "one decimal": _message("p", "25.9"),
    "trailing zero": _message("p", "25.990"),
    "exponent": _message("p", "2599e-2"),
    "capital exponent": _message("p", "2.599E+1"),
    "too fine": _message("p", "25.999"),
    "huge exponent": _message("p", "1e99"),
    "largest": _message("p", "10000.00"),
    "too large": _message("p", "10000.01"),
    "beyond every limit": _message("p", "9999999999999"),
    "zero": _message("p", "0.00"),
    "negative": _message("p", "-25.99"),
    "amount is a string": _message("p", '"25.99"'),
    "amount is null": _message("p", "null"),
    "currency": _message("p", "25.99", '"currency": "USD"'),
    "lower currency": _message("p", "25.99", '"currency": "usd"'),
    "another currency": _message("p", "25.99", '"currency": "EUR"'),
    "yen": _message("p", "500", '"currency": "JPY"'),
    "yen with sen": _message("p", "500.50", '"currency": "JPY"'),
    "yen beyond the limit": _message("p", "1000000", '"currency": "JPY"'),
    "dinar": _message("p", "1.5", '"currency": "KWD"'),
    "dinar with fils": _message("p", "1.505", '"currency": "KWD"'),
    "unidad de fomento": _message("p", "1.2345", '"currency": "CLF"'),
    "no currency": _message("p", "5.5", '"currency": "XXX"'),
    "unknown currency": _message("p", "5.5", '"currency": "ABC"'),
    "currency is a number": _message("p", "25.99", '"currency": 840'),
    "composed": _message("p", "25.99", '"customer_name": "Jos\\u00e9 M\\u00fcller"'),
    "decomposed": _message("p", "25.99", '"customer_name": "Jose\\u0301 Mu\\u0308ller"'),
    "hangul jamo": _message("p", "25.99", '"customer_name": "\\u1112\\u1161\\u11ab"'),
    "newer than unicode 3.2": _message("p", "25.99", '"customer_name": "\\ud806\\udd35\\ud806\\udd30 \\ud83e\\udd84"'),
    "kelvin sign": _message("p", "25.99", '"description": "300 \\u212a"'),
    "lone surrogate": _message("p", "25.99", '"customer_name": "\\ud800"'),
    "every text": _message("p", "25.99", f'"customer_email": "a@b.example", "description": "two", {_ADDRESS}'),
    "part of an address": _message("p", "25.99", '"billing_address": {"city": "Pune", "pin": "x", "zip": null}'),
    "address is a text": _message("p", "25.99", '"billing_address": "1 Main St"'),
    "token": _message("p", "25.99", '"payment_token": "pm_1", "gateway_customer_id": "cus_1"'),
    "another token": _message("p", "25.99", '"payment_token": "pm_2", "gateway_customer_id": "cus_1"'),
    "token is a number": _message("p", "25.99", '"payment_token": 1'),
    "customer is there": _message("p", "25.99", '"payment_token": "pm_1", "off_session": false'),
    "customer is not there": _message("p", "25.99", '"payment_token": "pm_1", "off_session": true'),
    "off_session is a text": _message("p", "25.99", '"off_session": "false"'),
    "unknown field": _message("p", "25.99", '"note": "unknown", "v": 7'),
    "null field": _message("p", "25.99", '"description": null'),
    "card in a text": _message("p", "25.99", '"description": "card 4111 1111 1111 1111 please"'),
    "verification data": _message("p", "25.99", '"cvv": "123"'),
    "verification data in a text": _message("p", "25.99", '"description": "cvv: 123 please"'),
    "verification data under another name": _message("p", "25.99", '"cc_cvv": "123"'),
    "postal code": _message("p", "25.99", '"billing_address": {"city": "Pune", "pincode": "411001"}'),
    "track": _message("p", "25.99", '"description": ";4111111111111111=29121011234567890?"'),
    "order id like a card": _message("p", "25.99").replace("ord-1", "4111111111111111"),
    "payment id like a card": _message("4111111111111111", "25.99"),
    "control character": _message("p", "25.99", '"description": "a\\u0007b"'),
    "too long": _message("p", "25.99", f'"description": "{"x" * 513}"'),
    "no order": '{"payment_id": "p", "amount": 25.99, "customer_id": "cust-1", "payment_method": "credit_card"}',
    "nothing": "{}",
}


def _read(body: str, version: int) -> Validation:
    """A message by the rules of a version alone; version 1's own masking is frozen, as its hashes are."""
    if version == 1:
        document, faults = mask_1(parse(body))
        return validate(document, Limits(), 1, faults)
    return read_in_version(parse(body), version, (), Rules(), _pure.find_card_numbers)


def rows(version: int) -> dict[str, Any]:
    """What each message is in a version: its hash, and its amount in minor units, 0 where it is no payment."""
    made = {}
    for name, body in MESSAGES.items():
        result = _read(body, version)
        made[name] = {"hash": result.request_hash, "amount_minor": result.payment.amount_minor if result.payment else 0}
    return made


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", type=int, help="make an unwritten version's rows anew")
    chosen = parser.parse_args(arguments).version
    stored = json.loads(VECTORS.read_text()) if VECTORS.exists() else {}
    for version in VERSIONS:
        kept = {} if version == chosen else stored.get(str(version), {})
        stored[str(version)] = rows(version) | kept
    VECTORS.write_text(json.dumps(stored, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Signature Version 4 against AWS's published vectors, and whole requests against botocore's."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from benchmarks.aws_requests import Reference, lean_sends, random_call
from handler.adapters.support.lean.clients import SERVICES
from handler.adapters.support.lean.signing import Keys, Signer

ROOT = Path(__file__).parents[4]

# Source: "Signature Version 4 Test Suite", AWS General Reference (withdrawn since), as aws-sdk-js-v3 keeps it in
# packages/signature-v4/src/suite.fixture.ts. Not here: what has a query string, which no request of ours has.
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "")
STAMP = "20150830T123600Z"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9"
    "q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = "application/x-www-form-urlencoded"
VECTORS = {
    "get-header-key-duplicate": (
        ("GET", "/", {"my-header1": "value2,value2,value1"}, b""),
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-multiline": (
        ("GET", "/", {"my-header1": "value1,value2,value3"}, b""),
        "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
    ),
    "get-header-value-order": (
        ("GET", "/", {"my-header1": "value4,value1,value3,value2"}, b""),
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        ("GET", "/", {"my-header1": " value1", "my-header2": ' "a   b   c"'}, b""),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "get-unreserved": (
        ("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", {}, b""),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": (
        ("GET", "/\u1234", {}, b""),
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-vanilla": (
        ("GET", "/", {}, b""),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "post-header-key-sort": (
        ("POST", "/", {"my-header1": "value1"}, b""),
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        ("POST", "/", {"my-header1": "VALUE1"}, b""),
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-sts-header-before": (
        ("POST", "/", {"x-amz-security-token": TOKEN}, b""),
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-vanilla": (
        ("POST", "/", {}, b""),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        ("POST", "/", {"content-type": FORM}, b"Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-x-www-form-urlencoded-parameters": (
        ("POST", "/", {"content-type": f"{FORM}; charset=utf8"}, b"Param1=value1"),
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_vector_has_its_published_signature(name):
    (method, path, given_headers, payload), signature = VECTORS[name]
    headers = {"x-amz-date": STAMP, **given_headers, "host": "example.amazonaws.com"}
    signed = Signer("service", "us-east-1").authorization(method, path, headers, payload, keys=KEYS, stamp=STAMP)
    names = ";".join(sorted(headers))
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert signed == f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"


def test_the_kept_key_is_of_its_day_and_its_secret():
    kept = Signer("service", "us-east-1")
    for keys in (KEYS, KEYS._replace(secret="another")):
        for stamp in (STAMP, "20150831T123600Z", STAMP):
            signed = {
                signer.authorization("POST", "/", {"host": "h"}, b"", keys=keys, stamp=stamp)
                for signer in (kept, Signer("service", "us-east-1"))
            }
            assert len(signed) == 1


REFERENCE = Reference()


@settings(max_examples=300)
@given(strategies.randoms(use_true_random=False))
def test_what_goes_out_is_what_botocore_sends_to_the_byte(choose):
    call = random_call(choose)
    assert lean_sends(call) == REFERENCE.sends(call)


def test_every_operation_in_use_is_among_the_random_calls():
    choose = random.Random(1)
    made = {(call.service, call.operation) for call in (random_call(choose) for _ in range(500))}
    assert made == {(name, each) for name, known in SERVICES.items() for each in known.operations}


def test_the_command_says_how_many_of_its_requests_are_equal():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "aws-requests", "--requests", "20", "--seed", "3"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout == "bar requests_equal_to_botocore 20 >=20 ok\n"

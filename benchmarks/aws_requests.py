"""Requests of the lean support against botocore's: `python -m benchmarks aws-requests [--requests 10000]`.

Random calls of every operation in use, made from the seed, at random times, with and without a session token. Equal
means: method, URL, body and the whole Authorization header to the byte, and every header that is signed.
"""

import argparse
import datetime
import random
import string
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from unittest import mock

from botocore.session import get_session

from benchmarks.measure import RECORDS, Bar, new_record, write_record
from handler.adapters.connection import Url
from handler.adapters.support.lean.clients import SERVICES, Client, _Caller, _snake
from handler.adapters.support.lean.signing import Keys

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-4", "us-gov-west-1")
# What may stand in a text of ours, and what JSON or a signature could write in two ways.
CHARACTERS = string.ascii_letters + string.digits + " \u00e4\u00f6\u20ac\"\\/\n\t\x00\x7f\u2028\U0001f600'<>&%+;:="
NAME_CHARACTERS = string.ascii_letters + string.digits + "-_"

Parameters = dict[str, Any]


class Call(NamedTuple):
    service: str
    operation: str
    parameters: Parameters
    region: str
    keys: Keys
    seconds: int


class Sent(NamedTuple):
    """What of a request must be equal; headers by names in lower case, those that are signed and the signature."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class _StopError(Exception):
    pass


def random_call(choose: random.Random) -> Call:
    """One call of any operation in use."""
    service, operation = choose.choice([(name, each) for name, known in SERVICES.items() for each in known.operations])
    token = "".join(choose.choices(string.ascii_letters + "+/=", k=choose.randrange(1, 400)))
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", choose.choice(("", token)))
    seconds = choose.randrange(1_400_000_000, 2_400_000_000)
    return Call(service, operation, PARAMETERS[operation](choose), choose.choice(REGIONS), keys, seconds)


def _text(choose: random.Random, most: int = 30) -> str:
    return "".join(choose.choices(CHARACTERS, k=choose.randrange(1, most)))


def _name(choose: random.Random) -> str:
    return "".join(choose.choices(NAME_CHARACTERS, k=choose.randrange(3, 40)))


def _value(choose: random.Random, depth: int = 2) -> Parameters:
    kinds = ["S", "N", "BOOL", *(["L", "M"] if depth else [])]
    kind = choose.choice(kinds)
    if kind == "S":
        return {"S": _text(choose)}
    if kind == "N":
        return {"N": str(choose.randrange(-(10**20), 10**20))}
    if kind == "BOOL":
        return {"BOOL": choose.random() < 0.5}
    many = range(choose.randrange(4))
    if kind == "L":
        return {"L": [_value(choose, depth - 1) for _ in many]}
    return {"M": {_text(choose): _value(choose, depth - 1) for _ in many}}


def _expressions(choose: random.Random) -> Parameters:
    return {
        "ConditionExpression": _text(choose, 200),
        "ExpressionAttributeNames": {f"#{_name(choose)}": _text(choose) for _ in range(choose.randrange(1, 5))},
        "ExpressionAttributeValues": {f":{_name(choose)}": _value(choose) for _ in range(choose.randrange(1, 5))},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _item(choose: random.Random) -> Parameters:
    return {
        "transaction_id": {"S": _text(choose)},
        **{_text(choose): _value(choose) for _ in range(choose.randrange(9))},
    }


def _queue(choose: random.Random) -> str:
    return f"https://sqs.{choose.choice(REGIONS)}.amazonaws.com/123456789012/{_name(choose)}.fifo"


def _function(choose: random.Random) -> str:
    name = f"{_name(choose)}:{_name(choose)}"
    return choose.choice((name, f"arn:aws:lambda:{choose.choice(REGIONS)}:123456789012:function:{name}"))


def _put(choose: random.Random) -> Parameters:
    return {"TableName": _name(choose), "Item": _item(choose), **_expressions(choose)}


def _update(choose: random.Random) -> Parameters:
    return {
        "TableName": _name(choose),
        "Key": _item(choose),
        "UpdateExpression": _text(choose, 300),
        **_expressions(choose),
    }


PARAMETERS: Mapping[str, Callable[[random.Random], Parameters]] = {
    "GetItem": lambda choose: {
        "TableName": _name(choose),
        "Key": _item(choose),
        "ConsistentRead": choose.random() < 0.5,
    },
    "PutItem": _put,
    "UpdateItem": _update,
    "TransactWriteItems": lambda choose: {
        "TransactItems": [
            {"Update": _update(choose)},
            choose.choice(({"Update": _update(choose)}, {"Put": _put(choose)})),
        ],
        "ClientRequestToken": "".join(choose.choices(string.hexdigits, k=36)),
    },
    "Query": lambda choose: {
        "TableName": _name(choose),
        "IndexName": _name(choose),
        "KeyConditionExpression": _text(choose),
        "ProjectionExpression": _text(choose),
        "ExpressionAttributeNames": {"#a": _text(choose)},
        "ExpressionAttributeValues": {":a": _value(choose)},
        **({"ExclusiveStartKey": _item(choose)} if choose.random() < 0.5 else {}),
    },
    "SendMessage": lambda choose: {
        "QueueUrl": _queue(choose),
        "MessageBody": _text(choose, 2000),
        "MessageGroupId": _text(choose),
        "MessageDeduplicationId": _text(choose),
        "MessageAttributes": {
            _name(choose): {"DataType": choose.choice(("String", "Number")), "StringValue": _text(choose)}
            for _ in range(choose.randrange(4))
        },
    },
    "ChangeMessageVisibilityBatch": lambda choose: {
        "QueueUrl": _queue(choose),
        "Entries": [
            {"Id": str(place), "ReceiptHandle": _text(choose, 400), "VisibilityTimeout": choose.randrange(43_201)}
            for place in range(choose.randrange(1, 11))
        ],
    },
    "GetSecretValue": lambda choose: {
        "SecretId": f"arn:aws:secretsmanager:{choose.choice(REGIONS)}:123456789012:secret:{_name(choose)}"
    },
    "Invoke": lambda choose: {
        "FunctionName": _function(choose),
        "InvocationType": "Event",
        "DurableExecutionName": _name(choose),
        "Payload": _text(choose, 2000).encode(),
    },
}


def lean_sends(call: Call) -> Sent:
    """What the lean client puts on its connection."""
    caller = _Caller(lambda: call.keys)
    client = Client(
        call.service, call.region, Url("https", f"{call.service}.{call.region}.amazonaws.com", 443), None, caller
    )
    sent: list[bytes] = []

    def exchange(request: bytes, deadline: float) -> Any:
        sent.append(request)
        raise _StopError

    with (
        mock.patch.object(client._peer, "exchange", exchange),
        mock.patch.object(caller, "now", return_value=call.seconds),
        suppress(_StopError),
    ):
        getattr(client, _snake(call.operation))(**call.parameters)
    head, _, body = sent[0].partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    return Sent(method, f"https://{headers['host']}{path}", _compared(headers), body)


class Reference:
    """botocore's clients, one a service and region, which stop where they would send."""

    def __init__(self) -> None:
        self._session = get_session()
        self._session.set_credentials("-", "-")
        self._clients: dict[tuple[str, str], Any] = {}
        self._sent: list[Any] = []

    def sends(self, call: Call) -> Sent:
        place = call.service, call.region
        if place not in self._clients:
            self._clients[place] = self._session.create_client(call.service, region_name=call.region, verify=False)
            self._clients[place].meta.events.register("before-send", self._stop)
        client = self._clients[place]
        credentials = client._request_signer._credentials
        credentials.access_key, credentials.secret_key, credentials.token = (
            call.keys[0],
            call.keys[1],
            call.keys[2] or None,
        )
        signed_at = datetime.datetime.fromtimestamp(call.seconds, datetime.UTC).replace(tzinfo=None)
        with (
            mock.patch("botocore.auth.get_current_datetime", return_value=signed_at),
            suppress(_StopError),
        ):
            getattr(client, _snake(call.operation))(**call.parameters)
        request = self._sent.pop()
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        headers["host"] = request.url.split("/")[2]
        return Sent(request.method, request.url, _compared(headers), bytes(request.body))

    def _stop(self, request: Any, **_: Any) -> None:
        self._sent.append(request)
        raise _StopError


def _compared(headers: Mapping[str, str]) -> dict[str, str]:
    """The Authorization header and all that it says to have signed."""
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    return {name: headers[name] for name in ("authorization", *signed)}


def main() -> int:
    """Print how many requests are equal, recorded with `--record`; 1 where one was not."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=main.__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="calls that are compared (10,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="keep the bar under benchmarks/record")
    options = parser.parse_args()
    if options.requests < 1:
        parser.error(f"--requests {options.requests}: it must be 1 or more")

    reference, choose = Reference(), random.Random(options.seed)
    equal, started = 0, time.monotonic()
    for number in range(1, options.requests + 1):
        call = random_call(choose)
        lean, standard = lean_sends(call), reference.sends(call)
        equal += lean == standard
        if lean != standard:
            print(f"seed {options.seed}, request {number}: {call}\n  lean     {lean}\n  botocore {standard}")
        if not number % 1000:
            print(f"seed {options.seed}: {equal:,} of {number:,} equal, {time.monotonic() - started:.0f} s")
    bar = Bar("requests_equal_to_botocore", equal, options.requests, at_least=True)
    print(bar)
    if options.record:
        record = new_record("aws_requests.json")
        write_record(record, {"seed": options.seed, "bars": [bar.as_document()]})
        print(f"recorded in benchmarks/record/{record.relative_to(RECORDS)}")
    return 0 if bar.ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""Nothing that AWS answers in pages is read by its first page alone: a scan of 1 MB, a list of fifty versions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.loaders
import pytest
from botocore import xform_name

ROOT = Path(__file__).parents[3]
# The simulation's tables are in memory, and know no pages.
FOLDERS = (
    "handler",
    "operations",
    "local",
    "benchmarks",
    "build",
    "tests/support",
    "tests/integration",
    "tests/terraform",
)
SERVICES = ("cloudwatch", "dynamodb", "iam", "kms", "lambda", "logs", "secretsmanager", "service-quotas", "sns", "sqs")
# By name, each at most as many as one page has.
BY_NAME = {"describe_alarms": "AlarmNames"}
# A query that says how many keys it wants, few enough for one page, and takes the rest for more.
BOUNDED = {"query": "Limit"}


def paginated() -> dict[str, set[str]]:
    """Operations as clients spell them, with the parameters that ask for the next page."""
    loader = botocore.loaders.Loader()
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        for operation, page in loader.load_service_model(service, "paginators-1")["pagination"].items():
            tokens = page["input_token"] if isinstance(page["input_token"], list) else [page["input_token"]]
            found.setdefault(xform_name(operation), set()).update(tokens)
    return found


PAGINATED = paginated()
_CALL = re.compile(rf"\.({'|'.join(PAGINATED)})\(")


def first_pages(source: str) -> Iterator[str]:
    """Calls that read one page, in a function that never names what asks for the next one."""
    if not _CALL.search(source):
        return
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in PAGINATED:
            continue
        name = call.func.attr
        if {BY_NAME.get(name), BOUNDED.get(name)} & {keyword.arg for keyword in call.keywords}:
            continue
        # Hyperscan's scan and a list's count are no calls of AWS, which takes keywords alone.
        if call.args or not call.keywords:
            continue
        around = [each for each in functions if each.lineno <= call.lineno <= (each.end_lineno or 0)]
        text = ast.unparse(around[-1] if around else tree)
        if not any(token in text for token in PAGINATED[name]):
            yield f"{call.lineno}: {ast.unparse(call.func)}"


def test_every_page_of_a_listing_is_read():
    found = [
        f"{path.relative_to(ROOT)}:{fault}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for fault in first_pages(path.read_text())
    ]
    assert found == [], "take client.get_paginator(operation).paginate(...)"


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("client.scan(TableName='t', Select='COUNT')", 1),
        ("client.scan(TableName='t', Limit=1)", 1),
        ("client.query(TableName='t', Limit=11)", 0),
        ("def read():\n    return client.list_versions_by_function(FunctionName='f')['Versions']", 1),
        ("client.get_paginator('scan').paginate(TableName='t')", 0),
        ("def read():\n    while True:\n        request['ExclusiveStartKey'] = client.query(**request)['Last']", 0),
        ("client.describe_alarms(AlarmNames=names)", 0),
        ("client.describe_alarms(AlarmNamePrefix='a')", 1),
    ],
)
def test_a_first_page_alone_is_found(source, faults):
    assert len(list(first_pages(source))) == faults

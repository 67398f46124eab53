"""The bill: exact, complete, by architecture, and honest about what the published formula leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from benchmarks.cost import ARCHITECTURES, PRICES, Traffic, bill, main, published_example, read_prices

# The published example: a million payments, 512 MB, 3 s each.
EXAMPLE = Traffic(
    payments=Decimal(1_000_000),
    messages_per_invocation=Decimal(1),
    memory_size=512,
    duration_ms=Decimal(3000),
    init_ms=Decimal(600),
    cold_share=Decimal("0.01"),
    provisioned_concurrency=0,
    item_bytes=900,
    kept_months=12,
    log_months=12,
)


def costs(traffic: Traffic, architecture: str = "arm64") -> dict[str, Decimal]:
    return {line.what: line.cost(architecture) for line in bill(traffic, read_prices())}


def test_the_published_example_costs_what_is_published() -> None:
    assert published_example(EXAMPLE, read_prices()) == Decimal("25.2000500")


def test_requests_and_duration_are_as_published_and_the_rest_comes_on_top() -> None:
    found = costs(EXAMPLE, "x86_64")
    assert found["Lambda requests"] + found["Lambda duration"] == published_example(EXAMPLE, read_prices())
    assert sum(found.values()) > Decimal("1.4") * published_example(EXAMPLE, read_prices())


def test_init_is_billed_by_architecture() -> None:
    assert costs(EXAMPLE)["Lambda INIT"] == 1_000_000 * Decimal("0.01") * Decimal("0.6") * Decimal("0.5") * Decimal(
        "0.0000133334"
    )
    assert costs(EXAMPLE, "x86_64")["Lambda INIT"] > costs(EXAMPLE)["Lambda INIT"]
    assert costs(replace(EXAMPLE, cold_share=Decimal(0)))["Lambda INIT"] == 0


def test_a_begun_millisecond_is_billed_whole() -> None:
    short, whole = (replace(EXAMPLE, duration_ms=Decimal(ms), cold_share=Decimal(0)) for ms in ("3.1", "4"))
    assert costs(short)["Lambda duration"] == costs(whole)["Lambda duration"]
    assert costs(short)["Lambda duration"] > costs(replace(short, duration_ms=Decimal(3)))["Lambda duration"]


@pytest.mark.parametrize(
    ("duration", "init", "billed"), [("3.1", "600.2", 604), ("3.1", "599.9", 603), ("3", "600", 603)]
)
def test_a_cold_invocation_is_billed_by_the_sum_with_its_init_rounded_up_once(duration, init, billed) -> None:
    cold = costs(
        replace(EXAMPLE, duration_ms=Decimal(duration), init_ms=Decimal(init), cold_share=Decimal(1), memory_size=1024)
    )
    whole = Decimal(billed) * 1000 * Decimal("0.0000133334")
    assert cold["Lambda duration"] + cold["Lambda INIT"] == whole


def test_larger_batches_save_requests_of_lambda_and_sqs_and_no_writes() -> None:
    one, ten = costs(EXAMPLE), costs(replace(EXAMPLE, messages_per_invocation=Decimal(10)))
    assert ten["Lambda requests"] == one["Lambda requests"] / 10
    assert ten["SQS FIFO requests"] < one["SQS FIFO requests"]
    assert ten["DynamoDB writes"] == one["DynamoDB writes"]


def test_an_item_of_one_byte_more_than_a_kilobyte_costs_two_units_a_write() -> None:
    small, large = (costs(replace(EXAMPLE, item_bytes=size))["DynamoDB writes"] for size in (1024, 1025))
    assert (small, large) == (6 * Decimal("0.625"), 9 * Decimal("0.625"))


def test_provisioned_environments_are_paid_for_while_they_wait() -> None:
    found = costs(replace(EXAMPLE, provisioned_concurrency=10))
    assert found["Lambda provisioned"] > 40
    assert found["Lambda INIT"] == 0
    assert found["Lambda duration"] < costs(EXAMPLE)["Lambda duration"]


def test_prices_carry_their_date_and_region() -> None:
    prices = read_prices()
    assert date.fromisoformat(prices["date"])
    assert prices["region"] == "us-east-1"
    assert prices["source"]
    assert isinstance(prices["lambda"]["gb_second"]["arm64"], Decimal)


def test_the_table_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--payments", "2000000", "--duration-ms", "40", "--messages-per-invocation", "4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith(("Lambda", "SQS", "DynamoDB", "CloudWatch", "KMS"))]
    total = next(line for line in printed if line.startswith("total"))
    for column, _ in enumerate(reversed(ARCHITECTURES), 1):
        cents = sum(Decimal(line.split()[-column]) for line in lines)
        # Each line is rounded to the cent.
        assert abs(cents - Decimal(total.split()[-column])) <= Decimal("0.01") * len(lines)
    assert any(read_prices()["date"] in line for line in printed)


@pytest.mark.parametrize("document", ["README.md", "docs/cost.md"])
def test_documents_quote_what_make_cost_prints(document: str) -> None:
    text = " ".join((PRICES.parent.parent / document).read_text().split())
    arm64, x86_64 = (sum(costs(EXAMPLE, architecture).values()) for architecture in ARCHITECTURES)
    assert f"${arm64:.0f} on arm64 and ${x86_64:.0f} on x86_64" in text


@pytest.mark.parametrize(
    "flags",
    [
        ["--memory-size", "64"],
        ["--payments", "0"],
        ["--cold-share", "2"],
        ["--duration-ms", "-1"],
        ["--duration-ms", "nan"],
        ["--messages-per-invocation", "11"],
    ],
)
def test_wrong_inputs_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(flags)
    assert flags[0] in capsys.readouterr().err


def test_each_export_is_billed_by_the_whole_table_and_none_is_unless_it_is_made() -> None:
    assert "DynamoDB exports" not in costs(EXAMPLE)
    stored = costs(EXAMPLE)["DynamoDB storage"] / Decimal("0.25")
    assert costs(replace(EXAMPLE, exports=3))["DynamoDB exports"] == 3 * stored * Decimal("0.1")

"""The approval workflow through the local system: the queue, the durable engine, the page, the command line.

Invariants: a wait survives the death of the function and of the engine and uses no process; each payment is captured at
most once; a payment whose time ran out during an outage is found.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from local.approvals.workflow import durable_client
from local.installation import ROOT
from tests.support.accessibility import faults
from tests.support.payments import ADDRESS
from tests.support.site import Site, site


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with site() as found:
        yield found


def visit(url: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def token(url: str) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["t"][0]


def test_a_risky_payment_of_the_queue_is_approved_on_the_page_and_charged(shared: Site):
    key = shared.send("page-approve")
    url = shared.link(key)
    assert visit(url)[0] == 200
    assert "decision" not in shared.item(key)
    status, page = visit(url.split("?")[0], {"t": token(url), "decision": "approve", "comment": "called back"})
    assert (status, "Approved" in page) == (200, True)
    item = shared.ended(key)
    assert (item["status"], item["decided_by"], item["comment"]) == ("completed", "alice", "called back")


def test_a_rejection_from_the_command_line_names_its_aws_identity(shared: Site):
    key = shared.send("cli-reject")
    shared.asked(key)
    assert key in shared.payments("list").stdout
    done = shared.payments("reject", key, "--reason", "stolen", "--yes")
    assert done.returncode == 0, done.stderr
    item = shared.ended(key)
    assert (item["status"], item["reason_code"]) == ("rejected", "approval_rejected")
    assert item["decided_by"].startswith("arn:aws:")


def test_a_callback_decides_nothing_whatever_it_says(shared: Site):
    key = shared.send("bare-callback")
    callback_id = shared.asked(key)["callback_id"]
    said = {"CallbackId": callback_id, "Result": '{"approved": true}'}
    durable_client(shared.approvals).send_durable_execution_callback_success(**said)
    shared.until(lambda: shared.item(key)["callback_id"] != callback_id)
    assert "decision" not in shared.item(key)


def test_direct_invocation_with_the_sample_events(shared: Site):
    client = durable_client(shared.approvals)
    for event in ("low_risk", "high_risk"):
        client.invoke(
            FunctionName=f"{shared.approvals.function}:live",
            InvocationType="Event",
            Payload=(ROOT / "events" / f"{event}.json").read_bytes(),
        )
    assert shared.ended("txn-pay-low-001")["status"] == "completed"
    assert shared.asked("txn-pay-high-001")["approval_reasons"] == ["risk"]


def test_a_start_is_idempotent_by_name_and_another_payload_is_refused(shared: Site):
    key = shared.send("start-twice")
    item = shared.asked(key)
    client = durable_client(shared.approvals)
    again = {
        "FunctionName": f"{shared.approvals.function}:live",
        "InvocationType": "Event",
        "DurableExecutionName": item["approval_name"],
    }
    started = client.invoke(**again, Payload=item["request"].encode())
    assert started["DurableExecutionArn"] == item["execution_arn"]
    with pytest.raises(client.exceptions.DurableExecutionAlreadyStartedException):
        client.invoke(**again, Payload=b"{}")


def test_a_suspended_execution_uses_no_process(shared: Site):
    shared.asked(shared.send("suspended"))
    shared.until(lambda: not shared.approvals.environments())


def test_a_wait_survives_kill_9_of_function_and_engine(shared: Site):
    key = shared.send("killed")
    shared.asked(key)
    for environment in shared.approvals.environments():
        environment.kill()
    starts = shared.approvals.engine_starts
    pid = shared.approvals.engine_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    shared.until(lambda: shared.approvals.engine_starts > starts)
    approve = ("approve", key, "--reason", "ok", "--yes")
    done = shared.until(lambda: (found := shared.payments(*approve)).returncode == 0 and found)
    assert "approved" in done.stdout
    assert shared.ended(key)["status"] == "completed"


def test_a_function_killed_while_it_works_charges_once(shared: Site):
    key = shared.send("killed-working", "49.99")
    assert shared.ended(key)["status"] == "completed"
    client = durable_client(shared.approvals)
    request = json.dumps(
        {
            "payment_id": "killed-in-step",
            "order_id": "o",
            "customer_id": "c",
            "amount": 20,
            "payment_method": "credit_card",
            "billing_address": ADDRESS,
        }
    )
    client.invoke(FunctionName=f"{shared.approvals.function}:live", InvocationType="Event", Payload=request.encode())
    for _ in range(3):
        busy = shared.until(
            lambda: (
                [each for each in shared.approvals.environments() if each.request_id]
                or shared.item("txn-killed-in-step").get("status") == "completed"
            )
        )
        if busy is True:
            break
        busy[0].kill()
        time.sleep(0.2)
    assert shared.ended("txn-killed-in-step")["status"] == "completed"


def test_forged_and_foreign_links_are_refused(shared: Site):
    url = shared.link(shared.send("forged"))
    assert visit(url[:-4])[0] == 403
    assert visit(f"{url}x")[0] == 403
    assert visit(url.split("?")[0])[0] == 403
    assert visit(url.replace("/approvals", "/other"))[0] == 404


def test_the_link_of_somebody_who_was_removed_says_so_and_decides_nothing(shared: Site):
    key = shared.send("removed")
    url = shared.link(key)
    decision = {"t": token(url), "decision": "approve", "comment": "still here"}
    shared.appoint("bob")
    shared.until(lambda: visit(url)[0] == 403)
    answers = [visit(url), visit(url, decision)]
    assert [(status, "You are no approver any more" in page) for status, page in answers] == [(403, True)] * 2
    assert "decision" not in shared.item(key)
    logs = "".join(path.read_text() for path in shared.system.log_directory.rglob("*-page/live/*"))
    assert f"{key}: alice is no approver any more" in logs
    assert token(url) not in logs
    shared.appoint(*shared.approvals.approvers)
    shared.until(lambda: visit(url)[0] == 200)


def one(browser: Chrome, selector: str) -> WebElement:
    """The first element of a CSS selector."""
    return browser.find_element(By.CSS_SELECTOR, selector)


def test_a_person_approves_and_rejects_in_a_real_browser(shared: Site, browser: Chrome, tmp_path: Path):
    browser.set_window_size(390, 844)
    approved = shared.send("browser-approve")
    # One after the other: the second one's page shows the first.
    shared.asked(approved)
    rejected = shared.send("browser-reject", "1234.50")
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    browser.get(shared.link(approved))
    # The policy lets the page's own script run: a time in UTC has the reader's beside it.
    assert re.search(r"UTC \(.*GMT\+5:30\)", one(browser, "dl").text)
    assert one(browser, ".amount").text == "9999.99 USD"
    # The style is taken although the policy refuses every other one, and nothing is wider than a phone.
    assert browser.execute_script("return getComputedStyle(document.querySelector('button')).minHeight") == "48px"
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.save_screenshot(tmp_path / "question.png")
    one(browser, "button[value=approve]").click()
    assert one(browser, "h1").text == "A payment waits for your decision", (
        "a decision without a reason must not be sent"
    )
    one(browser, "#comment").send_keys("Called the customer, order confirmed")
    one(browser, "button[value=approve]").click()
    # A click may return before the page of its form's answer is there.
    shared.until(lambda: browser.execute_script("return document.querySelector('[role=status]') !== null"))
    assert "Approved: 9999.99 USD" in one(browser, "[role=status]").text
    browser.save_screenshot(tmp_path / "answer.png")
    assert "The payment will be charged." in one(browser, "main").text
    assert shared.ended(approved)["status"] == "completed"
    for approver in ("alice", "bob"):
        browser.get(shared.link(approved, approver))
        assert "The payment was charged." in one(browser, "main").text

    # By keyboard alone: the reason, past Approve, to Reject.
    browser.get(shared.link(rejected, "bob"))
    earlier = one(browser, "h2:last-of-type ~ ul").text
    assert re.search(r"9999\.99 USD\s+browser-approve\s+charged|browser-approve\s+9999\.99 USD\s+charged", earlier), (
        earlier
    )
    ActionChains(browser).send_keys(Keys.TAB, "no such order", Keys.TAB, Keys.TAB, Keys.ENTER).perform()
    # Not an element's text: the one that was found may be gone with its page.
    shared.until(lambda: "Rejected: 1234.50 USD" in (browser.execute_script("return document.body?.innerText") or ""))
    item = shared.ended(rejected)
    assert (item["status"], item["decided_by"], item["comment"]) == ("rejected", "bob", "no such order")
    assert [line for line in browser.get_log("browser") if "Content Security Policy" in line["message"]] == []


def test_an_approver_goes_from_the_list_to_a_payment_and_decides(shared: Site, browser: Chrome):
    first, second = shared.send("listed-first"), shared.send("listed-second", "2345.60")
    shared.asked(first)
    browser.get(shared.list_link(second, "bob"))
    assert "9999.99 USD, listed-first" in one(browser, "ul").text
    assert faults(browser) == []
    browser.find_element(By.PARTIAL_LINK_TEXT, "2345.60 USD, listed-second").click()
    shared.until(lambda: browser.execute_script("return document.querySelector('#comment') !== null"))
    one(browser, "#comment").send_keys("no such order")
    one(browser, "button[value=reject]").click()
    shared.until(lambda: browser.execute_script("return document.querySelector('[role=status]') !== null"))
    assert (shared.ended(second)["status"], shared.item(second)["decided_by"]) == ("rejected", "bob")
    browser.get(shared.list_link(first, "bob"))
    assert "listed-second" not in one(browser, "main").text
    assert [line for line in browser.get_log("browser") if "Content Security Policy" in line["message"]] == []


def test_forged_and_used_links_say_why_in_a_real_browser(shared: Site, browser: Chrome):
    key = shared.send("browser-refused")
    url = shared.link(key)
    browser.get(url[:-2])
    assert "This link is not valid" in one(browser, "[role=alert]").text
    assert browser.execute_script("return document.forms.length") == 0
    assert shared.payments("reject", key, "--reason", "stolen card", "--yes").returncode == 0
    browser.get(url)
    assert one(browser, "[role=status]").text == "Rejected: 9999.99 USD"
    assert "arn:aws" in one(browser, "dl").text
    assert browser.execute_script("return document.forms.length") == 0


def test_nobody_in_time_expires_and_an_outage_is_found_by_reconcile(browser: Chrome):
    with site(timeout_seconds=8) as here:
        first = here.send("expires")
        url = here.link(first)
        assert here.ended(first)["status"] == "expired"
        browser.get(url)
        assert "Nobody decided in time: the payment is not charged." in one(browser, "main").text
        second = here.send("expires-in-outage")
        item = here.asked(second)
        assert here.approvals.engine_pid is not None
        os.kill(here.approvals.engine_pid, signal.SIGKILL)
        # The engine forgets its timer; long past the end of the time, reconcile finds the payment.
        here.system.clients["dynamodb"].update_item(
            TableName=here.system.names.table,
            Key={"transaction_id": {"S": second}},
            UpdateExpression="SET approval_expires_at = :then",
            ExpressionAttributeValues={":then": {"N": str(item["approval_expires_at"] - 11 * 60 * 1000)}},
        )
        done = here.until(lambda: (found := here.payments("reconcile")).returncode == 0 and found)
        assert f"{second} expired" in done.stdout
        assert here.item(second)["status"] == "expired"


def test_an_engine_that_is_just_starting_again_ends_with_the_system():
    others = {thread for thread in threading.enumerate() if thread.name == "durable-engine"}
    with site() as here:
        assert here.approvals.engine_pid is not None
        os.kill(here.approvals.engine_pid, signal.SIGKILL)
        while here.approvals.engine_starts < 2:
            time.sleep(0.01)
        # It stays where it is, however long the rest takes to stop.
        os.kill(here.approvals.engine_pid, signal.SIGSTOP)
    # An exception of the thread that keeps the engine would fail this test.
    assert {thread for thread in threading.enumerate() if thread.name == "durable-engine"} == others

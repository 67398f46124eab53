"""The approval page's HTML: one payment, its reasons, two buttons; readable on a phone, by keyboard and screen reader.

Everything that came from outside is escaped; there is no script, no external asset, and one style that the policy names
by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Final

from handler.domain.approval.decision import COMMENT_LENGTH_MAX, shown_score, time_left
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.reasons import sentence
from handler.domain.score import RISK_SCALE

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --paper: #fff; --ground: #f1f3f6; --line: #d9dee5;
  --go: #17683d; --stop: #a3241c; --warn: #8a4b00; --focus: #1550c0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9edf3; --soft: #a5afbd; --paper: #1b2028; --ground: #11151b;
  --line: #343c48; --go: #2c8a57; --stop: #c8453b; --warn: #f0b35c; --focus: #8ab4ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem; }
.brand { margin: 0 0 .75rem; color: var(--soft); font-size: .875rem; font-weight: 600; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
.amount { margin: .25rem 0 0; font-size: 2.25rem; line-height: 1.2; font-weight: 700;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.left { margin: .25rem 0 0; color: var(--warn); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .375rem 1rem; margin: 1.25rem 0 0;
  padding-top: 1.25rem; border-top: 1px solid var(--line); }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding: 0; list-style: none; }
li { display: flex; justify-content: space-between; gap: 1rem; padding: .375rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
li span:last-child { font-variant-numeric: tabular-nums; white-space: nowrap; }
label { display: block; margin: 1.5rem 0 .375rem; font-weight: 600; }
.hint { margin: 0 0 .375rem; color: var(--soft); font-size: .875rem; }
textarea { width: 100%; min-height: 5.5rem; padding: .625rem .75rem; font: inherit; color: inherit;
  background: var(--paper); border: 1px solid var(--soft); border-radius: .5rem; resize: vertical; }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1rem; }
button { flex: 1 1 10rem; min-height: 3rem; padding: .5rem 1rem; font: inherit; font-weight: 600; border-radius: .5rem;
  cursor: pointer; border: 2px solid var(--go); background: var(--go); color: #fff; }
button[value=reject] { border-color: var(--stop); background: transparent; color: var(--stop); }
@media (prefers-color-scheme: dark) { button[value=reject] { color: #ff9d94; } }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.error { margin: 1rem 0 0; padding: .75rem 1rem; border-left: .25rem solid var(--stop); background: var(--ground); }
.mark { font-size: 1.5rem; line-height: 1.3; font-weight: 700; margin: .25rem 0 0; }
.said { margin: 1rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
    "strict-transport-security": "max-age=31536000",
}


def question(item: Item, token: str, approver: str, now_ms: int, *, comment: str = "", error: str = "") -> str:
    """The page that asks; `error` says why the last attempt was not taken, with its `comment` kept."""
    facts = [
        ("Payment", item.payment_id),
        ("Order", item.order_id),
        ("Customer", item.customer_id),
        ("Paid by", item.payment_method.replace("_", " ")),
        ("Fraud score", shown_score(item)),
        ("Decide until", timestamp(item.approval_expires_at or 0).replace("T", " ").replace("Z", " UTC")),
        ("You are", approver),
    ]
    described = "hint error" if error else "hint"
    return _page(
        f"Approve {as_text(item.amount_minor, item.currency)} {item.currency}?",
        f"""<h1>A payment waits for your decision</h1>
<p class="amount">{escape(as_text(item.amount_minor, item.currency))} {escape(item.currency)}</p>
<p class="left">{escape(_left(item, now_ms))}</p>
<dl>{"".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)}</dl>
{_reasons(item)}
<form method="post" action="?">
<input type="hidden" name="t" value="{escape(token)}">
<label for="comment">Reason</label>
<p class="hint" id="hint">Needed either way, kept with the payment. No card numbers.</p>
<textarea id="comment" name="comment" required maxlength="{COMMENT_LENGTH_MAX}" aria-describedby="{described}"
{' aria-invalid="true"' if error else ""}>{escape(comment)}</textarea>
{f'<p class="error" id="error" role="alert">{escape(error)}</p>' if error else ""}
<div class="buttons">
<button type="submit" name="decision" value="approve">Approve and charge</button>
<button type="submit" name="decision" value="reject">Reject</button>
</div>
</form>""",
    )


def answer(item: Item) -> str:
    """The page after a decision that stands."""
    word = {"approve": "Approved", "reject": "Rejected"}[item.decision]
    then = {"approve": "The payment is now charged.", "reject": "The payment will not be charged."}[item.decision]
    return _page(
        word,
        f"""<h1>Your decision is recorded</h1>
<p class="mark" role="status">{word}: {escape(as_text(item.amount_minor, item.currency))} {escape(item.currency)}</p>
<p>{then} You can close this page.</p>
<dl><dt>Payment</dt><dd>{escape(item.payment_id)}</dd><dt>Decided by</dt><dd>{escape(item.decided_by)}</dd></dl>
<p class="said">{escape(item.comment)}</p>""",
    )


def refusal(message: str) -> str:
    """The page for anything that is not to be decided here and now."""
    return _page("Not possible", f'<h1>This cannot be decided here</h1>\n<p role="alert">{escape(message)}</p>')


def _reasons(item: Item) -> str:
    rows: Sequence[tuple[str, str]] = [
        *((sentence(reason), "") for reason in item.approval_reasons),
        *((f"Risk from: {each.reason}", f"{100 * each.parts / RISK_SCALE:.0f} %") for each in item.risk_reasons),
    ]
    shown = "".join(f"<li><span>{escape(name)}</span><span>{escape(value)}</span></li>" for name, value in rows)
    return f"<h2>Why you are asked</h2>\n<ul>{shown}</ul>"


def _left(item: Item, now_ms: int) -> str:
    left = time_left(item, now_ms)
    return {"expired": "The time to decide is over", "-": "Nobody was asked yet"}.get(left, f"{left} left")


def _page(title: str, content: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<p class="brand">CloudCafe payments</p>
<div class="card">
{content}
</div>
</main>
</body>
</html>
"""

"""The approval page's HTML: one payment, why it is asked about, two buttons; how it ended; and a list of what waits.

Readable on a phone, by keyboard and screen reader. Everything that came from outside is escaped; there is no external
asset, one style and one script, which the policy names by their hashes: the script writes local time beside UTC, and
the page says the same without it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Final

from handler.domain.approval.decision import COMMENT_LENGTH_MAX, time_left
from handler.domain.approval.view import Earlier, Fact, Waiting, amount, at, ended_as, facts, findings, outcome
from handler.domain.item import Item, timestamp
from handler.domain.reasons import sentence

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --paper: #fff; --ground: #f1f3f6; --line: #d9dee5;
  --go: #17683d; --stop: #a3241c; --warn: #8a4b00; --focus: #1550c0; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9edf3; --soft: #a5afbd; --paper: #1b2028; --ground: #11151b;
  --line: #343c48; --go: #4cc387; --stop: #ff9d94; --warn: #f0b35c; --focus: #8ab4ff; --on: #11151b; } }
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
li > :last-child { font-variant-numeric: tabular-nums; text-align: right; }
li > b { white-space: nowrap; font-weight: 600; }
small { display: block; color: var(--soft); font-size: .875rem; }
a { color: var(--focus); }
label { display: block; margin: 1.5rem 0 .375rem; font-weight: 600; }
.hint { margin: 0 0 .375rem; color: var(--soft); font-size: .875rem; }
textarea { width: 100%; min-height: 5.5rem; padding: .625rem .75rem; font: inherit; color: inherit;
  background: var(--paper); border: 1px solid var(--soft); border-radius: .5rem; resize: vertical; }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1rem; }
button { flex: 1 1 10rem; min-height: 3rem; padding: .5rem 1rem; font: inherit; font-weight: 600; border-radius: .5rem;
  cursor: pointer; border: 2px solid var(--go); background: var(--go); color: var(--on); }
button[value=reject] { border-color: var(--stop); background: transparent; color: var(--stop); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.error { margin: 1rem 0 0; padding: .75rem 1rem; border-left: .25rem solid var(--stop); background: var(--ground); }
.mark { font-size: 1.5rem; line-height: 1.3; font-weight: 700; margin: .25rem 0 0; }
.said { margin: 1rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
# Where the reader's clock is the one shown, it is not said twice.
_SCRIPT: Final = """
for (const time of document.querySelectorAll("time")) {
  const when = new Date(time.dateTime);
  if (when.getTimezoneOffset()) time.after(" (" + when.toLocaleString("en-GB", { weekday: "short", day: "numeric",
    month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" }) + ")");
}
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
    "strict-transport-security": "max-age=31536000",
}


def question(
    item: Item, before: Earlier, token: str, approver: str, now_ms: int, *, comment: str = "", error: str = ""
) -> str:
    """The page that asks; `error` says why the last attempt was not taken, with its `comment` kept."""
    described = "hint error" if error else "hint"
    return _page(
        f"Approve {amount(item)}?",
        f"""<h1>A payment waits for your decision</h1>
<p class="amount">{escape(amount(item))}</p>
<p class="left">{escape(_left(item, now_ms))}</p>
{_facts([*facts(item), Fact("You are", approver)])}
{_findings(item)}
{_earlier(before)}
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


def answer(item: Item, title: str) -> str:
    """The page that tells how a question ended, right after the decision and later; nobody's personal data is on it."""
    ended = outcome(item)
    known = [Fact("Payment", item.payment_id), Fact("Order", item.order_id)]
    if item.decision:
        known += [Fact("Decided by", item.decided_by), at("Decided", item.decided_at or 0)]
    return _page(
        ended.word,
        f"""<h1>{escape(title)}</h1>
<p class="mark" role="status">{escape(ended.word)}: {escape(amount(item))}</p>
<p>{escape(ended.sentence)}</p>
<p class="hint">Your link goes on telling what becomes of the payment. You can close this page.</p>
{_facts(known)}
<p class="said">{escape(item.comment)}</p>""",
    )


def listing(found: Waiting, tokens: Sequence[str], approver: str, now_ms: int) -> str:
    """The page of all that waits for an approver, each with a link of its own; `tokens` are those of its items."""
    rows = "".join(
        f'<li><span><a href="?t={escape(token)}">{escape(amount(item))}, {escape(item.payment_id)}</a>'
        f"<small>{escape('; '.join(map(sentence, item.approval_reasons)))}</small></span>"
        f"<span>{escape(_left(item, now_ms))}</span></li>"
        for item, token in zip(found.items, tokens, strict=True)
    )
    more = f"<p>{found.more} more wait behind these: decide, and open this page again.</p>" if found.more else ""
    return _page(
        "What waits for you",
        f"""<h1>What waits for your decision</h1>
{f"<ul>{rows}</ul>" if rows else "<p>Nothing waits for you.</p>"}
{more}
{_facts([Fact("You are", approver)])}""",
    )


def refusal(message: str) -> str:
    """The page for anything that is not to be decided here and now."""
    return _page("Not possible", f'<h1>This cannot be decided here</h1>\n<p role="alert">{escape(message)}</p>')


def _facts(known: Sequence[Fact]) -> str:
    rows = "".join(f"<dt>{escape(fact.label)}</dt><dd>{_value(fact)}</dd>" for fact in known)
    return f"<dl>{rows}</dl>"


def _value(fact: Fact) -> str:
    if fact.at_ms is None:
        return escape(fact.text)
    return f'<time datetime="{timestamp(fact.at_ms)}">{escape(fact.text)}</time>'


def _findings(item: Item) -> str:
    rows = "".join(f"<li><span>{escape(sentence(reason))}</span></li>" for reason in item.approval_reasons)
    rows += "".join(
        f"<li><span>{escape(each.reason)}{f'<small>{escape(each.found)}</small>' if each.found else ''}</span>"
        f"<b>{escape(each.weight)}</b></li>"
        for each in findings(item)
    )
    return f'<h2>Why you are asked</h2>\n<p class="hint">Beside a rule stands its own weight.</p>\n<ul>{rows}</ul>'


def _earlier(before: Earlier) -> str:
    rows = "".join(
        f"<li><span>{_value(at('', each.created_at))}<small>{escape(each.payment_id)}</small></span>"
        f"<span>{escape(amount(each))}<small>{escape(ended_as(each))}</small></span></li>"
        for each in before.items
    )
    said = before.unknown or ("" if before.items else "None.")
    more = f'<p class="hint">There are more; these are the newest {len(before.items)}.</p>' if before.has_more else ""
    hint = f'<p class="hint">{escape(said)}</p>' if said else ""
    return f"<h2>Earlier payments of the same billing identity</h2>\n{hint}{f'<ul>{rows}</ul>' if rows else ''}{more}"


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
<script>{_SCRIPT}</script>
</body>
</html>
"""

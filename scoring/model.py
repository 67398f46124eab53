"""What goes into scoring and what comes out; both engines read their constants here.

Integers and bytes only: a value that could differ in its last bit between two machines has no place in this module.
"""

from typing import Literal, NamedTuple

# The text fields of a payment; a field's position is its number in rule tables and in the results of `screen`. Tables
# that exist hold these numbers: append, at most 14 in all, and never reorder.
FIELDS = (
    "order_id",
    "customer_id",
    "customer_name",
    "customer_email",
    "description",
    "payment_method",
    "street",
    "city",
    "state",
    "zip",
)
CUSTOMER_EMAIL = FIELDS.index("customer_email")

# Fields that only rule files name. `email_domain` is the domain behind the last "@" of customer_email, and each parent
# of it ("a.b.example" is also "b.example" and "example"); `fingerprint` is the 64 hex digits of Score.fingerprint. They
# have the last numbers that a rule's 16 bits have room for, so that another text field moves none.
EMAIL_DOMAIN, FINGERPRINT = 14, 15
FIELD_NUMBERS = {name: number for number, name in enumerate(FIELDS)}
FIELD_NUMBERS |= {"email_domain": EMAIL_DOMAIN, "fingerprint": FINGERPRINT}

FULL = 1_000_000_000  # risk and survival are parts of this
REVIEW_RISK = 700_000_000  # from here on a person is asked
WEIGHT_FULL = 10_000  # a rule's weight is parts of this

Mode = Literal["substring", "token", "value"]
Action = Literal["score", "review", "decline"]
# Numbers in rule tables. Tables that exist hold them: a new mode or action takes a new number.
MODE_NUMBERS: dict[Mode, int] = {"substring": 1, "token": 2, "value": 3}
ACTION_NUMBERS: dict[Action, int] = {"score": 1, "review": 2, "decline": 3}
# The risk that a hit of the action raises to at least; the strongest of several hits is the one that raises highest.
ACTION_RISKS: dict[Action, int] = {"score": 0, "review": REVIEW_RISK, "decline": FULL}
# In bytes of UTF-8: a payment's item holds the reasons of the rules that it hit, and has 400 KB.
REASON_LENGTH_MAX = 500
AMOUNT_RULE_ID = 0  # the amount curve's place in Score.reasons


class Payment(NamedTuple):
    """One payment as scoring sees it: no ids, no money types, nothing of the domain."""

    identity: bytes  # canonical billing identity, made by the domain
    amount_minor: int  # > 0
    fields: tuple[str | bytes, ...]  # one per FIELDS, "" where absent


class Score(NamedTuple):
    """The result for one payment; equal for equal input in every engine and on every machine."""

    fingerprint: str  # 64 hex digits
    risk: int  # parts per 10**9
    fraud_score: int  # 0..100
    action: Action  # the strongest action of all hits, "score" where there are none
    reasons: tuple[tuple[int, int], ...]  # (rule id, parts per 10**9 of survival it took), ids ascending


class Rule(NamedTuple):
    """One rule of a table. `fields` holds names of FIELD_NUMBERS, `literal` is its screening view, as bytes."""

    id: int
    mode: Mode
    fields: tuple[str, ...]
    weight: int  # parts per 10**4 of the survival that was left
    action: Action
    reason: str
    literal: bytes

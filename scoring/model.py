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


# Issuer ranges as (first six digits from, to, lengths): "Payment card number" in Wikipedia, read November 2026, which
# collects the networks' own bulletins. UATP (any 15 digits that start with 1) is left out: it is no shop's card and
# would mask one in ten 15-digit numbers of that kind.
CARD_RANGES: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (220000, 220499, (16, 17, 18, 19)),  # Mir
    (220500, 220599, (16,)),  # Borica
    (222100, 272099, (16,)),  # Mastercard, 2-series
    (300000, 305999, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (309500, 309599, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (340000, 349999, (15,)),  # American Express
    (352800, 358999, (16, 17, 18, 19)),  # JCB, RuPay, LankaPay
    (360000, 369999, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (370000, 379999, (15,)),  # American Express
    (380000, 399999, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (400000, 499999, (13, 16, 19)),  # Visa
    (501800, 501899, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (501900, 501999, (16,)),  # Dankort
    (502000, 502099, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (503800, 503899, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (506099, 506198, (16, 18, 19)),  # Verve
    (506699, 506778, (16,)),  # Elo
    (507865, 507964, (16, 18, 19)),  # Verve
    (508000, 508999, (16,)),  # RuPay
    (509000, 509999, (16,)),  # Elo
    (510000, 559999, (16,)),  # Mastercard
    (589300, 589399, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (600000, 608999, (16, 17, 18, 19)),  # RuPay, Discover (6011), UkrCard (6040-6042)
    (620000, 629999, (16, 17, 18, 19)),  # UnionPay, Discover (622126-622925)
    (630400, 630499, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (636000, 639999, (16, 17, 18, 19)),  # InterPayment, InstaPayment, Elo
    (644000, 659999, (16, 17, 18, 19)),  # Discover, RuPay, Troy, Verve, Elo
    (675900, 675999, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (676100, 676399, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (810000, 829999, (16, 17, 18, 19)),  # UnionPay, RuPay
    (860000, 860099, (16,)),  # Uzcard
    (979200, 979299, (16,)),  # Troy
    (986000, 986099, (16,)),  # Humo
)
CARD_DIGITS_MIN, CARD_DIGITS_MAX = 13, 19

# Groups of digits that cards are written in: what networks print (Baymard Institute, "Credit Card Spacing Patterns",
# and Visa's old 13 digits), and fours with the rest behind them, as many forms write any number. No group of 8 or 12:
# without those the 8-4-4-4-12 of a UUID has twelve digits in a row that count, too few for a card.
CARD_GROUPINGS: tuple[tuple[int, ...], ...] = (
    (4, 4, 5),  # Maestro
    (4, 3, 3, 3),  # Visa
    (4, 6, 4),  # Diners Club
    (4, 6, 5),  # American Express, Maestro
    (6, 13),  # UnionPay
    (4, 4, 4, 1),
    (4, 4, 4, 2),
    (4, 4, 4, 3),
    (4, 4, 4, 4),
    (4, 4, 4, 4, 1),
    (4, 4, 4, 4, 2),
    (4, 4, 4, 4, 3),
)

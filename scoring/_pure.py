"""The pure engine: the specification of scoring, in plain Python; the compiled engine returns the same for every input.

Everything is integers and bytes, upper and lower case exist for ASCII letters only, and nothing asks the interpreter's
Unicode tables, so that every Python version gives the same answer.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from scoring import _pure_cards
from scoring.model import (
    ACTION_RISKS,
    AMOUNT_RULE_ID,
    CUSTOMER_EMAIL,
    EMAIL_DOMAIN,
    FIELDS,
    FINGERPRINT,
    FULL,
    MODE_NUMBERS,
    WEIGHT_FULL,
    Action,
    Payment,
    Score,
)
from scoring.screening_view import domain_of, screening_view, words_of
from scoring.table import RULE, RuleTableError, Table, compile_anew

TOKEN = MODE_NUMBERS["token"]
VALUE = MODE_NUMBERS["value"]
PREFIX_SIZE = 4  # bytes of a literal that the screening index is keyed by

find_card_numbers = _pure_cards.find_card_numbers

_Entry = tuple[bytes, int, bool, int]  # literal, rule id, whole token?, field bits


# ---- hashing ----------------------------------------------------------------------------------------------------


def _contiguous(message: bytes) -> bytes:
    view = memoryview(message)
    if not view.c_contiguous:
        raise ValueError("the message is not contiguous: pass a copy of it")
    return view.tobytes()


def _count(name: str, value: int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} is {value}: it must be 0 or more")
    return value


def sha256_chain(message: bytes, rounds: int) -> bytes:
    """Return SHA-256(message), hashed `rounds` more times (FIPS 180-4); 32 bytes.

    Raises ValueError for rounds < 0 and for a buffer that is not contiguous, TypeError for other types.
    """
    digest = sha256(_contiguous(message)).digest()
    for _ in range(_count("rounds", rounds)):
        digest = sha256(digest).digest()
    return digest


def sha256_chains(messages: Iterable[bytes], rounds: int) -> list[bytes]:
    """Return `sha256_chain(message, rounds)` for each message, in order. Raises as it does, without messages too."""
    _count("rounds", rounds)
    return [sha256_chain(message, rounds) for message in messages]


def cold_start_work(operations: int, lanes: int = 16) -> bytes:
    """Do `operations` rounds of SHA-256 shared by `lanes` chains, and return one digest over all of them; 32 bytes.

    Chain i starts at SHA-256(i as 4 bytes, little-endian) and takes operations // lanes rounds; the first
    operations % lanes chains take one more. The result is SHA-256 over the chains' digests, joined in order.
    Raises ValueError for operations < 0 and for lanes outside 1 to 2**32, TypeError for other types than int.
    """
    if not 1 <= _count("lanes", lanes) <= 1 << 32:
        raise ValueError(f"lanes is {lanes}: it must be 1 to 2**32, the numbers that chains start from")
    rounds, longer = divmod(_count("operations", operations), lanes)
    chains = (sha256_chain(i.to_bytes(4, "little"), rounds + (i < longer)) for i in range(lanes))
    return sha256(b"".join(chains)).digest()


# ---- screening --------------------------------------------------------------------------------------------------


def as_bytes(field: str | bytes) -> bytes:
    """Return the bytes that are screened: UTF-8 for str, lone surrogates included; the same bytes for bytes-like."""
    if isinstance(field, str):
        return field.encode("utf-8", "surrogatepass")
    return memoryview(field).tobytes()


def _is_word(byte: int) -> bool:
    """Tell whether a byte belongs to a token: ASCII letters and digits, and every byte of a non-ASCII character."""
    return byte >= 0x80 or 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A


def _is_edge(text: bytes, at: int) -> bool:
    """Tell whether a token may begin or end between text[at - 1] and text[at]."""
    return at in (0, len(text)) or not (_is_word(text[at - 1]) and _is_word(text[at]))


class _Index:
    """A table's rules keyed for lookup, made once per table: by the first bytes of the literal, and by whole value."""

    def __init__(self, table: Table) -> None:
        self.starts: dict[bytes, list[_Entry]] = {}
        self.values: dict[bytes, list[_Entry]] = {}
        start, size = table.header.sections["rules"]
        strings_at, strings_size = table.header.sections["strings"]
        strings = table.data[strings_at : strings_at + strings_size]
        for rule_id, fields, _, mode, _, _, at, length, _, _ in RULE.iter_unpack(table.data[start : start + size]):
            literal = bytes(strings[at : at + length])
            if not literal or len(literal) != length or mode not in MODE_NUMBERS.values():
                raise RuleTableError(f"{table.name}: rule {rule_id} is damaged; {compile_anew(table.name)}")
            entry = (literal, rule_id, mode == TOKEN, fields)
            if mode == VALUE:
                self.values.setdefault(literal, []).append(entry)
            else:
                self.starts.setdefault(literal[:PREFIX_SIZE], []).append(entry)
        self.prefix_sizes = sorted({len(prefix) for prefix in self.starts})
        self.value_size_max = max(map(len, self.values), default=0)


def _index_of(table: Table) -> _Index:
    if not isinstance(table.index, _Index):
        table.index = _Index(table)
    return table.index


def _value_hits(index: _Index, value: bytes, field: int) -> Iterable[int]:
    return (rule_id for _, rule_id, _, fields in index.values.get(value, ()) if fields >> field & 1)


def _screen_field(index: _Index, field: int, content: str | bytes) -> tuple[int, ...]:
    view = screening_view(as_bytes(content))
    text = words_of(view)
    hits: set[int] = set()
    for at in range(len(text)):
        for size in index.prefix_sizes:
            for literal, rule_id, whole_token, fields in index.starts.get(text[at : at + size], ()):
                if (
                    fields >> field & 1
                    and text.startswith(literal, at)
                    and (not whole_token or (_is_edge(text, at) and _is_edge(text, at + len(literal))))
                ):
                    hits.add(rule_id)
    value = view.strip(b" ")
    hits.update(_value_hits(index, value, field))
    if field == CUSTOMER_EMAIL:
        domain = domain_of(value)
        at = len(domain)
        while at > 0 and len(domain) - at <= index.value_size_max:
            at = domain.rfind(b".", 0, at)
            hits.update(_value_hits(index, domain[at + 1 :], EMAIL_DOMAIN))
    return tuple(sorted(hits))


def screen(table: Table, fields: Sequence[Sequence[str | bytes]]) -> list[tuple[tuple[int, ...], ...]]:
    """Return the ids of the rules that hit, per payment and field, ascending.

    `fields` is one sequence per payment with the contents of FIELDS in order (later ones may be left out), str or
    bytes-like, each seen through its screening view (scoring.screening_view). A `substring` rule hits where its literal
    occurs; a `token` rule where it does and no letter, digit or non-ASCII character continues it on either side; a
    `value` rule where the field without surrounding spaces equals it. Rules on `email_domain` count as hits of
    customer_email. Raises ValueError for more than len(FIELDS) fields, TypeError for other types.
    """
    index = _index_of(table)
    return [tuple(_screen_field(index, i, field) for i, field in enumerate(_checked(payment))) for payment in fields]


def _checked(fields: Sequence[str | bytes]) -> Sequence[str | bytes]:
    if len(fields) > len(FIELDS):
        raise ValueError(f"a payment has at most {len(FIELDS)} fields, not {len(fields)}")
    return fields


# ---- scores -----------------------------------------------------------------------------------------------------


def amount_survival(amount_minor: int) -> int:
    """Return the parts per 10**9 of survival that an amount leaves; integers throughout, no rounding but floor."""
    if amount_minor <= 10_000:
        return FULL - 3 * FULL // 10 * amount_minor // 10_000
    if amount_minor <= 50_000:
        return 7 * FULL // 10 - 3 * FULL // 10 * (amount_minor - 10_000) // 40_000
    return 20_000 * FULL // amount_minor


def fingerprint_hits(table: Table, fingerprint: str) -> Iterable[int]:
    """Return the ids of the whole-value rules on fingerprints that equal this one (64 hex digits)."""
    return _value_hits(_index_of(table), fingerprint.encode(), FINGERPRINT)


def _score(table: Table, payment: Payment, iterations: int, pepper: bytes) -> Score:
    if type(payment.amount_minor) is not int:
        raise TypeError(f"amount_minor must be int, not {type(payment.amount_minor).__name__}")
    if payment.amount_minor <= 0:
        raise ValueError(f"amount_minor must be above 0, not {payment.amount_minor}")
    fingerprint = sha256_chain(pepper + b"\x1f" + payment.identity, iterations).hex()
    hits = {rule_id for field in screen(table, [payment.fields])[0] for rule_id in field}
    hits.update(fingerprint_hits(table, fingerprint))

    survival = amount_survival(payment.amount_minor)
    reasons = [(AMOUNT_RULE_ID, FULL - survival)]
    action: Action = "score"
    for rule_id in sorted(hits):
        rule = table.rule(rule_id)
        left = survival * (WEIGHT_FULL - rule.weight) // WEIGHT_FULL
        reasons.append((rule_id, survival - left))
        survival = left
        action = max(action, rule.action, key=ACTION_RISKS.__getitem__)
    risk = max(FULL - survival, ACTION_RISKS[action])
    return Score(fingerprint, risk, 100 * risk // FULL, action, tuple(reasons))


def score_batch(table: Table, payments: Sequence[Payment], *, iterations: int, pepper: bytes) -> list[Score]:
    """Return the score of each payment, in order.

    The fingerprint is SHA-256(pepper || 0x1f || identity), hashed `iterations` more times. Risk: the survival that
    the amount leaves, times (10**4 - weight) / 10**4 for each distinct rule that hit, in order of rule id, always
    rounded down; what is missing to 10**9 is the risk. A hit raises it to its action's ACTION_RISKS at least.
    Raises ValueError for an amount of 0 or below and for iterations < 0, TypeError for another amount than int.
    """
    return [_score(table, payment, iterations, pepper) for payment in payments]

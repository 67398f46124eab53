# cython: language_level=3, embedsignature=False, emit_code_comments=False
"""The compiled engine: the functions of `scoring._pure`, bit for bit, over C kernels.

No numpy, ctypes or hashlib is imported here: all of it would be paid in a cold start.
"""
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SetItem
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free

from scoring import cards
from scoring.model import (
    ACTION_NUMBERS,
    ACTION_RISKS,
    AMOUNT_RULE_ID,
    FIELDS,
    FULL,
    WEIGHT_FULL,
    Score,
)


cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length)
    str PyUnicode_DecodeASCII(const char *text, Py_ssize_t length, const char *errors)
    int64_t PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1


cdef extern from "sha256.h" nogil:
    struct sha256_kernel:
        const char *name
        const char *instruction_set
        size_t lanes

    struct sha256_message:
        const uint8_t *data
        size_t length

    const char *const *sha256_kernel_names
    size_t sha256_kernels(const sha256_kernel **kernels)
    int sha256_select(const char *name)
    const sha256_kernel *sha256_selected()
    void sha256_messages(const uint8_t *prefix, size_t prefix_length, const sha256_message *messages, size_t count,
                         uint64_t rounds, uint8_t *digests)
    void sha256_cold_start_work(uint64_t operations, size_t lanes, uint8_t *digest)


# Below about 10 us of work, giving up the GIL and taking it back costs more than other threads can use.
cdef uint64_t HASHES_WORTH_THE_GIL = 200


def kernels_known() -> tuple[str, ...]:
    """Names of all hashing kernels of all processors, as `SCORING_KERNEL` takes them."""
    names = []
    cdef size_t i = 0
    while sha256_kernel_names[i] != NULL:
        names.append(sha256_kernel_names[i].decode("ascii"))
        i += 1
    return tuple(names)


def kernels_present() -> tuple[str, ...]:
    """Names of the hashing kernels that this processor can run, widest first."""
    cdef const sha256_kernel *kernels
    cdef size_t count = sha256_kernels(&kernels)
    return tuple([kernels[i].name.decode("ascii") for i in range(count)])


def select_kernel(str name) -> bool:
    """Take one kernel into use for every number of messages, or with `auto` the fastest for each; whether it is present.

    For the whole process, and not while another thread hashes.
    """
    encoded = name.encode("utf-8")
    return sha256_select(encoded) == 0


def selected_kernel() -> tuple[str, int]:
    """Instruction set and lanes of the kernel in use (of the widest, with `auto`)."""
    cdef const sha256_kernel *kernel = sha256_selected()
    return kernel.instruction_set.decode("ascii"), kernel.lanes


# So that no function is ever without a kernel, whoever imports this module; scoring.kernel chooses again.
sha256_select(b"auto")


cdef uint64_t count_of(str name, value) except? 0xFFFFFFFFFFFFFFFF:
    """`value` as a count: an integer >= 0."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} is {value}: it must be 0 or more")
    return value


cdef class Messages:
    """Bytes-like objects whose buffers are held until the last reference goes, so that they can be read without the GIL."""
    cdef Py_buffer *views
    cdef sha256_message *messages
    cdef size_t count
    cdef uint64_t blocks

    def __cinit__(self, list objects):
        cdef size_t wanted = len(objects)
        # At least one, because an allocation of nothing may be NULL.
        self.views = <Py_buffer *> PyMem_Malloc((wanted + 1) * sizeof(Py_buffer))
        self.messages = <sha256_message *> PyMem_Malloc((wanted + 1) * sizeof(sha256_message))
        if self.views == NULL or self.messages == NULL:
            raise MemoryError
        cdef Py_buffer *view
        for item in objects:
            view = &self.views[self.count]
            PyObject_GetBuffer(item, view, PyBUF_FULL_RO)
            self.count += 1
            if not PyBuffer_IsContiguous(view, b"C"):
                raise ValueError(f"message {self.count - 1} is not contiguous: pass a copy of it")
            self.messages[self.count - 1].data = <const uint8_t *> view.buf
            self.messages[self.count - 1].length = view.len
            self.blocks += view.len // 64 + 1

    def __dealloc__(self):
        if self.views != NULL:
            for i in range(self.count):
                PyBuffer_Release(&self.views[i])
        PyMem_Free(self.views)
        PyMem_Free(self.messages)


cdef list hash_chains(bytes prefix, list messages, uint64_t rounds):
    """Digests of `prefix + message`, each hashed `rounds` times more."""
    cdef Messages held = Messages(messages)
    cdef const uint8_t *prefix_data = prefix
    cdef size_t prefix_length = len(prefix)
    cdef uint8_t *digests = <uint8_t *> PyMem_Malloc((held.count + 1) * 32)
    if digests == NULL:
        raise MemoryError
    try:
        if held.blocks + held.count * rounds < HASHES_WORTH_THE_GIL:
            sha256_messages(prefix_data, prefix_length, held.messages, held.count, rounds, digests)
        else:
            with nogil:
                sha256_messages(prefix_data, prefix_length, held.messages, held.count, rounds, digests)
        return [PyBytes_FromStringAndSize(<const char *> &digests[32 * i], 32) for i in range(held.count)]
    finally:
        PyMem_Free(digests)


def sha256_chain(message, rounds) -> bytes:
    """`scoring._pure.sha256_chain`, with the GIL released."""
    return hash_chains(b"", [message], count_of("rounds", rounds))[0]


def sha256_chains(messages, rounds) -> list[bytes]:
    """`scoring._pure.sha256_chains`, as many messages at a time as the kernel takes, with the GIL released."""
    cdef uint64_t count = count_of("rounds", rounds)
    return hash_chains(b"", list(messages), count)


def cold_start_work(operations, lanes=16) -> bytes:
    """`scoring._pure.cold_start_work`, with the GIL released."""
    cdef uint64_t width = count_of("lanes", lanes)
    cdef uint8_t digest[32]
    if not 1 <= width <= <uint64_t> 1 << 32:
        raise ValueError(f"lanes is {lanes}: it must be 1 to 2**32, the numbers that chains start from")
    cdef uint64_t work = count_of("operations", operations)
    if work + width < HASHES_WORTH_THE_GIL:
        sha256_cold_start_work(work, width, digest)
    else:
        with nogil:
            sha256_cold_start_work(work, width, digest)
    return PyBytes_FromStringAndSize(<const char *> digest, 32)


# ---- screening --------------------------------------------------------------------------------------------------

cdef extern from "screen.h" nogil:
    struct screen_rule:
        uint32_t id
        uint16_t weight
        uint8_t action

    struct screen_table:
        const screen_rule *rules
        uint32_t rule_count

    struct screen_text:
        const uint8_t *data
        size_t length
        uint32_t field

    struct screen_hits:
        uint64_t *items
        size_t count
        size_t capacity

    uint32_t FIELD_FINGERPRINT
    int screen_table_map(screen_table *table, const uint8_t *data, size_t size)
    int screen_texts(const screen_table *table, screen_text *texts, size_t count, screen_hits *hits)
    int screen_value(const screen_table *table, uint32_t field, const uint8_t *value, size_t length, size_t text,
                     screen_hits *hits)
    void screen_hits_settle(screen_hits *hits)


# Bytes of text that take about 10 us.
cdef size_t BYTES_WORTH_THE_GIL = 4096
cdef size_t FIELDS_MAX = len(FIELDS)
cdef list NO_HITS = [((),) * count for count in range(len(FIELDS) + 1)]


cdef class MappedTable:
    """The C view of a Table's bytes, which it holds."""
    cdef Py_buffer view
    cdef bint held
    cdef screen_table table

    def __cinit__(self, data, name):
        PyObject_GetBuffer(data, &self.view, PyBUF_FULL_RO)
        self.held = True
        if screen_table_map(&self.table, <const uint8_t *> self.view.buf, self.view.len):
            raise ValueError(f"{name}: not a rule table of the format that the extension was built with, or not at a multiple of 8")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef MappedTable map_table(table):
    native = table.native
    if type(native) is not MappedTable:
        native = MappedTable(table.data, table.name)
        table.native = native
    return native


cdef class Texts:
    """The fields of a batch where they lie in memory, without a copy; holds the objects that they belong to."""
    cdef screen_text *texts
    cdef size_t count
    cdef size_t size_bytes
    cdef list payments
    cdef list held

    def __cinit__(self, list payments):
        cdef size_t wanted = 0
        self.payments = payments
        for fields in payments:
            wanted += len(<tuple> fields)
        self.texts = <screen_text *> PyMem_Malloc((wanted + 1) * sizeof(screen_text))
        if self.texts == NULL:
            raise MemoryError
        cdef uint32_t number
        for fields in payments:
            number = 0
            for field in <tuple> fields:
                self.add(field, number)
                number += 1

    def __dealloc__(self):
        PyMem_Free(self.texts)

    cdef int add(self, field, uint32_t number) except -1:
        cdef screen_text *text = &self.texts[self.count]
        cdef Py_ssize_t length = 0
        cdef const char *data = NULL
        if isinstance(field, str):
            data = utf8_of(field, &length)
        if data == NULL:
            data = self.copy(field, &length)
        text.data = <const uint8_t *> data
        text.length = length
        text.field = number
        self.size_bytes += length
        self.count += 1
        return 0

    cdef const char *copy(self, field, Py_ssize_t *length) except NULL:
        """The bytes of what is no str, or has no UTF-8 of its own."""
        if isinstance(field, str):
            field = str.encode(field, "utf-8", "surrogatepass")
        elif not isinstance(field, bytes):
            # A buffer may change while the GIL is released, and two looks at it must see the same.
            field = memoryview(field).tobytes()
        if self.held is None:
            self.held = []
        self.held.append(field)
        length[0] = len(<bytes> field)
        return PyBytes_AsString(field)


cdef const char *utf8_of(object text, Py_ssize_t *length) except? NULL:
    """The text's own UTF-8, which lives as long as the text; NULL where it has none."""
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, length)
    # Not with `try`: entering one costs a field of a payment more than its look-up does.
    if data == NULL and PyErr_ExceptionMatches(UnicodeEncodeError):
        PyErr_Clear()
    return data


cdef tuple field_tuple(fields):
    """A payment's fields as a tuple, which nobody can change while the GIL is released."""
    fields = tuple(fields)
    if len(<tuple> fields) > <Py_ssize_t> FIELDS_MAX:
        raise ValueError(f"a payment has at most {FIELDS_MAX} fields, not {len(<tuple> fields)}")
    return <tuple> fields


def screen(table, fields) -> list[tuple[tuple[int, ...], ...]]:
    """`scoring._pure.screen`, with the GIL released where that pays."""
    cdef MappedTable mapped = map_table(table)
    cdef list payments = [field_tuple(payment) for payment in fields]
    cdef Texts texts = Texts(payments)
    cdef screen_hits hits = screen_hits(NULL, 0, 0)
    cdef int failed
    cdef size_t at = 0, text = 0, end, first, i
    cdef tuple screened
    try:
        if texts.size_bytes < BYTES_WORTH_THE_GIL:
            failed = screen_texts(&mapped.table, texts.texts, texts.count, &hits)
        else:
            with nogil:
                failed = screen_texts(&mapped.table, texts.texts, texts.count, &hits)
        if failed:
            raise MemoryError
        result = []
        for payment in payments:
            end = text + len(<tuple> payment)
            if at == hits.count or hits.items[at] >> 32 >= end:
                result.append(NO_HITS[len(<tuple> payment)])
                text = end
                continue
            screened = PyTuple_New(end - text)
            for i in range(end - text):
                first = at
                while at < hits.count and hits.items[at] >> 32 == text:
                    at += 1
                put(screened, i, rule_ids(&mapped.table, &hits.items[first], at - first) if at > first else ())
                text += 1
            result.append(screened)
        return result
    finally:
        free(hits.items)


cdef int put(tuple items, Py_ssize_t at, item) except -1:
    """Set an item of a new tuple, which takes the reference over."""
    Py_INCREF(item)
    return PyTuple_SetItem(items, at, item)


cdef tuple rule_ids(const screen_table *table, const uint64_t *hits, size_t count):
    cdef tuple ids = PyTuple_New(count)
    cdef size_t i
    for i in range(count):
        put(ids, i, table.rules[<uint32_t> hits[i]].id)
    return ids


# ---- card numbers -----------------------------------------------------------------------------------------------

cdef extern from "cards.h" nogil:
    struct card_span:
        size_t start
        size_t end

    struct card_issuer:
        uint32_t low
        uint32_t high
        uint32_t lengths
        uint32_t grouped

    struct card_class:
        uint32_t first
        uint32_t last
        uint32_t kind

    struct card_limits:
        uint32_t joint_max
        uint32_t one_size_max
        uint32_t behind_word_max
        uint32_t whole_digits_max
        uint32_t mask_stars
        uint32_t phone_lengths

    int CARD_GROUPS_MAX, CARD_GROUP_BITS, CARD_DIGIT, CARD_SEPARATOR, CARD_POINT, CARD_COMMA, CARD_UNSEEN
    int card_data_set(const card_issuer *issuers, size_t issuer_count, const uint32_t *groupings,
                      size_t grouping_count, const card_class *classes, size_t class_count, const card_limits *limits)
    size_t card_hide(const uint8_t *text, size_t length, card_span *spans, size_t capacity)


cdef int set_card_data() except -1:
    cdef card_issuer issuers[64]
    cdef uint32_t groupings[32]
    cdef card_class classes[256]
    cdef size_t issuer_count = 0, grouping_count = 0, class_count = 0
    kinds = {"digit": CARD_DIGIT, "separator": CARD_SEPARATOR, "point": CARD_POINT, "comma": CARD_COMMA,
             "unseen": CARD_UNSEEN}
    for issuer in cards.ISSUERS[:64]:
        lengths = sum([1 << length for length in issuer.lengths])
        issuers[issuer_count] = card_issuer(issuer.low, issuer.high, lengths, issuer.grouped)
        issuer_count += 1
    for grouping in sorted(cards.GROUPINGS)[:32]:
        if len(grouping) > CARD_GROUPS_MAX:
            raise ValueError(f"the grouping {grouping} has more groups than {CARD_GROUPS_MAX}")
        groupings[grouping_count] = 0
        for size in grouping:
            groupings[grouping_count] = groupings[grouping_count] << CARD_GROUP_BITS | <uint32_t> size
        grouping_count += 1
    all_classes = cards.classes()
    for first, last, kind in all_classes[:256]:
        classes[class_count] = card_class(first, last, kinds[kind])
        class_count += 1
    cdef card_limits limits = card_limits(
        cards.JOINT_MAX,
        cards.ONE_SIZE_MAX,
        cards.BEHIND_WORD_MAX,
        cards.WHOLE_DIGITS_MAX,
        cards.MASK_STARS,
        sum([1 << n for n in cards.PHONE_LENGTHS]),
    )
    if len(cards.ISSUERS) > 64 or len(cards.GROUPINGS) > 32 or len(all_classes) > 256 or card_data_set(
        issuers, issuer_count, groupings, grouping_count, classes, class_count, &limits
    ):
        raise ValueError("scoring/cards.py has more issuers than 64, groupings than 32 or classes than 256")
    return 0


set_card_data()

cdef enum:
    SPANS_AT_ONCE = 32


def find_card_numbers(fields) -> list[list[tuple[int, int]]]:
    """`scoring._pure.find_card_numbers`, with the GIL released where that pays."""
    cdef const uint8_t *data
    cdef Py_ssize_t length
    cdef size_t count
    cdef card_span few[SPANS_AT_ONCE]
    cdef card_span *spans
    found = []
    for field in fields:
        wide = isinstance(field, str)
        data = <const uint8_t *> utf8_of(field, &length) if wide else NULL
        if data == NULL:
            content = str.encode(field, "utf-8", "surrogatepass") if wide else memoryview(field).tobytes()
            data = <const uint8_t *> PyBytes_AsString(content)
            length = len(<bytes> content)
        wide = wide and len(<str> field) != length
        count = hide_cards(data, length, few, SPANS_AT_ONCE)
        if count <= SPANS_AT_ONCE:
            found.append(card_spans(data, few, count, wide) if count else [])
            continue
        spans = <card_span *> PyMem_Malloc(count * sizeof(card_span))
        if spans == NULL:
            raise MemoryError
        try:
            hide_cards(data, length, spans, count)
            found.append(card_spans(data, spans, count, wide))
        finally:
            PyMem_Free(spans)
    return found


cdef size_t hide_cards(const uint8_t *data, size_t length, card_span *spans, size_t capacity):
    cdef size_t count
    if length < BYTES_WORTH_THE_GIL:
        return card_hide(data, length, spans, capacity)
    with nogil:
        count = card_hide(data, length, spans, capacity)
    return count


cdef list card_spans(const uint8_t *data, const card_span *spans, size_t count, bint wide):
    """The spans in bytes, or where characters are `wide` in characters, one of which begins at each byte that
    continues none."""
    cdef size_t i, at = 0, characters = 0, start
    found = []
    for i in range(count):
        if not wide:
            found.append((spans[i].start, spans[i].end))
            continue
        while at < spans[i].start:
            characters += data[at] & 0xC0 != 0x80
            at += 1
        start = characters
        while at < spans[i].end:
            characters += data[at] & 0xC0 != 0x80
            at += 1
        found.append((start, characters))
    return found


# ---- scores -----------------------------------------------------------------------------------------------------


cdef uint64_t PARTS = FULL, WEIGHT_MAX = WEIGHT_FULL
# By an action's number; NO_ACTION where a number is none.
cdef uint64_t NO_ACTION = 0xFFFFFFFFFFFFFFFF
cdef uint64_t RISKS[256]
cdef dict ACTION_NAMES = {number: action for action, number in ACTION_NUMBERS.items()}
cdef uint8_t WEAKEST = ACTION_NUMBERS["score"]
cdef object AMOUNT_ID = AMOUNT_RULE_ID
cdef object SCORE = Score
# The named tuple's own constructor is a Python function over this one.
cdef object NEW_TUPLE = tuple.__new__


cdef int set_action_risks() except -1:
    for number in range(256):
        RISKS[number] = NO_ACTION
    for action, number in ACTION_NUMBERS.items():
        RISKS[number] = ACTION_RISKS[action]
    return 0


set_action_risks()


cdef uint64_t survival_of(amount_minor) except? 0xFFFFFFFFFFFFFFFF:
    """`scoring._pure.amount_survival`; raises for what is no amount."""
    cdef int overflow = 0
    cdef int64_t amount
    if type(amount_minor) is not int:
        raise TypeError(f"amount_minor must be int, not {type(amount_minor).__name__}")
    amount = PyLong_AsLongLongAndOverflow(amount_minor, &overflow)
    if overflow < 0 or (overflow == 0 and amount <= 0):
        raise ValueError(f"amount_minor must be above 0, not {amount_minor}")
    if overflow:  # an amount of more than 63 bits leaves nothing
        return 0
    if amount <= 10_000:
        return PARTS - 3 * PARTS // 10 * <uint64_t> amount // 10_000
    if amount <= 50_000:
        return 7 * PARTS // 10 - 3 * PARTS // 10 * <uint64_t> (amount - 10_000) // 40_000
    return 20_000 * PARTS // <uint64_t> amount


def score_batch(table, payments, *, iterations, pepper) -> list[Score]:
    """`scoring._pure.score_batch`: all fingerprints and all fields in one call, with the GIL released."""
    cdef MappedTable mapped = map_table(table)
    cdef list batch = list(payments), identities = [], fields = []
    cdef uint64_t rounds = count_of("iterations", iterations)
    cdef bytes prefix = bytes(memoryview(pepper)) + b"\x1f"
    cdef const uint8_t *prefix_data = <const uint8_t *> PyBytes_AsString(prefix)
    cdef size_t prefix_length = len(prefix), count = len(batch)
    cdef Messages messages
    cdef Texts texts
    cdef screen_hits hits = screen_hits(NULL, 0, 0), blocked = screen_hits(NULL, 0, 0)
    cdef int failed
    cdef uint8_t action
    cdef size_t i, at = 0, blocked_at = 0, text = 0, end
    cdef const screen_rule *rule
    cdef uint64_t survival, left, risk, least
    # For each payment 8 bytes of survival, 32 of digest, 64 of fingerprint.
    cdef uint64_t *survivals = <uint64_t *> PyMem_Malloc(count * 104 + 1)
    cdef uint8_t *digests = <uint8_t *> &survivals[count]
    cdef uint8_t *fingerprints = &digests[32 * count]
    if survivals == NULL:
        raise MemoryError
    try:
        for i in range(count):
            payment = batch[i]
            survivals[i] = survival_of(payment.amount_minor)
            identities.append(payment.identity)
            fields.append(field_tuple(payment.fields))
        messages = Messages(identities)
        texts = Texts(fields)
        with nogil:
            sha256_messages(prefix_data, prefix_length, messages.messages, count, rounds, digests)
            failed = screen_texts(&mapped.table, texts.texts, texts.count, &hits)
            for i in range(count):
                write_hex(&digests[32 * i], &fingerprints[64 * i])
                failed |= screen_value(&mapped.table, FIELD_FINGERPRINT, &fingerprints[64 * i], 64, i, &blocked)
            screen_hits_settle(&blocked)
        if failed:
            raise MemoryError
        scores = []
        for i in range(count):
            survival = survivals[i]
            reasons = [(AMOUNT_ID, PARTS - survival)]
            action, least = WEAKEST, RISKS[WEAKEST]
            end = text + len(<tuple> fields[i])
            text = end
            if (at < hits.count and hits.items[at] >> 32 < end) or (
                blocked_at < blocked.count and blocked.items[blocked_at] >> 32 == i
            ):
                indexes = set()
                while at < hits.count and hits.items[at] >> 32 < end:
                    indexes.add(<uint32_t> hits.items[at])
                    at += 1
                while blocked_at < blocked.count and blocked.items[blocked_at] >> 32 == i:
                    indexes.add(<uint32_t> blocked.items[blocked_at])
                    blocked_at += 1
                for index in sorted(indexes):
                    rule = &mapped.table.rules[<uint32_t> index]
                    if rule.weight > WEIGHT_MAX or RISKS[rule.action] == NO_ACTION:
                        table.rule_at(index)  # says that the rule is damaged
                    left = survival * (WEIGHT_MAX - rule.weight) // WEIGHT_MAX
                    reasons.append((rule.id, survival - left))
                    survival = left
                    if RISKS[rule.action] > least:
                        action, least = rule.action, RISKS[rule.action]
            risk = PARTS - survival
            if risk < least:
                risk = least
            scores.append(
                NEW_TUPLE(
                    SCORE,
                    (
                        PyUnicode_DecodeASCII(<const char *> &fingerprints[64 * i], 64, NULL),
                        risk,
                        100 * risk // PARTS,
                        ACTION_NAMES[action],
                        tuple(reasons),
                    ),
                )
            )
        return scores
    finally:
        PyMem_Free(survivals)
        free(hits.items)
        free(blocked.items)


cdef void write_hex(const uint8_t *digest, uint8_t *text) noexcept nogil:
    cdef int i
    cdef uint8_t nibble
    for i in range(64):
        nibble = digest[i >> 1] >> (0 if i & 1 else 4) & 15
        text[i] = nibble + (48 if nibble < 10 else 87)

# cython: language_level=3, embedsignature=False, emit_code_comments=False
"""The compiled twin: the functions of `scoring._pure`, bit for bit, over C kernels.

No numpy, ctypes or hashlib is imported here: all of it would be paid in a cold start.
"""
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from scoring.model import ACTIONS, AMOUNT_RULE_ID, FULL, REVIEW_RISK, WEIGHT_FULL, Score


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


def screen(table, fields):
    from scoring import _pure

    return _pure.screen(table, fields)


def find_card_numbers(fields):
    from scoring import _pure

    return _pure.find_card_numbers(fields)


def amount_survival(amount_minor) -> int:
    """Parts per 10**9 of survival that an amount leaves; Python's integers, because amounts may pass 64 bits."""
    if amount_minor <= 10_000:
        return FULL - 3 * FULL // 10 * amount_minor // 10_000
    if amount_minor <= 50_000:
        return 7 * FULL // 10 - 3 * FULL // 10 * (amount_minor - 10_000) // 40_000
    return 20_000 * FULL // amount_minor


def score_batch(table, payments, *, iterations, pepper) -> list[Score]:
    """`scoring._pure.score_batch`: all fingerprints in one call of the kernels, with the GIL released."""
    from scoring import _pure

    payments = list(payments)
    for payment in payments:
        if type(payment.amount_minor) is not int:
            raise TypeError(f"amount_minor must be int, not {type(payment.amount_minor).__name__}")
        if payment.amount_minor <= 0:
            raise ValueError(f"amount_minor must be above 0, not {payment.amount_minor}")
    cdef uint64_t rounds = count_of("iterations", iterations)
    digests = hash_chains(pepper + b"\x1f", [payment.identity for payment in payments], rounds)
    screened = screen(table, [payment.fields for payment in payments])
    scores = []
    for payment, digest, fields in zip(payments, digests, screened):
        fingerprint = digest.hex()
        hits = {rule_id for field in fields for rule_id in field}
        hits.update(_pure.fingerprint_hits(table, fingerprint))
        survival = amount_survival(payment.amount_minor)
        reasons = [(AMOUNT_RULE_ID, FULL - survival)]
        action = 0
        for rule_id in sorted(hits):
            rule = table.rule(rule_id)
            left = survival * (WEIGHT_FULL - rule.weight) // WEIGHT_FULL
            reasons.append((rule_id, survival - left))
            survival = left
            action = max(action, ACTIONS.index(rule.action))
        risk = (FULL - survival, max(FULL - survival, REVIEW_RISK), FULL)[action]
        scores.append(Score(fingerprint, risk, 100 * risk // FULL, ACTIONS[action], tuple(reasons)))
    return scores

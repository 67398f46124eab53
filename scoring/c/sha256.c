/* Which kernel hashes what: detection, selection, and the ends of a chain where digests are bytes. */
#include "sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__)
static int x86_registers_enabled(uint32_t mask)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & mask) == mask;
}

static int has_shani(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}

static int has_avx512(void)
{
    uint32_t a, b, c, d;
    /* OSXSAVE first: without it xgetbv itself is an illegal instruction. Registers: SSE, AVX, opmask and both ZMM halves. */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !x86_registers_enabled(0xe6))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 16));
}
#endif

#if defined(__aarch64__)
static int has_armv8_sha2(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
#elif defined(__APPLE__)
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname("hw.optional.arm.FEAT_SHA256", &value, &size, NULL, 0) == 0 && value != 0;
#else
    return 0;
#endif
}
#endif

const char *const sha256_kernel_names[] = {
    "portable-1", "armv8-1", "armv8-2", "shani-1", "shani-2", "shani-4", "avx512-16", NULL,
};

enum { SHANI = 1, AVX512 = 2, ARMV8_SHA2 = 4 };

static unsigned features(void)
{
#if defined(__x86_64__)
    return (has_shani() ? SHANI : 0) | (has_avx512() ? AVX512 : 0);
#elif defined(__aarch64__)
    return has_armv8_sha2() ? ARMV8_SHA2 : 0;
#else
    return 0;
#endif
}

/* The kernels of this build, widest first, and what they need of a processor; of neighbours with one name the first that
 * is present counts. Every array of kernels is sized from this list. */
static const struct {
    unsigned needs;
    struct sha256_kernel kernel;
} built[] = {
#if defined(__x86_64__)
    /* Crossovers: sixteen lanes cost 142 ns a round on Zen 5, four 67, a pair 40 and one alone 32; on Sapphire Rapids
     * sixteen cost 384 and a pair 96. With the portable kernel below, 110 ns a lane. */
    {AVX512 | SHANI, {"avx512-16", "avx512", 16, 9, sha256_avx512_chain_16, NULL}},
    {AVX512, {"avx512-16", "avx512", 16, 3, sha256_avx512_chain_16, NULL}},
    {SHANI, {"shani-4", "shani", 4, 3, sha256_shani_chain_4, sha256_shani_compress}},
    {SHANI, {"shani-2", "shani", 2, 2, sha256_shani_chain_2, sha256_shani_compress}},
    {SHANI, {"shani-1", "shani", 1, 1, sha256_shani_chain_1, sha256_shani_compress}},
#elif defined(__aarch64__)
    {ARMV8_SHA2, {"armv8-2", "armv8", 2, 2, sha256_armv8_chain_2, sha256_armv8_compress}},
    {ARMV8_SHA2, {"armv8-1", "armv8", 1, 1, sha256_armv8_chain_1, sha256_armv8_compress}},
#endif
    {0, {"portable-1", "portable", 1, 1, sha256_portable_chain_1, sha256_portable_compress}},
};
enum { BUILT = sizeof built / sizeof *built };

static struct sha256_kernel present[BUILT];
/* The kernels in use, widest first; the last is worth it from one lane on. */
static struct sha256_kernel plan[BUILT];
static sha256_compress_function *compress = sha256_portable_compress;

size_t sha256_kernels(const struct sha256_kernel **kernels)
{
    const unsigned has = features();
    size_t count = 0;
    for (size_t i = 0; i < BUILT; i++) {
        const struct sha256_kernel *kernel = &built[i].kernel;
        if ((built[i].needs & has) == built[i].needs && !(count && !strcmp(present[count - 1].name, kernel->name)))
            present[count++] = *kernel;
    }
    *kernels = present;
    return count;
}

int sha256_select(const char *name)
{
    const struct sha256_kernel *kernels;
    size_t count = sha256_kernels(&kernels), chosen = 0;
    int automatic = strcmp(name, "auto") == 0;
    struct sha256_kernel choice[BUILT];
    sha256_compress_function *one_message = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!automatic && strcmp(name, kernels[i].name) != 0)
            continue;
        choice[chosen++] = kernels[i];
        if (kernels[i].worth_from == 1 && automatic)
            break; /* nothing below the first kernel for one lane is ever reached */
    }
    if (chosen == 0)
        return -1;
    choice[chosen - 1].worth_from = 1;
    for (size_t i = 0; i < count && one_message == NULL; i++)
        one_message = choice[chosen - 1].compress ? choice[chosen - 1].compress : kernels[i].compress;

    memcpy(plan, choice, chosen * sizeof *choice);
    compress = one_message;
    return 0;
}

const struct sha256_kernel *sha256_selected(void)
{
    return &plan[0];
}

static void chain(uint32_t states[][8], size_t lanes, uint64_t rounds)
{
    while (lanes > 0) {
        const struct sha256_kernel *kernel = plan;
        while (lanes < kernel->worth_from)
            kernel++;
        if (lanes >= kernel->lanes) {
            kernel->chain(states, rounds);
            states += kernel->lanes;
            lanes -= kernel->lanes;
        } else { /* the lanes that are too many hash zeros */
            uint32_t padded[SHA256_LANES_MAX][8] = {{0}};
            memcpy(padded, states, lanes * sizeof *states);
            kernel->chain(padded, rounds);
            memcpy(states, padded, lanes * sizeof *states);
            lanes = 0;
        }
    }
}

struct stream {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
};

static void start(struct stream *stream)
{
    memcpy(stream->state, sha256_initial, sizeof stream->state);
    stream->length = 0;
}

static void update(struct stream *stream, const uint8_t *data, size_t length)
{
    size_t held = stream->length % 64;
    stream->length += length;
    if (held + length < 64) {
        if (length > 0)
            memcpy(stream->block + held, data, length);
        return;
    }
    if (held > 0) {
        memcpy(stream->block + held, data, 64 - held);
        compress(stream->state, stream->block, 1);
        data += 64 - held;
        length -= 64 - held;
    }
    if (length >= 64)
        compress(stream->state, data, length / 64);
    if (length % 64 > 0)
        memcpy(stream->block, data + length / 64 * 64, length % 64);
}

static void finish(struct stream *stream)
{
    size_t held = stream->length % 64;
    uint8_t tail[128] = {0};
    size_t size = held < 56 ? 64 : 128;
    memcpy(tail, stream->block, held);
    tail[held] = 0x80;
    for (int i = 0; i < 8; i++)
        tail[size - 1 - i] = (uint8_t)(stream->length * 8 >> 8 * i);
    compress(stream->state, tail, size / 64);
}

static void hash(uint32_t digest[8], const uint8_t *prefix, size_t prefix_length, const uint8_t *data, size_t length)
{
    struct stream stream;
    start(&stream);
    update(&stream, prefix, prefix_length);
    update(&stream, data, length);
    finish(&stream);
    memcpy(digest, stream.state, sizeof stream.state);
}

static void to_bytes(const uint32_t state[8], uint8_t digest[32])
{
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++)
            digest[4 * i + j] = (uint8_t)(state[i] >> (24 - 8 * j));
}

void sha256_messages(const uint8_t *prefix, size_t prefix_length, const struct sha256_message *messages, size_t count,
                   uint64_t rounds, uint8_t *digests)
{
    uint32_t states[SHA256_LANES_MAX][8];
    for (size_t first = 0; first < count; first += SHA256_LANES_MAX) {
        size_t lanes = count - first < SHA256_LANES_MAX ? count - first : SHA256_LANES_MAX;
        for (size_t lane = 0; lane < lanes; lane++)
            hash(states[lane], prefix, prefix_length, messages[first + lane].data, messages[first + lane].length);
        chain(states, lanes, rounds);
        for (size_t lane = 0; lane < lanes; lane++)
            to_bytes(states[lane], digests + 32 * (first + lane));
    }
}

void sha256_cold_start_work(uint64_t operations, size_t lanes, uint8_t digest[32])
{
    uint64_t whole = operations / lanes, extra = operations % lanes;
    struct stream ends;
    start(&ends);
    for (size_t first = 0; first < lanes; first += SHA256_LANES_MAX) {
        size_t width = lanes - first < SHA256_LANES_MAX ? lanes - first : SHA256_LANES_MAX;
        size_t longer = extra <= first ? 0 : extra - first < width ? (size_t)(extra - first) : width;
        uint32_t states[SHA256_LANES_MAX][8];
        for (size_t lane = 0; lane < width; lane++) {
            uint32_t number = (uint32_t)(first + lane);
            uint8_t message[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
            hash(states[lane], NULL, 0, message, sizeof message);
        }
        chain(states, width, whole);
        chain(states, longer, 1);
        for (size_t lane = 0; lane < width; lane++) {
            uint8_t end[32];
            to_bytes(states[lane], end);
            update(&ends, end, sizeof end);
        }
    }
    finish(&ends);
    to_bytes(ends.state, digest);
}

/* SHA-256 (FIPS 180-4) for chains: x = SHA-256(x), many times over a digest, on as many digests as a processor takes at once.
 *
 * A digest stays eight words in host order from the first round to the last; bytes exist only at the two ends. */
#ifndef SCORING_SHA256_H
#define SCORING_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LANES_MAX 16

/* Loops over rounds are unrolled whole: only then are indexes into schedule and constants known, and registers enough. */
#if defined(__clang__)
#define SHA256_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SHA256_UNROLL _Pragma("GCC unroll 64")
#endif

/* FIPS 180-4, 4.2.2 and 5.3.3. In the header, so that every kernel's sums with them fold at compile time. */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t sha256_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* Takes `blocks` blocks of 64 bytes into `state`. */
typedef void sha256_compress_function(uint32_t state[8], const uint8_t *data, size_t blocks);

/* Replaces each state of the kernel's fixed number of lanes by its hash, `rounds` times. */
typedef void sha256_chain_function(uint32_t states[][8], uint64_t rounds);

struct sha256_kernel {
    const char *name;            /* instruction set and lanes: "shani-2" */
    const char *instruction_set; /* "shani" */
    size_t lanes;
    size_t worth_from; /* the fewest lanes left for which `auto` takes it: a measured crossover */
    sha256_chain_function *chain;
    sha256_compress_function *compress; /* NULL where the instruction set has nothing for one message */
};

sha256_compress_function sha256_portable_compress, sha256_shani_compress, sha256_armv8_compress;
sha256_chain_function sha256_portable_chain_1, sha256_shani_chain_1, sha256_shani_chain_2, sha256_shani_chain_4,
    sha256_avx512_chain_16, sha256_armv8_chain_1, sha256_armv8_chain_2;

/* Kernels that this processor can run, widest first; the last is always portable. */
size_t sha256_kernels(const struct sha256_kernel **kernels);

/* Every kernel name that any build knows, ended by NULL: to tell a processor's lack from a misspelt name. */
extern const char *const sha256_kernel_names[];

/* Takes kernel `name` alone into use, or with "auto" the best for each number of lanes. Returns 0, or -1 where no kernel
 * present has that name. Not for use while another thread hashes. */
int sha256_select(const char *name);

/* What sha256_select chose: for auto the widest kernel, which is what many messages meet. */
const struct sha256_kernel *sha256_selected(void);

struct sha256_message {
    const uint8_t *data;
    size_t length;
};

/* digests[32 i ..] = SHA-256(prefix || messages[i]), hashed `rounds` times more. Needs neither the GIL nor memory. */
void sha256_messages(const uint8_t *prefix, size_t prefix_length, const struct sha256_message *messages, size_t count,
                   uint64_t rounds, uint8_t *digests);

/* `operations` rounds shared by `lanes` chains; chain i starts at SHA-256(i as 4 bytes, little-endian), and the first
 * operations % lanes take one round more. digest = SHA-256 of all ends, joined. lanes >= 1. */
void sha256_cold_start_work(uint64_t operations, size_t lanes, uint8_t digest[32]);

#endif

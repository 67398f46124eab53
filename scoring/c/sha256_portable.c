/* SHA-256 in plain C: every processor's fallback, and what the other kernels are held against. */
#include "sha256.h"

#include <string.h>

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define CH(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#define MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#define BIG_SIGMA_0(x) (ROTATE(x, 2) ^ ROTATE(x, 13) ^ ROTATE(x, 22))
#define BIG_SIGMA_1(x) (ROTATE(x, 6) ^ ROTATE(x, 11) ^ ROTATE(x, 25))
#define SMALL_SIGMA_0(x) (ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x) >> 3)
#define SMALL_SIGMA_1(x) (ROTATE(x, 17) ^ ROTATE(x, 19) ^ (x) >> 10)

/* The 64 rounds over the words `w`, which it overwrites with the schedule. Inlined where w[8..15] are constants, the
 * compiler folds what they make constant in the schedule. */
static inline __attribute__((always_inline)) void block(uint32_t state[8], uint32_t w[16])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    SHA256_UNROLL
    for (int i = 0; i < 64; i++) {
        if (i >= 16)
            w[i % 16] += SMALL_SIGMA_0(w[(i + 1) % 16]) + w[(i + 9) % 16] + SMALL_SIGMA_1(w[(i + 14) % 16]);
        uint32_t t1 = h + BIG_SIGMA_1(e) + CH(e, f, g) + sha256_k[i] + w[i % 16];
        uint32_t t2 = BIG_SIGMA_0(a) + MAJ(a, b, c);
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void sha256_portable_compress(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += 64) {
        uint32_t w[16];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 |
                   data[4 * i + 3];
        block(state, w);
    }
}

void sha256_portable_chain_1(uint32_t states[][8], uint64_t rounds)
{
    uint32_t digest[8];
    memcpy(digest, states[0], sizeof digest);
    for (; rounds > 0; rounds--) {
        uint32_t w[16] = {digest[0], digest[1], digest[2],  digest[3], digest[4], digest[5], digest[6], digest[7],
                          0x80000000, 0, 0, 0, 0, 0, 0, 256};
        memcpy(digest, sha256_initial, sizeof digest);
        block(digest, w);
    }
    memcpy(states[0], digest, sizeof digest);
}

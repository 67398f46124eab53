/* Sixteen chains of SHA-256 at once with AVX-512: one chain an element, a rotation and a three-input function each one
 * instruction. Not to be had on arm64. */
#include "sha256.h"

#include <immintrin.h>

#define ROTATE(x, n) _mm512_ror_epi32(x, n)
#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define CH(e, f, g) _mm512_ternarylogic_epi32(e, f, g, 0xca)
#define MAJ(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define BIG_SIGMA_0(x) XOR3(ROTATE(x, 2), ROTATE(x, 13), ROTATE(x, 22))
#define BIG_SIGMA_1(x) XOR3(ROTATE(x, 6), ROTATE(x, 11), ROTATE(x, 25))
#define SMALL_SIGMA_0(x) XOR3(ROTATE(x, 7), ROTATE(x, 18), _mm512_srli_epi32(x, 3))
#define SMALL_SIGMA_1(x) XOR3(ROTATE(x, 17), ROTATE(x, 19), _mm512_srli_epi32(x, 10))
#define EVERY(word) _mm512_set1_epi32((int)(word))
#define INLINE static inline __attribute__((always_inline))

/* Sums and differences as they are written. Compilers regroup terms, by what comes first rather than by what is late: the
 * shape below then costs 16.1 instead of 10.2 ns a hash (GCC 12, Zen 5). */
INLINE __m512i as_written(__m512i x)
{
    __asm__("" : "+v"(x));
    return x;
}

INLINE __m512i sum(__m512i x, __m512i y)
{
    return as_written(_mm512_add_epi32(x, y));
}

INLINE __m512i difference(__m512i x, __m512i y)
{
    return as_written(_mm512_sub_epi32(x, y));
}

#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n))) /* of one word */

/* Words 8-15 of a 32-byte message. */
static const uint32_t padding[16] = {[8] = 0x80000000, [15] = 256};

/* Word i >= 16 of the schedule, where w[j % 16] holds word j of the sixteen before it. The compiler knows i: what comes
 * from the padding is summed when compiling, a tenth of the schedule. */
INLINE __m512i schedule(const __m512i w[16], int i)
{
    uint32_t known = 0;
    __m512i word = _mm512_setzero_si512();
    if (i - 16 < 8 || i - 16 >= 16)
        word = w[i % 16];
    else
        known += padding[i - 16];
    if (i - 15 < 8 || i - 15 >= 16)
        word = _mm512_add_epi32(word, SMALL_SIGMA_0(w[(i + 1) % 16]));
    else
        known += ROTATED(padding[i - 15], 7) ^ ROTATED(padding[i - 15], 18) ^ padding[i - 15] >> 3;
    if (i - 7 >= 16)
        word = _mm512_add_epi32(word, w[(i + 9) % 16]);
    else
        known += padding[i - 7];
    if (i - 2 < 16)
        known += ROTATED(padding[i - 2], 17) ^ ROTATED(padding[i - 2], 19) ^ padding[i - 2] >> 10;
    if (known != 0)
        word = _mm512_add_epi32(word, EVERY(known));
    return i - 2 < 16 ? word : sum(word, SMALL_SIGMA_1(w[(i + 14) % 16])); /* last, for it comes from the youngest */
}

void sha256_avx512_chain_16(uint32_t states[][8], uint64_t rounds)
{
    const __m512i lane = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            EVERY(8));
    uint32_t constants[64];
    __m512i digest[8];
    for (int i = 0; i < 64; i++)
        constants[i] = sha256_k[i] + (i < 16 ? padding[i] : 0);
    for (int i = 0; i < 8; i++)
        digest[i] = _mm512_i32gather_epi32(lane, &states[0][i], 4);

    for (; rounds > 0; rounds--) {
        __m512i w[16], s[8];
        /* Hidden from the compiler: the addition then broadcasts its operand from memory, where a known value would be
         * loaded into a register of the other kind and moved over. */
        const uint32_t *constant = constants, *initial = sha256_initial;
        __asm__ volatile("" : "+r"(constant), "+r"(initial) : : "memory");
        for (int i = 0; i < 8; i++) {
            w[i] = digest[i];
            s[i] = EVERY(initial[i]);
        }
        SHA256_UNROLL
        for (int i = 0; i < 64; i++) {
            if (i >= 16)
                w[i % 16] = schedule(w, i);
            __m512i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
            __m512i early = sum(h, i < 8 || i >= 16 ? sum(w[i % 16], EVERY(constant[i])) : EVERY(constant[i]));
            /* Shaped for the shortest way from this round's a and e to the next one's, an addition more than in the
             * standard: an instruction takes two cycles, and with T1 and T2 the kernel waits for them. */
            s[4] = sum(sum(sum(d, early), CH(e, f, g)), BIG_SIGMA_1(e));
            s[0] = sum(sum(s[4], difference(MAJ(a, b, c), d)), BIG_SIGMA_0(a));
            s[1] = a;
            s[2] = b;
            s[3] = c;
            s[5] = e;
            s[6] = f;
            s[7] = g;
        }
        for (int i = 0; i < 8; i++)
            digest[i] = sum(s[i], EVERY(initial[i]));
    }
    for (int i = 0; i < 8; i++)
        _mm512_i32scatter_epi32(&states[0][i], lane, digest[i], 4);
}

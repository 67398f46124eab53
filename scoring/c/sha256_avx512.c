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
#define ADD(x, y) _mm512_add_epi32(x, y)
#define EVERY(word) _mm512_set1_epi32((int)(word))

/* Words 8-15 of a 32-byte message. */
static const uint32_t padding[16] = {[8] = 0x80000000, [15] = 256};

void sha256_avx512_chain_16(uint32_t states[][8], uint64_t rounds)
{
    const __m512i lane = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            EVERY(8));
    __m512i digest[8];
    for (int i = 0; i < 8; i++)
        digest[i] = _mm512_i32gather_epi32(lane, &states[0][i], 4);

    for (; rounds > 0; rounds--) {
        __m512i w[16], s[8];
        for (int i = 0; i < 8; i++) {
            w[i] = digest[i];
            s[i] = EVERY(sha256_initial[i]);
        }
        for (int i = 8; i < 16; i++)
            w[i] = EVERY(padding[i]);
        SHA256_UNROLL
        for (int i = 0; i < 64; i++) {
            if (i >= 16)
                w[i % 16] = ADD(ADD(w[i % 16], SMALL_SIGMA_0(w[(i + 1) % 16])),
                                ADD(w[(i + 9) % 16], SMALL_SIGMA_1(w[(i + 14) % 16])));
            __m512i input = i < 8 || i >= 16 ? ADD(w[i % 16], EVERY(sha256_k[i])) : EVERY(sha256_k[i] + padding[i % 16]);
            __m512i t1 = ADD(ADD(ADD(s[7], input), CH(s[4], s[5], s[6])), BIG_SIGMA_1(s[4]));
            __m512i t2 = ADD(BIG_SIGMA_0(s[0]), MAJ(s[0], s[1], s[2]));
            s[7] = s[6];
            s[6] = s[5];
            s[5] = s[4];
            s[4] = ADD(s[3], t1);
            s[3] = s[2];
            s[2] = s[1];
            s[1] = s[0];
            s[0] = ADD(t1, t2);
        }
        for (int i = 0; i < 8; i++)
            digest[i] = ADD(s[i], EVERY(sha256_initial[i]));
    }
    for (int i = 0; i < 8; i++)
        _mm512_i32scatter_epi32(&states[0][i], lane, digest[i], 4);
}

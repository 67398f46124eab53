/* SHA-256 with the ARMv8 cryptography extension: one chain bound by latency, two interleaved bound by throughput. */
#include "sha256.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
#define CONSTANTS(i) vld1q_u32(&sha256_k[i])

INLINE void four_rounds(uint32x4_t *abcd, uint32x4_t *efgh, uint32x4_t words_and_constants)
{
    uint32x4_t before = *abcd;
    *abcd = vsha256hq_u32(*abcd, *efgh, words_and_constants);
    *efgh = vsha256h2q_u32(*efgh, before, words_and_constants);
}

/* Words 4i .. 4i+3 of the schedule, from the sixteen before them; words 4j .. 4j+3 lie in w[j % 4]. */
INLINE uint32x4_t schedule(const uint32x4_t w[4], int i)
{
    return vsha256su1q_u32(vsha256su0q_u32(w[i % 4], w[(i + 1) % 4]), w[(i + 2) % 4], w[(i + 3) % 4]);
}

void sha256_armv8_compress(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; blocks > 0; blocks--, data += 64) {
        uint32x4_t abcd_before = abcd, efgh_before = efgh, w[4];
        SHA256_UNROLL
        for (int i = 0; i < 16; i++) {
            w[i % 4] = i < 4 ? vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i))) : schedule(w, i);
            four_rounds(&abcd, &efgh, vaddq_u32(w[i % 4], CONSTANTS(4 * i)));
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

INLINE void chains(uint32_t states[][8], uint64_t rounds, const int lanes)
{
    const uint32x4_t padding_2 = {0x80000000, 0, 0, 0}, padding_3 = {0, 0, 0, 256};
    const uint32x4_t initial_0 = vld1q_u32(sha256_initial), initial_1 = vld1q_u32(sha256_initial + 4);
    const uint32x4_t constants_0 = vaddq_u32(initial_0, CONSTANTS(0)), constants_1 = vaddq_u32(initial_1, CONSTANTS(4));
    const uint32x4_t constants_2 = vaddq_u32(padding_2, CONSTANTS(8)), constants_3 = vaddq_u32(padding_3, CONSTANTS(12));
    uint32x4_t abcd[2], efgh[2]; /* an end of a hash before the initial value is added */

    for (int lane = 0; lane < lanes; lane++) {
        abcd[lane] = vsubq_u32(vld1q_u32(states[lane]), initial_0);
        efgh[lane] = vsubq_u32(vld1q_u32(states[lane] + 4), initial_1);
    }
    for (; rounds > 0; rounds--) {
        uint32x4_t w[2][4], upper[2], lower[2];
        /* Hidden from the compiler, which would else keep all constants in registers and spill what two chains need. */
        const uint32_t *constants = sha256_k, *initial = sha256_initial;
        __asm__ volatile("" : "+r"(constants), "+r"(initial));
        const uint32x4_t initial_0 = vld1q_u32(initial), initial_1 = vld1q_u32(initial + 4);
        for (int lane = 0; lane < lanes; lane++) {
            w[lane][0] = vaddq_u32(abcd[lane], initial_0);
            w[lane][1] = vaddq_u32(efgh[lane], initial_1);
            w[lane][2] = padding_2;
            w[lane][3] = padding_3;
            /* The sum of initial value and round constants is itself constant: one addition less before a round. */
            upper[lane] = vaddq_u32(abcd[lane], constants_0);
            lower[lane] = vaddq_u32(efgh[lane], constants_1);
            abcd[lane] = initial_0;
            efgh[lane] = initial_1;
        }
        SHA256_UNROLL
        for (int i = 0; i < 16; i++)
            for (int lane = 0; lane < lanes; lane++) {
                if (i == 6) /* words 8-12 make the first half of this step constant */
                    w[lane][2] = vsha256su1q_u32(padding_2, w[lane][0], w[lane][1]);
                else if (i >= 4)
                    w[lane][i % 4] = schedule(w[lane], i);
                four_rounds(&abcd[lane], &efgh[lane],
                            i == 0   ? upper[lane]
                            : i == 1 ? lower[lane]
                            : i == 2 ? constants_2
                            : i == 3 ? constants_3
                                     : vaddq_u32(w[lane][i % 4], vld1q_u32(constants + 4 * i)));
            }
    }
    for (int lane = 0; lane < lanes; lane++) {
        vst1q_u32(states[lane], vaddq_u32(abcd[lane], initial_0));
        vst1q_u32(states[lane] + 4, vaddq_u32(efgh[lane], initial_1));
    }
}

void sha256_armv8_chain_1(uint32_t states[][8], uint64_t rounds)
{
    chains(states, rounds, 1);
}

void sha256_armv8_chain_2(uint32_t states[][8], uint64_t rounds)
{
    chains(states, rounds, 2);
}

/* SHA-256 with the x86 SHA extensions (SHA-NI): one chain bound by latency, four interleaved bound by throughput.
 *
 * `sha256rnds2` wants the state as (F, E, B, A) and (H, G, D, C), lowest element first; one shuffle of both halves turns
 * an end of one hash into words 0-3, another into words 4-7 of the next. */
#include "sha256.h"

#include <immintrin.h>

#define WORDS(a, b, c, d) _mm_setr_epi32((int)(a), (int)(b), (int)(c), (int)(d))
#define CONSTANTS(i) _mm_loadu_si128((const __m128i *)&sha256_k[i])
#define FEBA WORDS(sha256_initial[5], sha256_initial[4], sha256_initial[1], sha256_initial[0])
#define HGDC WORDS(sha256_initial[7], sha256_initial[6], sha256_initial[3], sha256_initial[2])
#define INLINE static inline __attribute__((always_inline))

INLINE __m128i upper_words(__m128i feba, __m128i hgdc) /* A, B, C, D */
{
    return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(feba), _mm_castsi128_ps(hgdc), _MM_SHUFFLE(2, 3, 2, 3)));
}

INLINE __m128i lower_words(__m128i feba, __m128i hgdc) /* E, F, G, H */
{
    return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(feba), _mm_castsi128_ps(hgdc), _MM_SHUFFLE(0, 1, 0, 1)));
}

INLINE void four_rounds(__m128i *feba, __m128i *hgdc, __m128i words_and_constants)
{
    *hgdc = _mm_sha256rnds2_epu32(*hgdc, *feba, words_and_constants);
    *feba = _mm_sha256rnds2_epu32(*feba, *hgdc, _mm_shuffle_epi32(words_and_constants, 0x0e));
}

/* Words 4i .. 4i+3 of the schedule into w[i % 4], which held those of sixteen words ago. */
INLINE __m128i schedule(const __m128i w[4], int i)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
    return _mm_sha256msg2_epu32(sum, w[(i + 3) % 4]);
}

/* The same with less of it between w[i - 1] and w[i], where one chain waits: word 0 of w[i - 1], which only the last of the
 * four words takes, is added behind sha256msg2 instead of before it. On Zen 5, whose additions and shuffles take two cycles,
 * ten cycles a group become eight, as many as its rounds take: 134 instead of 143 cycles a hash. With chains to fill the
 * waiting, the two instructions more cost 2 %. */
INLINE __m128i schedule_alone(const __m128i w[4], int i)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), _mm_srli_si128(w[(i + 2) % 4], 4));
    return _mm_add_epi32(_mm_sha256msg2_epu32(sum, w[(i + 3) % 4]), _mm_slli_si128(w[(i + 3) % 4], 12));
}

void sha256_shani_compress(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i feba = WORDS(state[5], state[4], state[1], state[0]), hgdc = WORDS(state[7], state[6], state[3], state[2]);
    for (; blocks > 0; blocks--, data += 64) {
        __m128i feba_before = feba, hgdc_before = hgdc, w[4];
        SHA256_UNROLL
        for (int i = 0; i < 16; i++) {
            w[i % 4] = i < 4 ? _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian)
                             : schedule(w, i);
            four_rounds(&feba, &hgdc, _mm_add_epi32(w[i % 4], CONSTANTS(4 * i)));
        }
        feba = _mm_add_epi32(feba, feba_before);
        hgdc = _mm_add_epi32(hgdc, hgdc_before);
    }
    _mm_storeu_si128((__m128i *)state, upper_words(feba, hgdc));
    _mm_storeu_si128((__m128i *)(state + 4), lower_words(feba, hgdc));
}

enum { WIDEST = 4 };

INLINE void chains(uint32_t states[][8], uint64_t rounds, const int lanes)
{
    /* Words 8-15 of a 32-byte message, with their round constants, and the start of the first round for words 0-7. */
    const __m128i padding_2 = WORDS(0x80000000, 0, 0, 0), padding_3 = WORDS(0, 0, 0, 256);
    const __m128i constants_2 = _mm_add_epi32(padding_2, CONSTANTS(8)), constants_3 = _mm_add_epi32(padding_3, CONSTANTS(12));
    const __m128i initial_0 = _mm_loadu_si128((const __m128i *)sha256_initial);
    const __m128i initial_1 = _mm_loadu_si128((const __m128i *)(sha256_initial + 4));
    __m128i upper[WIDEST], lower[WIDEST]; /* an end of a hash before the initial value is added */

    for (int lane = 0; lane < lanes; lane++) {
        upper[lane] = _mm_sub_epi32(_mm_loadu_si128((const __m128i *)states[lane]), initial_0);
        lower[lane] = _mm_sub_epi32(_mm_loadu_si128((const __m128i *)(states[lane] + 4)), initial_1);
    }
    for (; rounds > 0; rounds--) {
        __m128i feba[WIDEST], hgdc[WIDEST], w[WIDEST][4];
        for (int lane = 0; lane < lanes; lane++) {
            feba[lane] = FEBA;
            hgdc[lane] = HGDC;
            /* The sum of initial value and round constants is itself constant: one addition less before round 0. */
            four_rounds(&feba[lane], &hgdc[lane], _mm_add_epi32(upper[lane], _mm_add_epi32(initial_0, CONSTANTS(0))));
            w[lane][0] = _mm_add_epi32(upper[lane], initial_0);
        }
        for (int lane = 0; lane < lanes; lane++) {
            four_rounds(&feba[lane], &hgdc[lane], _mm_add_epi32(lower[lane], _mm_add_epi32(initial_1, CONSTANTS(4))));
            w[lane][1] = _mm_add_epi32(lower[lane], initial_1);
        }
        for (int lane = 0; lane < lanes; lane++) {
            four_rounds(&feba[lane], &hgdc[lane], constants_2);
            w[lane][2] = padding_2;
        }
        for (int lane = 0; lane < lanes; lane++) {
            four_rounds(&feba[lane], &hgdc[lane], constants_3);
            w[lane][3] = padding_3;
        }
        SHA256_UNROLL
        for (int i = 4; i < 16; i++)
            for (int lane = 0; lane < lanes; lane++) {
                /* Words 9-12 are zero, so group 4 has no middle term, and words 8-12 make that of group 6 constant. */
                w[lane][i % 4] = i == 4   ? _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(w[lane][0], w[lane][1]), padding_3)
                                 : i == 6 ? _mm_sha256msg2_epu32(
                                                _mm_add_epi32(padding_2, _mm_alignr_epi8(w[lane][1], w[lane][0], 4)),
                                                w[lane][1])
                                 : lanes == 1 ? schedule_alone(w[lane], i)
                                              : schedule(w[lane], i);
                four_rounds(&feba[lane], &hgdc[lane], _mm_add_epi32(w[lane][i % 4], CONSTANTS(4 * i)));
            }
        for (int lane = 0; lane < lanes; lane++) {
            upper[lane] = upper_words(feba[lane], hgdc[lane]);
            lower[lane] = lower_words(feba[lane], hgdc[lane]);
        }
    }
    for (int lane = 0; lane < lanes; lane++) {
        _mm_storeu_si128((__m128i *)states[lane], _mm_add_epi32(upper[lane], initial_0));
        _mm_storeu_si128((__m128i *)(states[lane] + 4), _mm_add_epi32(lower[lane], initial_1));
    }
}

void sha256_shani_chain_1(uint32_t states[][8], uint64_t rounds)
{
    chains(states, rounds, 1);
}

/* Zen 5: 85 cycles a hash, of 64 that the unit would allow. One chain half a hash ahead of the other: 3 % slower. */
void sha256_shani_chain_2(uint32_t states[][8], uint64_t rounds)
{
    chains(states, rounds, 2);
}

/* Zen 5: 70 to 77 cycles a hash, by compiler. More than two chains do not fit into the registers, and it pays all the same:
 * three take 78 to 83. */
void sha256_shani_chain_4(uint32_t states[][8], uint64_t rounds)
{
    chains(states, rounds, WIDEST);
}

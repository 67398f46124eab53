/* What this processor's SHA unit can do at most: its instructions for rounds in chains, and nothing of a hash beside. */
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
#define ALL(lane) _Pragma("GCC unroll 8") for (int lane = 0; lane < chains; lane++)

/* The same sum of schedule word and round constant in every round. */
static const uint32_t word_and_constant = 0x428a2f98;

#if defined(__x86_64__)
#include <immintrin.h>
typedef __m128i words;

INLINE words make(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return _mm_setr_epi32((int)a, (int)b, (int)c, (int)d);
}

/* The instruction's own order: (F, E, B, A) and (H, G, D, C), lowest element first. */
enum { A = 3, B = 2, E = 1, F = 0, C = 7, D = 6, G = 5, H = 4 };

INLINE void four_rounds(words *one, words *other, words sum)
{
    *other = _mm_sha256rnds2_epu32(*other, *one, sum);
    *one = _mm_sha256rnds2_epu32(*one, *other, sum);
}

INLINE uint64_t dependent(uint64_t value, uint64_t other)
{
    __asm__ volatile("xor %1, %0" : "+r"(value) : "r"(other));
    return value;
}
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef uint32x4_t words;

INLINE words make(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t all[4] = {a, b, c, d};
    return vld1q_u32(all);
}

enum { A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7 };

INLINE void four_rounds(words *one, words *other, words sum)
{
    words before = *one;
    *one = vsha256hq_u32(*one, *other, sum);
    *other = vsha256h2q_u32(*other, before, sum);
}

INLINE uint64_t dependent(uint64_t value, uint64_t other)
{
    __asm__ volatile("eor %0, %0, %1" : "+r"(value) : "r"(other));
    return value;
}
#endif

/* `groups` times four rounds (FIPS 180-4, 6.2.2, step 3) over every state, a to h; as many chains side by side. */
INLINE void run(uint32_t states[][8], uint64_t groups, const int chains)
{
    const words sum = make(word_and_constant, word_and_constant, word_and_constant, word_and_constant);
    words one[8], other[8];
    uint32_t end[8];

    ALL(lane) {
        end[A] = states[lane][0], end[B] = states[lane][1], end[C] = states[lane][2], end[D] = states[lane][3];
        end[E] = states[lane][4], end[F] = states[lane][5], end[G] = states[lane][6], end[H] = states[lane][7];
        one[lane] = make(end[0], end[1], end[2], end[3]);
        other[lane] = make(end[4], end[5], end[6], end[7]);
    }
    for (; groups > 0; groups--)
        ALL(lane) four_rounds(&one[lane], &other[lane], sum);
    ALL(lane) {
        __builtin_memcpy(end, &one[lane], sizeof one[lane]);
        __builtin_memcpy(end + 4, &other[lane], sizeof other[lane]);
        states[lane][0] = end[A], states[lane][1] = end[B], states[lane][2] = end[C], states[lane][3] = end[D];
        states[lane][4] = end[E], states[lane][5] = end[F], states[lane][6] = end[G], states[lane][7] = end[H];
    }
}

void one_chain(uint32_t states[][8], uint64_t groups)
{
    run(states, groups, 1);
}

/* As many as fill the unit and still fit into the registers. */
void six_chains(uint32_t states[][8], uint64_t groups)
{
    run(states, groups, 6);
}

/* 16 instructions a step that each wait for the one before and take one cycle: how long a cycle is. */
uint64_t cycles(uint64_t value, uint64_t other, uint64_t steps)
{
    for (; steps > 0; steps--) {
        _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++)
            value = dependent(value, other);
    }
    return value;
}

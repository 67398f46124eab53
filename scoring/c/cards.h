/* Card numbers: find_card_numbers of scoring/_pure.py, over bytes. */
#ifndef SCORING_CARDS_H
#define SCORING_CARDS_H

#include <stddef.h>
#include <stdint.h>

enum { CARD_GROUPS_MAX = 6, CARD_GROUP_BITS = 5 };

struct card_span {
    size_t start, end;
};

/* An issuer range: first six digits from, to, and bit n for each length n. */
struct card_range {
    uint32_t low, high, lengths;
};

/* Set the issuer ranges, at most 64; -1 for more. For the whole process, before the first search. */
int card_ranges_set(const struct card_range *ranges, size_t count);

/* Set the groupings that cards are written in, at most 32; -1 for more. Each has at most CARD_GROUPS_MAX groups: their
   sizes in digits, CARD_GROUP_BITS each, the last one lowest. For the whole process, before the first search. */
int card_groupings_set(const uint32_t *groupings, size_t count);

/* The next card number at or after `from`; returns 1 and its span, or 0 where there is none. */
int card_find(const uint8_t *text, size_t length, size_t from, struct card_span *span);

#endif

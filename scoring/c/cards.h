/* Card numbers: find_card_numbers of scoring/_pure.py, over bytes that should be UTF-8. */
#ifndef SCORING_CARDS_H
#define SCORING_CARDS_H

#include <stddef.h>
#include <stdint.h>

enum { CARD_GROUPS_MAX = 4, CARD_GROUP_BITS = 5 };

/* What a character is to a card number, beside ASCII's letters and digits; CARD_DIGIT begins with a zero. */
enum card_kind { CARD_OTHER, CARD_DIGIT, CARD_LETTER, CARD_SEPARATOR, CARD_POINT, CARD_COMMA, CARD_UNSEEN };

struct card_span {
    size_t start, end;
};

/* An issuer range: first six digits from, to; bit n for each length n; whether numbers in one run count. */
struct card_issuer {
    uint32_t low, high, lengths, grouped;
};

/* Characters from, to of one kind. */
struct card_class {
    uint32_t first, last, kind;
};

struct card_limits {
    uint32_t joint_max, one_size_max, behind_word_max, whole_digits_max, mask_stars;
    uint32_t phone_lengths; /* bit n for length n */
};

/* Set the data, for the whole process and before the first search; -1 where it is too much. Issuers and classes stand in
   order. A grouping has at most CARD_GROUPS_MAX groups: sizes in digits, CARD_GROUP_BITS each, the last one lowest. */
int card_data_set(const struct card_issuer *issuers, size_t issuer_count, const uint32_t *groupings,
                  size_t grouping_count, const struct card_class *classes, size_t class_count,
                  const struct card_limits *limits);

/* Find the digits to be hidden, as spans in order; returns how many there are, of which at most `capacity` are stored. */
size_t card_hide(const uint8_t *text, size_t length, struct card_span *spans, size_t capacity);

#endif

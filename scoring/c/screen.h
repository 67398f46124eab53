/* Screening and card numbers: the functions of scoring/_pure.py over a mapped rule table (scoring/table.py has its format).

   Every index that comes out of a table is bounded where it is used: whatever the bytes are, nothing outside them is
   read, and every walk ends. */
#ifndef SCORING_SCREEN_H
#define SCORING_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "table_format.h"

enum { CARD_GROUPS_MAX = 6, CARD_GROUP_BITS = 5 };

/* A gram size that texts of these fields (as bits) are looked through for, at every `stride`th place. */
struct screen_pass {
    uint32_t size, stride, fields;
    uint64_t multiplier;
};

struct screen_table {
    uint8_t classes[256];
    const uint32_t *dense;
    const uint8_t *tail;
    const uint8_t *labels;
    const struct screen_output *outputs;
    const uint64_t *filter;
    const struct screen_gram *grams;
    const struct screen_slot *slots;
    const struct screen_rule *rules;
    const uint8_t *strings;
    uint64_t strings_size;
    uint32_t class_count, dense_cells, dense_last, branch_count, tail_count, output_count, slot_count, rule_count;
    uint32_t filter_words, gram_slots;
    struct screen_pass passes[PASSES_MAX];
    uint32_t value_length_max, probe_length_max, output_chain_max, value_fields, scanned_fields;
};

struct screen_text {
    const uint8_t *data;
    size_t length;
    uint32_t field;
};

/* Hits as text index << 32 | rule index; screen_texts leaves them sorted and distinct. */
struct screen_hits {
    uint64_t *items;
    size_t count, capacity;
};

struct screen_span {
    size_t start, end;
};

/* An issuer range: first six digits from, to, and bit n for each length n. */
struct card_range {
    uint32_t low, high, lengths;
};

/* Fill `table` with views into `data`. Returns 0, or -1 where the header does not describe `size` bytes. The checksums
   and the messages are scoring/table.py's. */
int screen_table_map(struct screen_table *table, const uint8_t *data, size_t size);

/* Screen all texts and add their hits. Returns 0, or -1 without memory. hits->items is the caller's to free(). */
int screen_texts(const struct screen_table *table, const struct screen_text *texts, size_t count,
                 struct screen_hits *hits);

/* Add the `value` rules of one field that equal the value, case ignored. `text` is the index that hits carry. */
int screen_value(const struct screen_table *table, uint32_t field, const uint8_t *value, size_t length, size_t text,
                 struct screen_hits *hits);

/* Sort hits and drop repetitions. */
void screen_hits_settle(struct screen_hits *hits);

/* Set the issuer ranges, at most 64; -1 for more. For the whole process, before the first search. */
int card_ranges_set(const struct card_range *ranges, size_t count);

/* Set the groupings that cards are written in, at most 32; -1 for more. Each has at most CARD_GROUPS_MAX groups: their
   sizes in digits, CARD_GROUP_BITS each, the last one lowest. For the whole process, before the first search. */
int card_groupings_set(const uint32_t *groupings, size_t count);

/* The next card number at or after `from`; returns 1 and its span, or 0 where there is none. */
int card_find(const uint8_t *text, size_t length, size_t from, struct screen_span *span);

#endif

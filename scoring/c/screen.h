/* Screening: the functions of scoring/_pure.py over a mapped rule table (scoring/table.py has its format).

   Every index that comes out of a table is bounded where it is used: whatever the bytes are, nothing outside them is
   read, and every walk ends. */
#ifndef SCORING_SCREEN_H
#define SCORING_SCREEN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "table_format.h"

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

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* ASCII upper case to lower. */
static inline uint8_t screen_fold(uint8_t byte)
{
    return (uint8_t)(byte - 'A') < 26 ? byte | 0x20 : byte;
}

/* The same, and a dash to a space: how `substring` and `token` rules see a plain text. */
static inline uint8_t screen_fold_word(uint8_t byte)
{
    return byte == '-' ? ' ' : screen_fold(byte);
}

static inline int screen_is_white(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static inline int screen_is_word(uint8_t byte)
{
    return byte >= 0x80 || (uint8_t)(byte - '0') < 10 || (uint8_t)((byte | 0x20) - 'a') < 26;
}

/* Whether a token may begin or end at this place of a text. */
static inline int screen_is_edge(const struct screen_text *text, size_t at)
{
    return at == 0 || at == text->length || !(screen_is_word(text->data[at - 1]) && screen_is_word(text->data[at]));
}

/* Fill `table` with views into `data`. Returns 0, or -1 where the header does not describe `size` bytes. The checksums
   and the messages are scoring/table.py's. */
int screen_table_map(struct screen_table *table, const uint8_t *data, size_t size);

/* Screen all texts and add their hits. Returns 0, or -1 without memory. hits->items is the caller's to free(). Texts that
   are not plain are replaced by their views, which are gone when this returns. */
int screen_texts(const struct screen_table *table, struct screen_text *texts, size_t count, struct screen_hits *hits);

/* Whether the view of a text is the text itself, but for the case of letters and for dashes where those are spaces. */
int screen_is_plain(const uint8_t *text, size_t length);

/* Write a plain text, or a view, as `substring` and `token` rules see it. */
void screen_fold_words(const uint8_t *text, size_t length, uint8_t *folded);

/* Write a text's screening view, which is never longer than the text. Returns its length. */
size_t screen_view(const uint8_t *text, size_t length, uint8_t *view);

/* Make of a view, in its place, what `substring` and `token` rules see. Returns its length. */
size_t screen_words(uint8_t *view, size_t length);

/* Add the `value` rules of one field that equal the value, case ignored. `text` is the index that hits carry. */
int screen_value(const struct screen_table *table, uint32_t field, const uint8_t *value, size_t length, size_t text,
                 struct screen_hits *hits);

/* Add the `value` rules that equal a text without surrounding spaces, those on an e-mail address's domains too. The text
   is plain, or a view. */
int screen_whole_text(const struct screen_table *table, const struct screen_text *text, size_t index,
                      struct screen_hits *hits);

/* Add the literals in a text, found by their grams. Returns 0, 1 where the automaton has to, or -1 without memory. */
int screen_grams(const struct screen_table *table, const struct screen_text *text, size_t index,
                 struct screen_hits *hits);

/* Make room for a hit. Returns 0, or -1 without memory. */
int screen_hits_grow(struct screen_hits *hits);

/* Add a hit. Returns 0, or -1 without memory. In the header, as a call of it made screening 5 % slower. */
static inline int screen_hits_add(struct screen_hits *hits, size_t text, uint32_t rule)
{
    if (hits->count == hits->capacity && screen_hits_grow(hits))
        return -1;
    hits->items[hits->count++] = (uint64_t)text << 32 | rule;
    return 0;
}

/* Sort hits and drop repetitions. */
void screen_hits_settle(struct screen_hits *hits);

#endif

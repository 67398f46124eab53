/* Literals in texts by their grams. The places of a text wait for nothing, unlike an automaton's steps. */
#include "screen.h"

#include <string.h>

enum { FILTERED_MAX = 4096, PLACES = 64, PROBES_A_BYTE = 4, COMPARISON = 8 };

static inline uint64_t gram_at(const uint8_t *text, const struct screen_pass *pass, int is_long)
{
    uint64_t gram = load64(text);
    if (is_long)
        gram ^= (load32(text + 8) & UINT32_MAX >> 8 * (GRAM_SIZE_MAX - pass->size)) * GRAM_HIGH_HASH;
    return gram * pass->multiplier;
}

static inline uint64_t is_gram(const uint64_t *filter, uint32_t mask, uint64_t hash)
{
    const uint64_t word = filter[hash >> GRAM_WORD_SHIFT & mask];
    return word >> (hash >> GRAM_FIRST_BIT_SHIFT & 63) & word >> (hash >> GRAM_SECOND_BIT_SHIFT & 63) & 1;
}

/* Which of `count` places (64 at most) of a text hold a gram: the first place is bit count - 1. */
static inline uint64_t find_grams(const struct screen_table *table, const struct screen_pass *pass, const uint8_t *text,
                                  size_t count, size_t stride, int is_long)
{
    const uint64_t *filter = table->filter;
    const uint32_t mask = table->filter_words - 1;
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++)
        found = 2 * found + is_gram(filter, mask, gram_at(text + i * stride, pass, is_long));
    return found;
}

static inline int is_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (length < 8) {
        for (size_t i = 0; i < length; i++)
            if (a[i] != b[i])
                return 0;
        return 1;
    }
    const size_t last = length - 8;
    uint64_t differ = 0;
    /* Four at a time, some of them twice: the length of a literal cannot be foreseen, and a loop would end on a wrong
       guess. */
    for (size_t i = 0; i < length && !differ; i += 32)
        for (size_t j = i; j < i + 32; j += 8) {
            const size_t at = j < last ? j : last;
            differ |= load64(a + at) ^ load64(b + at);
        }
    return !differ;
}

/* A text that is looked through for grams, and what it may still cost: slots that are looked at, comparisons. */
struct search {
    const struct screen_table *table;
    const struct screen_text *text;
    size_t index;
    const uint8_t *folded;
    size_t budget;
    struct screen_hits *hits;
};

/* A place where a gram seems to be, with the slot and the tag of its hash. */
struct suspect {
    uint32_t slot, at;
    uint16_t tag;
};

static inline int is_there(const struct search *search, const struct screen_rule *rule, size_t start)
{
    const struct screen_table *table = search->table;
    const struct screen_text *text = search->text;
    const size_t length = rule->literal_length;
    return length <= text->length - start && rule->literal_at <= table->strings_size
           && length <= table->strings_size - rule->literal_at
           && is_equal(search->folded + start, table->strings + rule->literal_at, length)
           && rule->fields >> text->field & 1
           && (rule->mode != MODE_TOKEN || (screen_is_edge(text, start) && screen_is_edge(text, start + length)));
}

/* Report the literals whose gram the suspect is. Returns 1 where the automaton has to tell, because too many literals share
   the gram or the search has cost enough, and -1 without memory. */
static inline int confirm(struct search *search, const struct suspect *suspect)
{
    const struct screen_table *table = search->table;
    for (uint32_t slot = suspect->slot;; slot = slot + 1 < table->gram_slots ? slot + 1 : 0) {
        const struct screen_gram gram = table->grams[slot];
        if (!gram.rule_plus_1)
            return 0;
        if (!search->budget || (gram.tag == suspect->tag && gram.rule_plus_1 == ASK_THE_AUTOMATON))
            return 1;
        search->budget--;
        if (gram.tag != suspect->tag)
            continue;
        const size_t place = gram.place & ~MORE;
        if (gram.rule_plus_1 <= table->rule_count && place <= suspect->at) {
            const struct screen_rule *rule = &table->rules[gram.rule_plus_1 - 1];
            if (is_there(search, rule, suspect->at - place)
                && screen_hits_add(search->hits, search->index, gram.rule_plus_1 - 1))
                return -1;
            const size_t cost = COMPARISON + rule->literal_length / 8;
            search->budget -= cost < search->budget ? cost : search->budget;
        }
        if (!(gram.place & MORE))
            return 0;
    }
}

/* The same for several, whose waits for memory overlap. */
static int confirm_all(struct search *search, const struct suspect *suspects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t rule = search->table->grams[suspects[i].slot].rule_plus_1 - 1;
        __builtin_prefetch(&search->table->rules[rule < search->table->rule_count ? rule : 0]);
    }
    int result = 0;
    for (size_t i = 0; i < count && !result; i++)
        result = confirm(search, &suspects[i]);
    return result;
}

/* With several neighbouring grams of each literal in the filter, every second or fourth place is enough. */
int screen_grams(const struct screen_table *table, const struct screen_text *text, size_t index,
                 struct screen_hits *hits)
{
    const size_t length = text->length;
    if (!length || !(table->scanned_fields >> text->field & 1))
        return 0;
    if (!table->filter_words || !table->gram_slots || length > FILTERED_MAX)
        return 1;
    uint8_t folded[FILTERED_MAX + GRAM_SIZE_MAX];
    screen_fold_words(text->data, length, folded);
    memset(folded + length, 0, GRAM_SIZE_MAX);
    struct search search = {table, text, index, folded, PROBES_A_BYTE * (length + 16), hits};
    struct suspect suspects[PLACES];
    size_t suspected = 0;
    for (const struct screen_pass *pass = table->passes; pass < table->passes + PASSES_MAX; pass++) {
        if (!(pass->fields >> text->field & 1) || length < pass->size)
            continue;
        const int is_long = pass->size > 8;
        const size_t stride = pass->stride, places = (length - pass->size) / stride + 1;
        for (size_t place = 0; place < places; place += PLACES) {
            const size_t count = places - place < PLACES ? places - place : PLACES;
            const uint8_t *from = folded + place * stride;
            uint64_t found = is_long ? find_grams(table, pass, from, count, stride, 1)
                                     : find_grams(table, pass, from, count, stride, 0);
            for (; found; found &= found - 1) {
                const size_t at = (place + count - 1 - (size_t)__builtin_ctzll(found)) * stride;
                const uint64_t hash = gram_at(folded + at, pass, is_long);
                const uint32_t slot = (uint32_t)((hash >> GRAM_TAG_SHIFT) * table->gram_slots >> 32);
                __builtin_prefetch(&table->grams[slot]);
                suspects[suspected++] = (struct suspect){slot, (uint32_t)at, (uint16_t)(hash >> GRAM_TAG_SHIFT)};
                if (suspected == PLACES) {
                    const int result = confirm_all(&search, suspects, suspected);
                    if (result)
                        return result;
                    suspected = 0;
                }
            }
        }
    }
    return confirm_all(&search, suspects, suspected);
}

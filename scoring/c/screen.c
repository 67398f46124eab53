/* The scanner: an Aho-Corasick automaton, eight texts interleaved. One text alone waits for memory at every byte; eight
   wait together. */
#include "screen.h"

#include <stdlib.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the rule table is little-endian and read in place"
#endif

enum { FILTERED_MAX = 4096, PLACES = 64, PROBES_A_BYTE = 4, COMPARISON = 8 };
enum { LANES = 8, RECENT = 64 };
#define CHILD_MASK ((1u << CHILD_BITS) - 1)

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

int screen_table_map(struct screen_table *table, const uint8_t *data, size_t size)
{
    if (size < HEADER_SIZE || ((uintptr_t)data & 7) || memcmp(data, MAGIC, sizeof MAGIC - 1)
        || load32(data + sizeof MAGIC - 1) != FORMAT_VERSION)
        return -1;
    uint32_t counts[COUNTS];
    memcpy(counts, data + COUNTS_AT, sizeof counts);
    const uint64_t classes = counts[COUNT_CLASSES], rows = counts[COUNT_DENSE_ROWS], cells = rows * (classes + 1);
    const uint64_t branches = counts[COUNT_BRANCHES], chains = counts[COUNT_CHAIN_STATES];
    const uint32_t outputs = counts[COUNT_OUTPUT_NODES], slots = counts[COUNT_SLOTS];
    const uint32_t words = counts[COUNT_FILTER_WORDS];
    if (classes < 1 || classes > CLASSES_MAX || rows < 1 || outputs < 1 || outputs >= OUTPUT_NODES_MAX
        || cells + branches + chains >= OUTPUT_BIT || branches + chains >= 1u << CHILD_BITS || (slots & (slots - 1))
        || (words & (words - 1)))
        return -1;
    uint64_t sizes[SECTIONS];
    section_sizes(counts, sizes);
    const uint8_t *sections[SECTIONS];
    for (int i = 0; i < SECTIONS; i++) {
        const uint64_t offset = load64(data + SECTIONS_AT + 16 * i), length = load64(data + SECTIONS_AT + 16 * i + 8);
        if (offset < HEADER_SIZE || offset % ALIGNMENT || offset > size || length > size - offset
            || (i != SECTION_STRINGS && length != sizes[i]))
            return -1;
        sections[i] = data + offset;
        sizes[i] = length;
    }
    for (size_t i = 0; i < sizeof table->classes; i++)
        table->classes[i] = sections[SECTION_CLASSES][i] < classes ? sections[SECTION_CLASSES][i] : 0;
    table->dense = (const uint32_t *)sections[SECTION_DENSE];
    table->tail = sections[SECTION_TAIL];
    table->labels = sections[SECTION_LABELS];
    table->outputs = (const struct screen_output *)sections[SECTION_OUTPUTS];
    table->filter = (const uint64_t *)sections[SECTION_FILTER];
    table->grams = (const struct screen_gram *)sections[SECTION_GRAMS];
    table->slots = (const struct screen_slot *)sections[SECTION_SLOTS];
    table->rules = (const struct screen_rule *)sections[SECTION_RULES];
    table->strings = sections[SECTION_STRINGS];
    table->strings_size = sizes[SECTION_STRINGS];
    table->class_count = (uint32_t)classes;
    table->dense_cells = (uint32_t)cells;
    table->dense_last = (uint32_t)(cells - (classes + 1));
    table->branch_count = (uint32_t)branches;
    table->tail_count = (uint32_t)(branches + chains);
    table->output_count = outputs;
    table->slot_count = slots;
    table->rule_count = counts[COUNT_RULES];
    table->value_length_max = counts[COUNT_VALUE_LENGTH_MAX];
    table->probe_length_max = counts[COUNT_PROBE_LENGTH_MAX];
    table->output_chain_max = counts[COUNT_OUTPUT_CHAIN_MAX];
    table->filter_words = words;
    table->gram_slots = counts[COUNT_GRAM_SLOTS];
    table->value_fields = counts[COUNT_VALUE_FIELDS];
    table->scanned_fields = counts[COUNT_SCANNED_FIELDS];
    for (int i = 0; i < PASSES_MAX; i++) {
        const uint32_t pass = load32(data + PASSES_AT + 4 * i), size = pass & 0xFF, stride = pass >> 8 & 0xFF;
        const int sound = size >= GRAM_SIZE_MIN && size <= GRAM_SIZE_MAX && stride >= 1 && stride <= GRAM_STRIDE_MAX;
        table->passes[i].size = size;
        table->passes[i].stride = stride;
        table->passes[i].fields = sound ? pass >> 16 : 0;
        /* Shifts the bytes that are none of the gram's out at the top. */
        table->passes[i].multiplier = sound && size < 8 ? GRAM_HASH << (64 - 8 * size) : GRAM_HASH;
    }
    return 0;
}

/* ---- hits ------------------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Hits come nearly in order, for which insertion is several times as quick as qsort; it may move each hit by a few others
   on average, so that no input makes it slow. Returns 0 where that was not enough. */
static int insert_sort(uint64_t *items, size_t count)
{
    size_t moves = 8 * count;
    for (size_t i = 1; i < count; i++) {
        const uint64_t item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1] > item; at--, moves--) {
            if (!moves) {
                items[at] = item;
                return 0;
            }
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
    return 1;
}

void screen_hits_settle(struct screen_hits *hits)
{
    if (hits->count < 2)
        return;
    if (!insert_sort(hits->items, hits->count))
        qsort(hits->items, hits->count, sizeof *hits->items, compare);
    size_t kept = 1;
    for (size_t i = 1; i < hits->count; i++)
        if (hits->items[i] != hits->items[kept - 1])
            hits->items[kept++] = hits->items[i];
    hits->count = kept;
}

static int add_hit(struct screen_hits *hits, size_t text, uint32_t rule)
{
    if (hits->count == hits->capacity) {
        /* Input that repeats its hits must not cost memory: grow only where most of them are distinct. */
        screen_hits_settle(hits);
        if (hits->count >= hits->capacity / 2) {
            const size_t capacity = hits->capacity ? 2 * hits->capacity : 256;
            uint64_t *items = realloc(hits->items, capacity * sizeof *items);
            if (!items)
                return -1;
            hits->items = items;
            hits->capacity = capacity;
        }
    }
    hits->items[hits->count++] = (uint64_t)text << 32 | rule;
    return 0;
}

/* ---- whole values ---------------------------------------------------------------------------------------------- */

static uint8_t fold(uint8_t byte)
{
    return (uint8_t)(byte - 'A') < 26 ? byte | 0x20 : byte;
}

static uint64_t hash_step(uint64_t hash, uint8_t byte) /* FNV-1a */
{
    return (hash ^ fold(byte)) * VALUE_HASH_PRIME;
}

static int is_literal(const struct screen_table *table, const struct screen_rule *rule, const uint8_t *value,
                      size_t length)
{
    if (rule->mode != MODE_VALUE || rule->literal_length != length || rule->literal_at > table->strings_size
        || length > table->strings_size - rule->literal_at)
        return 0;
    const uint8_t *literal = table->strings + rule->literal_at;
    for (size_t i = 0; i < length; i++)
        if (literal[i] != fold(value[i]))
            return 0;
    return 1;
}

static int look_up(const struct screen_table *table, uint64_t hash, uint32_t field, const uint8_t *value,
                   size_t length, size_t text, struct screen_hits *hits)
{
    if (!table->slot_count)
        return 0;
    const uint32_t mask = table->slot_count - 1;
    uint32_t at = (uint32_t)hash & mask;
    const uint32_t probes = table->probe_length_max < table->slot_count ? table->probe_length_max : table->slot_count;
    for (uint32_t probe = 0; probe < probes && table->slots[at].rule_plus_1; probe++, at = (at + 1) & mask) {
        const uint32_t rule = table->slots[at].rule_plus_1 - 1;
        if (table->slots[at].tag == (uint32_t)(hash >> 32) && rule < table->rule_count
            && table->rules[rule].fields >> field & 1 && is_literal(table, &table->rules[rule], value, length)
            && add_hit(hits, text, rule))
            return -1;
    }
    return 0;
}

int screen_value(const struct screen_table *table, uint32_t field, const uint8_t *value, size_t length, size_t text,
                 struct screen_hits *hits)
{
    if (!(table->value_fields >> field & 1) || length > table->value_length_max || !length)
        return 0;
    uint64_t hash = VALUE_HASH_START;
    for (size_t i = length; i-- > 0;)
        hash = hash_step(hash, value[i]);
    return look_up(table, hash, field, value, length, text, hits);
}

/* The domain of an e-mail address and each parent of it, in one walk from the end. */
static int screen_domain(const struct screen_table *table, const uint8_t *value, size_t length, size_t text,
                         struct screen_hits *hits)
{
    size_t start = length;
    while (start > 0 && value[start - 1] != '@')
        start--;
    if (!start)
        return 0;
    uint64_t hash = VALUE_HASH_START;
    for (size_t i = length; i-- > start && length - i <= table->value_length_max;) {
        hash = hash_step(hash, value[i]);
        if ((i == start || value[i - 1] == '.')
            && look_up(table, hash, FIELD_EMAIL_DOMAIN, value + i, length - i, text, hits))
            return -1;
    }
    return 0;
}

static int is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int screen_whole(const struct screen_table *table, const struct screen_text *text, size_t index,
                        struct screen_hits *hits)
{
    const uint8_t *value = text->data;
    size_t length = text->length;
    while (length && is_space(value[length - 1]))
        length--;
    while (length && is_space(*value))
        value++, length--;
    if (screen_value(table, text->field, value, length, index, hits))
        return -1;
    if (text->field == FIELD_CUSTOMER_EMAIL && table->value_fields >> FIELD_EMAIL_DOMAIN & 1)
        return screen_domain(table, value, length, index, hits);
    return 0;
}

/* ---- literals in texts ----------------------------------------------------------------------------------------- */

static int is_word(uint8_t byte)
{
    return byte >= 0x80 || (uint8_t)(byte - '0') < 10 || (uint8_t)((byte | 0x20) - 'a') < 26;
}

static int is_edge(const struct screen_text *text, size_t at)
{
    return at == 0 || at == text->length || !(is_word(text->data[at - 1]) && is_word(text->data[at]));
}

/* Literals in texts by their grams. The places of a text wait for nothing, unlike an automaton's steps. */

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
           && (rule->mode != MODE_TOKEN || (is_edge(text, start) && is_edge(text, start + length)));
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
                && add_hit(search->hits, search->index, gram.rule_plus_1 - 1))
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

/* Report the literals in a text. Returns 1 where the automaton has to, -1 without memory. With several neighbouring
   grams of each literal in the filter, every second or fourth place is enough. */
static int find_literals(const struct screen_table *table, const struct screen_text *text, size_t index,
                         struct screen_hits *hits)
{
    const size_t length = text->length;
    if (!length || !(table->scanned_fields >> text->field & 1))
        return 0;
    if (!table->filter_words || !table->gram_slots || length > FILTERED_MAX)
        return 1;
    uint8_t folded[FILTERED_MAX + GRAM_SIZE_MAX];
    for (size_t i = 0; i < length; i++)
        folded[i] = fold(text->data[i]);
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

struct lane {
    const struct screen_text *text;
    size_t index;
    const uint8_t *at, *end;
    size_t budget; /* steps that a true table may take at most */
    uint32_t state;
    uint32_t recent[RECENT]; /* output nodes whose whole chain was reported for this text already */
};

/* Report the literals that end at `end`. A text that repeats one place of the automaton meets it in `recent`, so that
   only tokens, whose edges differ from place to place, are looked at again. */
static int report(const struct screen_table *table, struct lane *lane, uint32_t node, const uint8_t *end,
                  struct screen_hits *hits)
{
    const size_t stop = (size_t)(end - lane->text->data);
    uint32_t *recent = &lane->recent[node % RECENT];
    if (*recent == node)
        return 0;
    int whole = 1;
    const int edge = is_edge(lane->text, stop);
    const uint32_t first = node;
    uint32_t left = table->output_chain_max < CHAIN_LENGTH_MAX ? table->output_chain_max : CHAIN_LENGTH_MAX;
    for (; left && node; left--) {
        if (node >= table->output_count || table->outputs[node].rule >= table->rule_count)
            return 0;
        const uint32_t index = table->outputs[node].rule;
        const struct screen_rule *rule = &table->rules[index];
        node = table->outputs[node].next;
        if (!(rule->fields >> lane->text->field & 1))
            continue;
        if (rule->mode == MODE_TOKEN
            && !(edge && rule->literal_length <= stop && is_edge(lane->text, stop - rule->literal_length))) {
            whole = 0;
            continue;
        }
        if (add_hit(hits, lane->index, index))
            return -1;
    }
    if (whole)
        *recent = first;
    return 0;
}

/* The bytes of a tail state's record: branches are 16 bytes each, then chain states 8 each. */
static const uint8_t *record_of(const struct screen_table *table, uint32_t index)
{
    const size_t branches = index < table->branch_count ? index : table->branch_count;
    return table->tail + CHAIN_SIZE * (index + branches);
}

static uint32_t output_of(const struct screen_table *table, uint32_t state)
{
    const uint32_t stride = table->class_count + 1;
    if (state <= table->dense_last)
        return table->dense[state / stride * stride + table->class_count];
    const uint32_t index = state - table->dense_cells;
    return index < table->tail_count ? load32(record_of(table, index) + 4) >> 8 : 0;
}

/* Give a lane the next text that the automaton has to scan; 0 where there is none, -1 without memory. */
static int take(const struct screen_table *table, const struct screen_text *texts, size_t count, size_t *next,
                struct lane *lane, struct screen_hits *hits)
{
    int result = 0;
    while (*next < count && !(result = find_literals(table, &texts[*next], *next, hits)))
        ++*next;
    if (result <= 0)
        return result;
    lane->text = &texts[*next];
    lane->index = (*next)++;
    lane->at = lane->text->data;
    lane->end = lane->text->data + lane->text->length;
    lane->budget = 2 * lane->text->length;
    lane->state = 0;
    memset(lane->recent, 0, sizeof lane->recent);
    return 1;
}

/* The child of a branch beyond those in its record, or 0 where there is none for the class. */
static uint32_t find_child(const struct screen_table *table, uint32_t first, uint32_t children, uint32_t class)
{
    for (uint32_t child = first + CHILDREN_IN_RECORD; child < first + children && child < table->branch_count; child++)
        if (table->labels[child] == class)
            return (table->dense_cells + child) | (load32(record_of(table, child) + 4) >> 8 ? OUTPUT_BIT : 0);
    return 0;
}

/* One step of one text: to the next state by one byte, or from a tail state to its longest suffix without one. No branch
   depends on what the table says, but for two that are rare: a wrong guess would make all eight wait for one. */
#define STEP(K)                                                                                                        \
    do {                                                                                                               \
        const uint32_t class = table->classes[*at##K];                                                                 \
        const uint32_t top = state##K <= last;                                                                         \
        uint32_t index = state##K - cells;                                                                             \
        index = index < tail_count ? index : 0;                                                                        \
        const uint32_t chained = index >= branches;                                                                    \
        const uint32_t from_top = dense[(top ? state##K : 0) + class];                                                 \
        const uint8_t *record = tail + CHAIN_SIZE * ((size_t)index + (chained ? branches : index));                    \
        const uint32_t fail = load32(record), meta = load32(record + 4), second = load32(record + 8);                  \
        const uint32_t first = chained ? (index + 1) | fail >> 31 << CHILD_BITS : second;                              \
        const uint32_t labels = chained ? meta | 0xFFFFFF00u : load32(record + 12);                                    \
        const uint32_t differ = labels ^ class * 0x01010101u;                                                          \
        const uint32_t equal = (differ - 0x01010101u) & ~differ & 0x80808080u;                                         \
        const uint32_t number = (uint32_t)__builtin_ctz(equal | 0x80000000u) >> 3;                                     \
        const uint32_t child = (cells + (first & CHILD_MASK) + number) | (first >> (CHILD_BITS + number) & 1) << 31;   \
        uint32_t next = equal ? child : fail & ~OUTPUT_BIT;                                                            \
        uint32_t taken = top | (equal != 0);                                                                           \
        if (__builtin_expect(!(taken | chained) && (meta & 0xFF) > CHILDREN_IN_RECORD, 0)) {                           \
            const uint32_t found = find_child(table, first & CHILD_MASK, meta & 0xFF, class);                          \
            taken = found != 0;                                                                                        \
            next = found ? found : next;                                                                               \
        }                                                                                                              \
        state##K = top ? from_top : next;                                                                              \
        at##K += taken;                                                                                                \
        if (__builtin_expect(state##K & OUTPUT_BIT, 0)) {                                                              \
            state##K &= ~OUTPUT_BIT;                                                                                   \
            if (report(table, &lanes[K], output_of(table, state##K), at##K, hits))                                     \
                return -1;                                                                                             \
        }                                                                                                              \
    } while (0)

/* The same where every state has a dense row. */
#define STEP_DENSE(K)                                                                                                  \
    do {                                                                                                               \
        state##K = dense[(state##K <= last ? state##K : 0) + table->classes[*at##K++]];                                \
        if (__builtin_expect(state##K & OUTPUT_BIT, 0)) {                                                              \
            state##K &= ~OUTPUT_BIT;                                                                                   \
            if (report(table, &lanes[K], output_of(table, state##K), at##K, hits))                                     \
                return -1;                                                                                             \
        }                                                                                                              \
    } while (0)

#define FOR_LANES(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LOAD(K)                                                                                                        \
    const uint8_t *at##K = lanes[K].at;                                                                                \
    uint32_t state##K = lanes[K].state;
#define STORE(K)                                                                                                       \
    lanes[K].at = at##K;                                                                                               \
    lanes[K].state = state##K;
#define STEP_LANE(K) STEP(K);
#define STEP_LANE_DENSE(K) STEP_DENSE(K);
#define LOCALS                                                                                                         \
    const uint32_t *dense = table->dense;                                                                              \
    const uint32_t last = table->dense_last, cells = table->dense_cells, tail_count = table->tail_count;               \
    const uint32_t branches = table->branch_count;                                                                     \
    const uint8_t *tail = table->tail;

static int scan_eight(const struct screen_table *table, struct lane *lanes, size_t steps, struct screen_hits *hits)
{
    LOCALS
    FOR_LANES(LOAD)
    if (tail_count)
        for (size_t i = 0; i < steps; i++) {
            FOR_LANES(STEP_LANE)
        }
    else
        for (size_t i = 0; i < steps; i++) {
            FOR_LANES(STEP_LANE_DENSE)
        }
    FOR_LANES(STORE)
    return 0;
}

/* What a lane without a text reads, so that the others stay interleaved; no rule looks at its field. */
static const uint8_t IDLE_BYTES[64];
static const struct screen_text IDLE = {IDLE_BYTES, sizeof IDLE_BYTES, 31};

/* How many steps a text can take for certain. It is done at its end; a table made of random bytes may send it round in
   circles, which a true one cannot: there each step to a suffix undoes one by a byte. */
static size_t steps_left(struct lane *lane)
{
    const size_t bytes = (size_t)(lane->end - lane->at);
    return bytes < lane->budget ? bytes : lane->budget;
}

int screen_texts(const struct screen_table *table, const struct screen_text *texts, size_t count,
                 struct screen_hits *hits)
{
    for (size_t i = 0; i < count; i++)
        if (screen_whole(table, &texts[i], i, hits))
            return -1;
    struct lane lanes[LANES];
    size_t busy = 0, next = 0;
    int taken = 1;
    while (busy < LANES && (taken = take(table, texts, count, &next, &lanes[busy], hits)) > 0)
        busy++;
    while (busy && taken >= 0) {
        size_t steps = busy < LANES ? sizeof IDLE_BYTES : SIZE_MAX;
        for (size_t k = 0; k < busy; k++)
            if (steps_left(&lanes[k]) < steps)
                steps = steps_left(&lanes[k]);
        for (size_t k = busy; k < LANES; k++) {
            lanes[k].text = &IDLE;
            lanes[k].at = IDLE_BYTES;
            lanes[k].state = 0;
        }
        if (scan_eight(table, lanes, steps, hits))
            return -1;
        for (size_t k = 0; k < busy; k++)
            lanes[k].budget -= steps;
        for (size_t k = 0; k < busy && taken >= 0;) {
            if (!steps_left(&lanes[k]) && (taken = take(table, texts, count, &next, &lanes[k], hits)) <= 0)
                lanes[k] = lanes[--busy];
            else
                k++;
        }
    }
    if (taken < 0)
        return -1;
    screen_hits_settle(hits);
    return 0;
}

/* ---- card numbers ---------------------------------------------------------------------------------------------- */

enum { DIGITS_MIN = 13, DIGITS_MAX = 19, RANGES_MAX = 64, GROUPINGS_MAX = 32, ESCAPE_SIZE = 5, WHOLE_DIGITS_MAX = 4 };

static struct card_range ranges[RANGES_MAX];
static size_t range_count;

int card_ranges_set(const struct card_range *given, size_t count)
{
    if (count > RANGES_MAX)
        return -1;
    memcpy(ranges, given, count * sizeof *given);
    range_count = count;
    return 0;
}

static uint32_t groupings[GROUPINGS_MAX];
static size_t grouping_count;

int card_groupings_set(const uint32_t *given, size_t count)
{
    if (count > GROUPINGS_MAX)
        return -1;
    memcpy(groupings, given, count * sizeof *given);
    grouping_count = count;
    return 0;
}

static int is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

static int is_letter(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

/* Whether a letter stands directly before `at` that is not the end of an escape. */
static int continues_token(const uint8_t *text, size_t at)
{
    if (!at || !is_letter(text[at - 1]))
        return 0;
    for (size_t back = 2; back <= ESCAPE_SIZE + 1 && back <= at; back++) {
        const uint8_t byte = text[at - back];
        if (byte == '\\' || byte == '%')
            return 0;
        if (!is_letter(byte) && !is_digit(byte))
            return 1;
    }
    return 1;
}

/* Whether a point stands directly before `at`, and one to WHOLE_DIGITS_MAX digits before that. */
static int is_fraction(const uint8_t *text, size_t at)
{
    if (!at || text[at - 1] != '.')
        return 0;
    size_t whole = 0;
    while (whole <= WHOLE_DIGITS_MAX && whole + 1 < at && is_digit(text[at - 2 - whole]))
        whole++;
    return whole >= 1 && whole <= WHOLE_DIGITS_MAX;
}

static int is_grouping(uint32_t groups)
{
    for (size_t i = 0; i < grouping_count; i++)
        if (groupings[i] == groups)
            return 1;
    return 0;
}

static int is_card(const uint8_t *digits, unsigned count)
{
    if (count < DIGITS_MIN)
        return 0;
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++) { /* Luhn (ISO/IEC 7812-1, annex B) */
        const unsigned digit = digits[count - 1 - i];
        sum += i % 2 ? digit * 2 - (digit > 4 ? 9 : 0) : digit;
    }
    if (sum % 10)
        return 0;
    uint32_t issuer = 0;
    for (int i = 0; i < 6; i++)
        issuer = issuer * 10 + digits[i];
    for (size_t i = 0; i < range_count; i++)
        if (ranges[i].low <= issuer && issuer <= ranges[i].high && ranges[i].lengths >> count & 1)
            return 1;
    return 0;
}

/* The end of the longest card number that begins at `at`, the first of a run of digits; 0 for none. */
static size_t card_end(const uint8_t *text, size_t length, size_t at)
{
    if (continues_token(text, at))
        return 0;
    uint8_t digits[DIGITS_MAX];
    unsigned count = 0;
    uint32_t groups = 0;
    size_t end = 0;
    const size_t start = at;
    for (unsigned group = 1; group <= CARD_GROUPS_MAX; group++) {
        const unsigned before = count;
        for (; at < length && is_digit(text[at]); at++) {
            if (count == DIGITS_MAX)
                return end;
            digits[count++] = (uint8_t)(text[at] - '0');
        }
        if (at < length && is_letter(text[at]))
            return end;
        groups = groups << CARD_GROUP_BITS | (count - before);
        if ((group > 1 ? is_grouping(groups) : !is_fraction(text, start)) && is_card(digits, count))
            end = at;
        if (at + 1 >= length || (text[at] != ' ' && text[at] != '-') || !is_digit(text[at + 1]))
            return end;
        at++;
    }
    return end;
}

int card_find(const uint8_t *text, size_t length, size_t from, struct screen_span *span)
{
    if (!from) { /* most fields have too few digits for any card, and counting them is the quickest way to know */
        size_t digits = 0;
        for (size_t i = 0; i < length; i++)
            digits += is_digit(text[i]) != 0;
        if (digits < DIGITS_MIN)
            return 0;
    }
    for (size_t at = from; at < length; at++) {
        if (!is_digit(text[at]))
            continue;
        const size_t end = card_end(text, length, at);
        if (end) {
            span->start = at;
            span->end = end;
            return 1;
        }
        while (at + 1 < length && is_digit(text[at + 1]))
            at++;
    }
    return 0;
}

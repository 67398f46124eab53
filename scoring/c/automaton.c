/* The scanner: an Aho-Corasick automaton, eight texts interleaved. One text alone waits for memory at every byte; eight
   wait together. */
#include "screen.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 8, RECENT = 64 };
#define CHILD_MASK ((1u << CHILD_BITS) - 1)

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
    const int edge = screen_is_edge(lane->text, stop);
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
            && !(edge && rule->literal_length <= stop && screen_is_edge(lane->text, stop - rule->literal_length))) {
            whole = 0;
            continue;
        }
        if (screen_hits_add(hits, lane->index, index))
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
    while (*next < count && !(result = screen_grams(table, &texts[*next], *next, hits)))
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

static int scan(const struct screen_table *table, const struct screen_text *texts, size_t count,
                struct screen_hits *hits)
{
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
    return taken < 0 ? -1 : 0;
}

/* Compare whole values, and leave each text as the scanner takes it: plain, or its view in memory of the call's own. */
static int screen_whole_texts(const struct screen_table *table, struct screen_text *texts, size_t count,
                              uint8_t **views, struct screen_hits *hits)
{
    uint8_t *view = NULL;
    for (size_t i = 0; i < count; i++) {
        const int is_plain = screen_is_plain(texts[i].data, texts[i].length);
        if (!is_plain) {
            if (!view) {
                size_t size = 0;
                for (size_t j = i; j < count; j++)
                    size += texts[j].length;
                if (!(*views = view = malloc(size)))
                    return -1;
            }
            texts[i].length = screen_view(texts[i].data, texts[i].length, view);
            texts[i].data = view;
        }
        if (screen_whole_text(table, &texts[i], i, hits))
            return -1;
        if (!is_plain) {
            texts[i].length = screen_words(view, texts[i].length);
            view += texts[i].length;
        }
    }
    return 0;
}

int screen_texts(const struct screen_table *table, struct screen_text *texts, size_t count, struct screen_hits *hits)
{
    uint8_t *views = NULL;
    const int failed = screen_whole_texts(table, texts, count, &views, hits) || scan(table, texts, count, hits);
    free(views);
    if (failed)
        return -1;
    screen_hits_settle(hits);
    return 0;
}

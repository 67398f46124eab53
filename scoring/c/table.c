/* The map of a rule table: where its sections lie. */
#include "screen.h"

#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the rule table is little-endian and read in place"
#endif

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

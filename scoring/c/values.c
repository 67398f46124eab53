/* Rules that equal a whole value, by a hash set. */
#include "screen.h"

static uint64_t hash_step(uint64_t hash, uint8_t byte) /* FNV-1a */
{
    return (hash ^ screen_fold(byte)) * VALUE_HASH_PRIME;
}

static int is_literal(const struct screen_table *table, const struct screen_rule *rule, const uint8_t *value,
                      size_t length)
{
    if (rule->mode != MODE_VALUE || rule->literal_length != length || rule->literal_at > table->strings_size
        || length > table->strings_size - rule->literal_at)
        return 0;
    const uint8_t *literal = table->strings + rule->literal_at;
    for (size_t i = 0; i < length; i++)
        if (literal[i] != screen_fold(value[i]))
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
            && screen_hits_add(hits, text, rule))
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

static int is_of_domain(uint8_t byte)
{
    return screen_is_word(byte) || byte == '.' || byte == '-' || byte == '_';
}

/* The domain of an e-mail address and each parent of it, in one walk from its end: `Name <x@y.example>`. */
static int screen_domain(const struct screen_table *table, const uint8_t *value, size_t length, size_t text,
                         struct screen_hits *hits)
{
    size_t start = length;
    while (start > 0 && value[start - 1] != '@')
        start--;
    if (!start)
        return 0;
    if (start < length && value[start] == ' ')
        start++;
    size_t end = start;
    while (end < length && is_of_domain(value[end]))
        end++;
    while (end > start && value[end - 1] == '.')
        end--;
    uint64_t hash = VALUE_HASH_START;
    for (size_t i = end; i-- > start && end - i <= table->value_length_max;) {
        hash = hash_step(hash, value[i]);
        if ((i == start || value[i - 1] == '.')
            && look_up(table, hash, FIELD_EMAIL_DOMAIN, value + i, end - i, text, hits))
            return -1;
    }
    return 0;
}

int screen_whole_text(const struct screen_table *table, const struct screen_text *text, size_t index,
                      struct screen_hits *hits)
{
    const uint8_t *value = text->data;
    size_t length = text->length;
    while (length && value[length - 1] == ' ')
        length--;
    while (length && *value == ' ')
        value++, length--;
    if (screen_value(table, text->field, value, length, index, hits))
        return -1;
    if (text->field == FIELD_CUSTOMER_EMAIL && table->value_fields >> FIELD_EMAIL_DOMAIN & 1)
        return screen_domain(table, value, length, index, hits);
    return 0;
}

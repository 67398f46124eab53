/* The rule table's format: made from scoring/table.py and scoring/model.py by build/table_header.py, never by hand. */
#ifndef SCORING_TABLE_FORMAT_H
#define SCORING_TABLE_FORMAT_H

#include <stdint.h>

#define MAGIC "PAYRULES"
#define OUTPUT_BIT 0x80000000u
#define ASK_THE_AUTOMATON 0xffffffffu
#define MORE 0x8000u
#define GRAM_HASH 0x9e3779b97f4a7c15u
#define GRAM_HIGH_HASH 0xd6e8feb86659fd93u
#define VALUE_HASH_START 0xcbf29ce484222325u
#define VALUE_HASH_PRIME 0x100000001b3u

enum {
    FORMAT_VERSION = 4,
    HEADER_SIZE = 384,
    ALIGNMENT = 64,
    PASSES_MAX = 8,
    BRANCH_SIZE = 16,
    CHAIN_SIZE = 8,
    CLASSES_MAX = 256,
    OUTPUT_NODES_MAX = 16777216,
    CHILD_BITS = 28,
    CHILDREN_IN_RECORD = 4,
    GRAM_SIZE_MIN = 2,
    GRAM_SIZE_MAX = 12,
    GRAM_WORD_SHIFT = 47,
    GRAM_TAG_SHIFT = 32,
    CHAIN_LENGTH_MAX = 64,
    COUNTS_AT = 64,
    SECTIONS_AT = 128,
    PASSES_AT = 288,
    GRAM_STRIDE_MAX = 4,
    GRAM_FIRST_BIT_SHIFT = 41,
    GRAM_SECOND_BIT_SHIFT = 35,
};

/* By the numbers that rule tables hold. */
enum {
    FIELD_ORDER_ID = 0,
    FIELD_CUSTOMER_ID = 1,
    FIELD_CUSTOMER_NAME = 2,
    FIELD_CUSTOMER_EMAIL = 3,
    FIELD_DESCRIPTION = 4,
    FIELD_PAYMENT_METHOD = 5,
    FIELD_STREET = 6,
    FIELD_CITY = 7,
    FIELD_STATE = 8,
    FIELD_ZIP = 9,
    FIELD_EMAIL_DOMAIN = 14,
    FIELD_FINGERPRINT = 15,
};

enum {
    MODE_SUBSTRING = 1,
    MODE_TOKEN = 2,
    MODE_VALUE = 3,
};

/* By their places in the header. */
enum {
    COUNT_CLASSES = 0,
    COUNT_DENSE_ROWS = 1,
    COUNT_BRANCHES = 2,
    COUNT_CHAIN_STATES = 3,
    COUNT_OUTPUT_NODES = 4,
    COUNT_SLOTS = 5,
    COUNT_RULES = 6,
    COUNT_VALUE_LENGTH_MAX = 7,
    COUNT_PROBE_LENGTH_MAX = 8,
    COUNT_OUTPUT_CHAIN_MAX = 9,
    COUNT_FILTER_WORDS = 10,
    COUNT_GRAM_SLOTS = 11,
    COUNT_VALUE_FIELDS = 12,
    COUNT_SCANNED_FIELDS = 13,
    COUNTS = 14,
};

enum {
    SECTION_CLASSES = 0,
    SECTION_DENSE = 1,
    SECTION_TAIL = 2,
    SECTION_LABELS = 3,
    SECTION_OUTPUTS = 4,
    SECTION_FILTER = 5,
    SECTION_GRAMS = 6,
    SECTION_SLOTS = 7,
    SECTION_RULES = 8,
    SECTION_STRINGS = 9,
    SECTIONS = 10,
};

struct screen_output {
    uint32_t rule;
    uint32_t next;
};
_Static_assert(sizeof(struct screen_output) == 8, "read in place");

struct screen_gram {
    uint32_t rule_plus_1;
    uint16_t tag;
    uint16_t place;
};
_Static_assert(sizeof(struct screen_gram) == 8, "read in place");

struct screen_slot {
    uint32_t tag;
    uint32_t rule_plus_1;
};
_Static_assert(sizeof(struct screen_slot) == 8, "read in place");

struct screen_rule {
    uint32_t id;
    uint16_t fields;
    uint16_t weight;
    uint8_t mode;
    uint8_t action;
    uint16_t zero;
    uint32_t literal_at;
    uint16_t literal_length;
    uint16_t reason_length;
    uint32_t reason_at;
};
_Static_assert(sizeof(struct screen_rule) == 24, "read in place");

/* The bytes that each section must have by the header's counts, the last one excepted. */
static inline void section_sizes(const uint32_t *counts, uint64_t *sizes)
{
    const uint64_t cells = counts[COUNT_DENSE_ROWS] * ((uint64_t)counts[COUNT_CLASSES] + 1);
    sizes[SECTION_CLASSES] = 256;
    sizes[SECTION_DENSE] = 4 * cells;
    sizes[SECTION_TAIL] = 16 * (uint64_t)counts[COUNT_BRANCHES] + 8 * (uint64_t)counts[COUNT_CHAIN_STATES] + 8;
    sizes[SECTION_LABELS] = 1 * (uint64_t)counts[COUNT_BRANCHES];
    sizes[SECTION_OUTPUTS] = 8 * (uint64_t)counts[COUNT_OUTPUT_NODES];
    sizes[SECTION_FILTER] = 8 * (uint64_t)counts[COUNT_FILTER_WORDS];
    sizes[SECTION_GRAMS] = 8 * (uint64_t)counts[COUNT_GRAM_SLOTS];
    sizes[SECTION_SLOTS] = 8 * (uint64_t)counts[COUNT_SLOTS];
    sizes[SECTION_RULES] = 24 * (uint64_t)counts[COUNT_RULES];
}

#endif

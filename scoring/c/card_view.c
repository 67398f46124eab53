/* The view of a text that card numbers are looked for in. */
#include "card_view.h"

#include <string.h>

enum { CLASSES_MAX = 256, UUID_SIZE = 36 };

static struct card_class classes[CLASSES_MAX];
static size_t class_count;
static uint8_t ascii_kinds[128];

static int is_digit(uint32_t c)
{
    return c - '0' < 10;
}

static int is_letter(uint32_t c)
{
    return c < 128 && (c | 0x20) - 'a' < 26;
}

static const struct card_class *class_of(uint32_t c)
{
    size_t low = 0, high = class_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (classes[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < class_count && classes[low].first <= c ? &classes[low] : NULL;
}

int card_view_set(const struct card_class *given, size_t count)
{
    if (count > CLASSES_MAX)
        return -1;
    memcpy(classes, given, count * sizeof *given);
    class_count = count;
    for (uint32_t c = 0; c < 128; c++) {
        const struct card_class *found = class_of(c);
        ascii_kinds[c] = (uint8_t)(is_digit(c) ? CARD_DIGIT : is_letter(c) ? CARD_LETTER : found ? found->kind : 0);
    }
    return 0;
}

static void classify(uint32_t c, struct card_element *element)
{
    if (c < 128) {
        element->kind = ascii_kinds[c];
        element->value = element->kind == CARD_DIGIT ? c - '0' : c;
        return;
    }
    const struct card_class *found = class_of(c);
    element->kind = found ? found->kind : CARD_OTHER;
    element->value = found && found->kind == CARD_DIGIT ? c - found->first : 0;
}

/* The value of `count` hex digits at `at`; -1 where they are none or the text ends. */
static int32_t hex(const uint8_t *text, size_t length, size_t at, unsigned count)
{
    int32_t value = 0;
    if (length - at < count)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        const uint32_t byte = text[at + i], letter = (byte | 0x20) - 'a';
        if (!is_digit(byte) && letter >= 6)
            return -1;
        value = value << 4 | (int32_t)(is_digit(byte) ? byte - '0' : letter + 10);
    }
    return value;
}

/* Bytes of a UTF-8 sequence by its first byte; 0 where none begins so. */
static unsigned sequence_size(uint32_t byte)
{
    return byte < 0xC2 ? 0 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : byte < 0xF5 ? 4 : 0;
}

static int in_range(uint32_t c, unsigned size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return c >= least[size] && c < 0x110000 && (c < 0xD800 || c > 0xDFFF);
}

/* Whether a token in the shape of a UUID stands at `at`, itself or behind an escape. */
static int is_uuid(const uint8_t *text, size_t length, size_t at)
{
    if (length - at < UUID_SIZE || text[at + 8] != '-')
        return 0;
    for (unsigned i = 0; i < UUID_SIZE; i++) {
        const int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[at + i] != '-' : hex(text, length, at + i, 1) < 0)
            return 0;
    }
    const size_t end = at + UUID_SIZE;
    if (end < length && (is_digit(text[end]) || is_letter(text[end])))
        return 0;
    if (!at || !(is_digit(text[at - 1]) || is_letter(text[at - 1])))
        return 1;
    if (at >= 2 && text[at - 2] == '\\' && text[at - 1] && strchr("bfnrtv", text[at - 1]))
        return 1;
    return at >= 3 && text[at - 3] == '%' && hex(text, length, at - 2, 2) >= 0;
}

/* What a backslash at `at` begins; returns its end, 0 where it is no escape. */
static size_t escape(const uint8_t *text, size_t length, size_t at, struct card_element *element)
{
    const uint8_t letter = at + 1 < length ? text[at + 1] : 0;
    if (letter == 'u' || letter == 'x') {
        const unsigned count = letter == 'u' ? 4 : 2;
        const int32_t c = hex(text, length, at + 2, count);
        if (c < 0)
            return 0;
        classify((uint32_t)c, element);
        return at + 2 + count;
    }
    if (!letter || !strchr("bfnrtv", letter))
        return 0;
    classify(' ', element);
    return at + 2;
}

/* What a percent sign at `at` encodes; returns its end, 0 where that is nothing, a letter or an ASCII digit. */
static size_t percent(const uint8_t *text, size_t length, size_t at, struct card_element *element)
{
    const int32_t first = hex(text, length, at + 1, 2);
    if (first < 0)
        return 0;
    if (first < 0x80) {
        if (is_digit((uint32_t)first) || is_letter((uint32_t)first))
            return 0;
        classify((uint32_t)first, element);
        return at + 3;
    }
    const unsigned size = sequence_size((uint32_t)first);
    uint32_t c = (uint32_t)first & (0x7Fu >> size);
    for (unsigned i = 1; i < size; i++) {
        const size_t next = at + 3 * i;
        const int32_t byte = next < length && text[next] == '%' ? hex(text, length, next + 1, 2) : -1;
        if (byte < 0x80 || byte > 0xBF)
            return 0;
        c = c << 6 | ((uint32_t)byte & 0x3F);
    }
    if (!size || !in_range(c, size))
        return 0;
    classify(c, element);
    return at + 3 * size;
}

void card_view_next(const uint8_t *text, size_t length, size_t at, struct card_element *element)
{
    const uint32_t byte = text[at];
    element->start = at;
    element->end = at + 1;
    if (byte < 128) {
        size_t end = 0;
        if (byte == '\\')
            end = escape(text, length, at, element);
        else if (byte == '%')
            end = percent(text, length, at, element);
        else if (length - at >= UUID_SIZE && text[at + 8] == '-' && is_uuid(text, length, at)) {
            end = at + UUID_SIZE;
            element->kind = CARD_OTHER;
            element->value = 0;
        }
        if (end)
            element->end = end;
        else
            classify(byte, element);
        return;
    }
    const unsigned size = sequence_size(byte);
    uint32_t c = byte & (0x7Fu >> size);
    element->kind = CARD_OTHER;
    element->value = 0;
    if (!size || length - at < size)
        return;
    for (unsigned i = 1; i < size; i++) {
        if ((text[at + i] & 0xC0) != 0x80)
            return;
        c = c << 6 | (text[at + i] & 0x3F);
    }
    if (!in_range(c, size))
        return;
    classify(c, element);
    element->end = at + size;
}

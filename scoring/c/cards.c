/* Card numbers in texts. */
#include "cards.h"

#include <string.h>

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

int card_find(const uint8_t *text, size_t length, size_t from, struct card_span *span)
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

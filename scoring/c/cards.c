/* Card numbers in texts. */
#include "card_view.h"

#include <string.h>

enum {
    DIGITS_MIN = 13,
    DIGITS_MAX = 19,
    ISSUERS_MAX = 64,
    GROUPINGS_MAX = 32,
    RING = 32 /* digits and groups that are kept: a power of two above DIGITS_MAX */
};

static struct card_issuer issuers[ISSUERS_MAX];
static size_t issuer_count;
static uint32_t groupings[GROUPINGS_MAX];
static size_t grouping_count;
static struct card_limits limits;

int card_data_set(const struct card_issuer *given_issuers, size_t given_issuer_count, const uint32_t *given_groupings,
                  size_t given_grouping_count, const struct card_class *classes, size_t class_count,
                  const struct card_limits *given_limits)
{
    if (given_issuer_count > ISSUERS_MAX || given_grouping_count > GROUPINGS_MAX)
        return -1;
    memcpy(issuers, given_issuers, given_issuer_count * sizeof *issuers);
    issuer_count = given_issuer_count;
    memcpy(groupings, given_groupings, given_grouping_count * sizeof *groupings);
    grouping_count = given_grouping_count;
    limits = *given_limits;
    return card_view_set(classes, class_count);
}

struct digit {
    size_t start, end;
    uint8_t value, hidden;
};

struct group {
    size_t first;          /* number of its first digit in the chain */
    size_t size, zeros;    /* zeros: in its front */
    uint32_t joint;        /* the kind of what joins it to the group before */
    uint32_t counts;       /* whether it may begin a card number */
    uint32_t plus;         /* whether it is behind a plus sign that nothing is joined to */
    uint32_t known;        /* whether `issuer` was looked for */
    const struct card_issuer *issuer;
};

struct scan {
    const uint8_t *text;
    size_t length;
    struct digit digits[RING];
    struct group groups[RING];
    size_t digit_count, group_count; /* of this chain */
    struct card_span *spans, last;
    size_t capacity, span_count;
    /* The word that was read last, and the two characters before this one. */
    size_t word_size;
    int word_beyond_f;
    size_t stars; /* that were read last, with nothing but joints between */
    struct card_element word_before, before, before_that;
};

static struct digit *digit_at(struct scan *scan, size_t number)
{
    return &scan->digits[number % RING];
}

static struct group *group_at(struct scan *scan, size_t number)
{
    return &scan->groups[number % RING];
}

static void store_last(struct scan *scan)
{
    if (scan->last.end && scan->span_count++ < scan->capacity)
        scan->spans[scan->span_count - 1] = scan->last;
}

/* Keep a digit's span where it is hidden; digits come in order, and neighbours make one span. */
static void leave(struct scan *scan, const struct digit *digit)
{
    if (!digit->hidden)
        return;
    if (scan->last.end && scan->last.end == digit->start) {
        scan->last.end = digit->end;
        return;
    }
    store_last(scan);
    scan->last.start = digit->start;
    scan->last.end = digit->end;
}

static void end_chain(struct scan *scan)
{
    const size_t first = scan->digit_count > RING ? scan->digit_count - RING : 0;
    for (size_t i = first; i < scan->digit_count; i++)
        leave(scan, digit_at(scan, i));
    scan->digit_count = scan->group_count = 0;
}

static int is_alphanumeric(const struct card_element *element)
{
    return element->kind == CARD_LETTER || element->kind == CARD_DIGIT;
}

static int is_star(const struct card_element *element)
{
    return element->kind == CARD_OTHER && element->value == '*';
}

static int is_beyond_f(uint32_t letter)
{
    return (letter | 0x20) > 'f';
}

/* Whether the group that a chain begins with may begin a card number, by what is in front of it. */
static int counts_behind(const struct scan *scan)
{
    if (scan->before.kind != CARD_LETTER)
        return !is_star(&scan->before) || scan->stars < limits.mask_stars;
    const struct card_element *before = &scan->word_before;
    if (before->kind == CARD_DIGIT)
        return 0;
    return scan->word_size <= 2 || scan->word_beyond_f || before->value == '\\' || before->value == '%';
}

static int is_joining(const struct card_element *element)
{
    return element->kind == CARD_SEPARATOR || element->kind == CARD_POINT || element->kind == CARD_COMMA;
}

/* Whether what begins at `at`, with a star, is what masking leaves of a number's first digits. */
static int is_masked(const struct scan *scan, size_t at)
{
    size_t stars = 0;
    struct card_element element;
    for (; at < scan->length && stars < limits.mask_stars; at = element.end) {
        card_view_next(scan->text, scan->length, at, &element);
        if (is_star(&element))
            stars++;
        else if (element.kind != CARD_UNSEEN && !is_joining(&element))
            break;
    }
    return stars >= limits.mask_stars;
}

/* Whether a chain's last group may end a card number, by the word that begins at `at`. */
static int counts_before(const struct scan *scan, size_t at)
{
    size_t letters = 0, digits = 0;
    int beyond_f = 0;
    struct card_element element;
    while (at < scan->length) {
        card_view_next(scan->text, scan->length, at, &element);
        at = element.end;
        if (element.kind == CARD_UNSEEN)
            continue;
        if (element.kind == CARD_LETTER && !digits) {
            letters++;
            beyond_f |= is_beyond_f(element.value);
        } else if (element.kind == CARD_DIGIT && digits < limits.behind_word_max) {
            digits++;
        } else {
            if (is_alphanumeric(&element))
                return 0;
            break;
        }
    }
    return beyond_f || (letters <= 2 && !digits);
}

static const struct card_issuer *issuer_of(struct scan *scan, struct group *group)
{
    if (group->known)
        return group->issuer;
    uint32_t first_six = 0;
    for (size_t i = 0; i < 6; i++)
        first_six = first_six * 10 + digit_at(scan, group->first + group->zeros + i)->value;
    group->known = 1;
    group->issuer = NULL;
    for (size_t i = 0; i < issuer_count && issuers[i].low <= first_six; i++)
        if (first_six <= issuers[i].high)
            group->issuer = &issuers[i];
    return group->issuer;
}

/* Whether groups `i` to `j` of the chain, the first without its zeros, are written as card numbers are. */
static int is_written_so(struct scan *scan, size_t i, size_t j, size_t count, const struct card_issuer *issuer)
{
    const struct group *first = group_at(scan, i), *last = group_at(scan, j);
    const size_t size = first->size - first->zeros;
    if ((limits.phone_lengths >> count & 1) && (first->plus || first->zeros == 2))
        return 0;
    if (i == j) {
        const int fraction = i > 0 && first->joint == CARD_POINT &&
                             group_at(scan, i - 1)->size <= limits.whole_digits_max;
        return !fraction && !issuer->grouped;
    }
    const uint32_t joint = group_at(scan, i + 1)->joint;
    int one_joint = 1, points = 0, one_size = 1;
    uint32_t sizes = (uint32_t)size;
    for (size_t k = i + 1; k <= j; k++) {
        const struct group *group = group_at(scan, k);
        one_joint &= group->joint == joint;
        points |= group->joint != CARD_SEPARATOR;
        one_size &= k == j || group->size == size;
        if (j - i < CARD_GROUPS_MAX)
            sizes = sizes << CARD_GROUP_BITS | (uint32_t)group->size;
    }
    if (points && (!one_joint || j == i + 1))
        return 0;
    if (one_size && j >= i + 2 && size <= limits.one_size_max && last->size <= size + 1)
        return 1;
    for (size_t k = 0; j - i < CARD_GROUPS_MAX && k < grouping_count; k++)
        if (groupings[k] == sizes)
            return 1;
    return 0;
}

static int passes_luhn(struct scan *scan, size_t first, size_t end) /* ISO/IEC 7812-1, annex B */
{
    unsigned sum = 0;
    for (size_t i = 0; first + i < end; i++) {
        const unsigned digit = digit_at(scan, end - 1 - i)->value;
        sum += i % 2 ? digit * 2 - (digit > 4 ? 9 : 0) : digit;
    }
    return sum % 10 == 0;
}

/* Hide the card numbers that end with the chain's last group, behind which `next` stands. */
static void end_group(struct scan *scan, const struct card_element *next)
{
    const size_t j = scan->group_count - 1, end = scan->digit_count;
    int asked = next == NULL || (next->kind != CARD_LETTER && !is_star(next));
    for (size_t i = j + 1; i-- > 0;) {
        struct group *group = group_at(scan, i);
        if (end - group->first - group->size >= DIGITS_MAX)
            return;
        const size_t first = group->first + group->zeros, count = end - first;
        if (group->zeros == group->size || count < DIGITS_MIN || !group->counts)
            continue;
        if (count > DIGITS_MAX)
            return;
        const struct card_issuer *issuer = issuer_of(scan, group);
        if (!issuer || !(issuer->lengths >> count & 1) || !is_written_so(scan, i, j, count, issuer) ||
            !passes_luhn(scan, first, end))
            continue;
        if (!asked && (is_star(next) ? is_masked(scan, next->start) : !counts_before(scan, next->start)))
            return;
        asked = 1;
        for (size_t k = first; k < end - 4; k++)
            digit_at(scan, k)->hidden = 1;
    }
}

static void add_digit(struct scan *scan, const struct card_element *element, uint32_t joint)
{
    if (joint != CARD_DIGIT) {
        struct group *group = group_at(scan, scan->group_count++);
        const struct card_element *before = &scan->before_that;
        memset(group, 0, sizeof *group);
        group->first = scan->digit_count;
        group->joint = joint;
        group->counts = joint != CARD_OTHER || counts_behind(scan);
        group->plus = scan->before.value == '+' && scan->before.kind == CARD_SEPARATOR && !is_alphanumeric(before);
    }
    struct group *group = group_at(scan, scan->group_count - 1);
    group->zeros += group->zeros == group->size && !element->value;
    group->size++;
    struct digit *digit = digit_at(scan, scan->digit_count);
    if (scan->digit_count >= RING)
        leave(scan, digit);
    digit->start = element->start;
    digit->end = element->end;
    digit->value = (uint8_t)element->value;
    digit->hidden = 0;
    scan->digit_count++;
}

static int may_hold_a_card(const uint8_t *text, size_t length)
{
    size_t digits = 0; /* and what may stand for one */
    for (size_t i = 0; i < length; i++)
        digits += (uint8_t)(text[i] - '0') < 10 || text[i] >= 0xC0 || text[i] == '\\' || text[i] == '%';
    return digits >= DIGITS_MIN;
}

size_t card_hide(const uint8_t *text, size_t length, struct card_span *spans, size_t capacity)
{
    if (!may_hold_a_card(text, length))
        return 0;
    struct scan scan;
    memset(&scan, 0, sizeof scan);
    scan.text = text;
    scan.length = length;
    scan.spans = spans;
    scan.capacity = capacity;
    /* What was read behind the chain's last group: CARD_DIGIT for nothing, CARD_OTHER for what joins no group. */
    uint32_t joint = CARD_OTHER;
    size_t joint_size = 0;
    struct card_element element;
    for (size_t at = 0; at < length; at = element.end) {
        card_view_next(text, length, at, &element);
        if (element.kind == CARD_UNSEEN)
            continue;
        if (element.kind == CARD_DIGIT) {
            if (joint == CARD_OTHER)
                end_chain(&scan);
            add_digit(&scan, &element, joint);
            joint = CARD_DIGIT;
            joint_size = 0;
        } else {
            if (joint == CARD_DIGIT)
                end_group(&scan, &element);
            const int separator = element.kind == CARD_SEPARATOR;
            if (separator && (joint == CARD_DIGIT || joint == CARD_SEPARATOR) && joint_size < limits.joint_max)
                joint = CARD_SEPARATOR;
            else if (joint == CARD_DIGIT && (element.kind == CARD_POINT || element.kind == CARD_COMMA))
                joint = element.kind;
            else
                joint = CARD_OTHER;
            joint_size++;
            if (element.kind == CARD_LETTER) {
                if (scan.before.kind != CARD_LETTER) {
                    scan.word_before = scan.before;
                    scan.word_size = 0;
                    scan.word_beyond_f = 0;
                }
                scan.word_size++;
                scan.word_beyond_f |= is_beyond_f(element.value);
            }
        }
        if (is_star(&element))
            scan.stars++;
        else if (!is_joining(&element))
            scan.stars = 0;
        scan.before_that = scan.before;
        scan.before = element;
    }
    if (joint == CARD_DIGIT)
        end_group(&scan, NULL);
    end_chain(&scan);
    store_last(&scan);
    return scan.span_count;
}

/* The screening view: scoring/screening_view.py has the rule. */
#include "screen.h"

#include "view_table.h"

/* Sixteen bytes, which every compiler here has instructions for; it writes them itself for a processor without. */
typedef uint8_t bytes __attribute__((vector_size(16)));
enum { BYTES = sizeof(bytes) };

static inline bytes load_bytes(const uint8_t *at)
{
    bytes loaded;
    memcpy(&loaded, at, sizeof loaded);
    return loaded;
}

static inline bytes is_gap(bytes text)
{
    return (bytes)((text == ' ') | (text == '-'));
}

/* What is not plain: beyond ASCII, white space that is no space, a dash or space behind another. */
static inline bytes not_plain(const uint8_t *text)
{
    const bytes here = load_bytes(text + 1);
    return (here & 0x80) | (bytes)(here - '\t' < 5) | (is_gap(here) & is_gap(load_bytes(text)));
}

#define EACH(BYTE) (0x0101010101010101u * (BYTE))

/* The bytes of a word, all of them ASCII, that equal one, as their highest bits. */
static inline uint64_t equal_bytes(uint64_t word, uint8_t byte)
{
    return ~((word ^ EACH(byte)) + EACH(0x7F)) & EACH(0x80);
}

/* The same of eight bytes in a word, for texts that are too short for more. */
static inline uint64_t not_plain_word(uint64_t word)
{
    const uint64_t white = (word + EACH(0x80 - '\t')) & ~(word + EACH(0x80 - '\r' - 1));
    const uint64_t gap = equal_bytes(word, ' ') | equal_bytes(word, '-');
    return ((word | white) & EACH(0x80)) | (gap & gap << 8);
}

/* One to seven bytes, without a branch for each: short texts are of every length. */
static inline uint64_t load_few(const uint8_t *text, size_t length)
{
    if (length >= 4)
        return load32(text) | (uint64_t)load32(text + length - 4) << 8 * (length - 4);
    const size_t middle = length / 2, last = length - 1;
    return text[0] | (uint64_t)text[middle] << 8 * middle | (uint64_t)text[last] << 8 * last;
}

int screen_is_plain(const uint8_t *text, size_t length)
{
    if (!length)
        return 1;
    if (length < 8)
        return !not_plain_word(load_few(text, length));
    /* Both sides of each pair are in one word, or in one step of not_plain. */
    uint64_t found = not_plain_word(load64(text)) | not_plain_word(load64(text + length - 8));
    if (length <= BYTES)
        return !(found | not_plain_word(load64(text + (length - 8) / 2)));
    bytes all = not_plain(text + length - BYTES - 1);
    for (size_t i = 0; i + BYTES + 1 < length; i += BYTES)
        all |= not_plain(text + i);
    uint64_t halves[2];
    memcpy(halves, &all, sizeof halves);
    return !(found | halves[0] | halves[1]);
}

static inline void fold_bytes(const uint8_t *text, uint8_t *folded)
{
    const bytes from = load_bytes(text);
    const bytes to = (from | ((bytes)(from - 'A' < 26) & 0x20)) ^ ((bytes)(from == '-') & ('-' ^ ' '));
    memcpy(folded, &to, sizeof to);
}

void screen_fold_words(const uint8_t *text, size_t length, uint8_t *folded)
{
    if (length < BYTES) {
        for (size_t i = 0; i < length; i++)
            folded[i] = screen_fold_word(text[i]);
        return;
    }
    for (size_t i = 0; i + BYTES < length; i += BYTES)
        fold_bytes(text + i, folded + i);
    fold_bytes(text + length - BYTES, folded + length - BYTES);
}

static inline int continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The code point of the UTF-8 at `text` and its bytes, or 0 bytes where it is none (Unicode 15.1, table 3-7). Surrogates
   and what lies beyond Unicode pass for characters: the table has none of them, so that they stay, as they should. */
static size_t decode(const uint8_t *text, size_t left, uint32_t *code)
{
    const uint8_t lead = text[0];
    const size_t size = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (!size || size > left)
        return 0;
    *code = lead & 0x7F >> size;
    for (size_t i = 1; i < size; i++) {
        if (!continues(text[i]))
            return 0;
        *code = *code << 6 | (text[i] & 0x3F);
    }
    return size == 3 && *code < 0x800 ? 0 : size == 4 && *code < 0x10000 ? 0 : size;
}

size_t screen_view(const uint8_t *text, size_t length, uint8_t *view)
{
    size_t at = 0, end = 0;
    int after_space = 0;
    while (at < length) {
        const uint8_t byte = text[at];
        if (byte < 0x80) {
            const int is_space = screen_is_white(byte);
            view[end] = is_space ? ' ' : screen_fold(byte);
            end += !(is_space & after_space);
            after_space = is_space;
            at++;
            continue;
        }
        uint32_t code;
        size_t size = decode(text + at, length - at, &code);
        const uint8_t *fold = text + at;
        at += size ? size : 1;
        size = size ? size : 1; /* a byte that is no UTF-8 stays */
        if (size > 1) {
            const uint32_t block = code >> VIEW_BLOCK_BITS, within = code & ((1u << VIEW_BLOCK_BITS) - 1);
            const uint32_t number =
                block < VIEW_BLOCKS_END ? VIEW_NUMBERS[(uint32_t)VIEW_BLOCKS[block] << VIEW_BLOCK_BITS | within] : 0;
            if (number) {
                fold = VIEW_FOLDS + number * (FOLD_BYTES_MAX + 1) + 1;
                size = fold[-1];
            }
        }
        for (size_t i = 0; i < size; i++)
            if (fold[i] != ' ' || !after_space) {
                view[end++] = fold[i];
                after_space = fold[i] == ' ';
            }
    }
    return end;
}

size_t screen_words(uint8_t *view, size_t length)
{
    size_t end = 0;
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = view[i] == '-' ? ' ' : view[i];
        if (byte != ' ' || !end || view[end - 1] != ' ')
            view[end++] = byte;
    }
    return end;
}

/* A text as card numbers are looked for in it: digits, separators, letters and others, escapes decoded. */
#ifndef SCORING_CARD_VIEW_H
#define SCORING_CARD_VIEW_H

#include "cards.h"

struct card_element {
    uint32_t kind, value; /* value: of a digit 0 to 9, else the character where it is ASCII, else 0 */
    size_t start, end;
};

/* Set what characters are, in order; -1 for more than 256 classes. For the whole process, before the first search. */
int card_view_set(const struct card_class *classes, size_t count);

/* The character at `at`, before the text's end; a byte that is no UTF-8 is one other character. */
void card_view_next(const uint8_t *text, size_t length, size_t at, struct card_element *element);

#endif

/* The hits of a call: a list that grows with distinct hits alone. */
#include "screen.h"

#include <stdlib.h>

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

int screen_hits_grow(struct screen_hits *hits)
{
    /* Input that repeats its hits must not cost memory: grow only where most of them are distinct. */
    screen_hits_settle(hits);
    if (hits->count < hits->capacity / 2)
        return 0;
    const size_t capacity = hits->capacity ? 2 * hits->capacity : 256;
    uint64_t *items = realloc(hits->items, capacity * sizeof *items);
    if (!items)
        return -1;
    hits->items = items;
    hits->capacity = capacity;
    return 0;
}

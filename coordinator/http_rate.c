/* Token buckets, one an address; the address that has been quiet for longest makes room. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/clock.h"
#include "coordinator/http_internal.h"

typedef struct bucket {
    unsigned char address[16];
    double asked, wrong; /* of late: both fall with time */
    uint64_t used_us;
} bucket;

struct co_rates {
    pthread_mutex_t lock;
    bucket buckets[CO_HTTP_ADDRESSES];
};

co_rates *co_rates_new(void)
{
    co_rates *r = calloc(1, sizeof *r);
    if (r && pthread_mutex_init(&r->lock, NULL)) {
        free(r);
        return NULL;
    }
    return r;
}

void co_rates_free(co_rates *r)
{
    if (!r) return;
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

static double fall(double level, double by) { return level > by ? level - by : 0; }

/* The address's bucket, as of now. Of an IPv6 address the network counts: a host has 2^64 of them. */
static bucket *find(co_rates *r, const void *address, size_t size)
{
    unsigned char key[16] = { 0 };
    bucket *oldest = &r->buckets[0], *found = NULL;
    uint64_t now = co_now_us();
    memcpy(key, address, size > 8 ? 8 : size);
    key[15] = (unsigned char)(size > 8 ? 6 : 4);
    for (bucket *b = r->buckets; b < r->buckets + CO_HTTP_ADDRESSES; b++) {
        if (!memcmp(b->address, key, sizeof key)) found = b;
        if (b->used_us < oldest->used_us) oldest = b;
    }
    if (!found) {
        found = oldest;
        *found = (bucket){ .used_us = now };
        memcpy(found->address, key, sizeof key);
    }
    double passed_s = 1e-6 * (double)(now - found->used_us);
    found->asked = fall(found->asked, passed_s * CO_HTTP_RATE);
    found->wrong = fall(found->wrong, passed_s * CO_HTTP_WRONG_RATE);
    found->used_us = now;
    return found;
}

int co_rates_take(co_rates *r, const void *address, size_t size)
{
    (void)pthread_mutex_lock(&r->lock);
    bucket *b = find(r, address, size);
    int good = b->asked + 1 <= CO_HTTP_BURST;
    if (good) b->asked += 1;
    (void)pthread_mutex_unlock(&r->lock);
    return good;
}

int co_rates_wrong(co_rates *r, const void *address, size_t size, int wrong)
{
    (void)pthread_mutex_lock(&r->lock);
    bucket *b = find(r, address, size);
    int good = b->wrong < 10 * CO_HTTP_WRONG_RATE;
    if (good && wrong) b->wrong += 1;
    (void)pthread_mutex_unlock(&r->lock);
    return good;
}

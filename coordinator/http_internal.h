/* What the files of the HTTP side share. http.c: connections; http_api.c: the board as JSON; http_events.c: streams; http_image.c: pictures; http_submit.c: jobs
 * that are sent; http_rate.c: who asks too often; http_assets.c: the page. Only http.c and http_events.c see libmicrohttpd. */
#ifndef CO_HTTP_INTERNAL_H
#define CO_HTTP_INTERNAL_H

#include <pthread.h>

#include "coordinator/http.h"
#include "coordinator/http_request.h"
#include "coordinator/text.h"

typedef struct co_events co_events;
typedef struct co_rates co_rates;

struct co_http {
    co_http_config config;    /* its texts are ours */
    char token[CO_HTTP_TOKEN_MOST + 1];
    char host[256], port[8];
    uint16_t bound_port;
    co_board *board;
    co_mailbox *mailbox;
    co_events *events;
    co_rates *rates;
    void *daemon;             /* struct MHD_Daemon */
    pthread_mutex_t lock;     /* of what follows */
    pthread_cond_t changed;
    unsigned uploads, images; /* under way */
    int closing;
};

/* What is sent back. body: malloc'd, or borrowed for ever when fixed; type: NULL without a body. */
typedef struct co_answer {
    int status;
    const char *type;
    void *body;
    size_t size;
    int fixed;
    char location[64];        /* of what was made; "" */
    const char *etag;         /* of a file; NULL */
    uint32_t retry_s;         /* 429, 503: when to try again; 0: not said */
    char file_name[96];       /* to be saved as; "" */
} co_answer;

void co_answer_free(co_answer *a);
void co_answer_error(co_answer *a, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void co_answer_text(co_answer *a, int status, const char *type, co_text *text); /* takes the text */

/* The board as JSON (http_api.c): one value each, written into t. */
void co_api_cluster(co_text *t, const char *name, co_board *board);
void co_api_worker(co_text *t, const co_board *board, const co_board_worker *w, int whole); /* whole: also what never changes */
void co_api_job(co_text *t, const co_board *board, const co_board_job *j);
void co_api_line(co_text *t, const co_board_line *line);
void co_api_lease(co_text *t, const co_board_lease *l, uint64_t now_us);

/* Answers everything that needs no more than the board: pure but for the board's lock. 1: answered; 0: it is for another file. */
int co_api_answer(co_answer *a, const co_http_route *route, co_board *board);
void co_http_metrics(co_text *t, co_board *board); /* http_metrics.c: Prometheus' text format */

/* Pictures (http_image.c). */
void co_image_answer(co_answer *a, const co_http_route *route, co_http *http);
void co_pixels_answer(co_answer *a, const co_http_route *route, co_board *board);

/* Jobs that are sent (http_submit.c). */
typedef struct co_upload co_upload; /* a body that comes in pieces: to a file in a folder of its own */
int co_upload_begin(co_upload **out, co_http *http, const co_http_route *route, int is_json, co_answer *a); /* 0, or -1: a says why */
int co_upload_add(co_upload *u, const void *bytes, size_t size); /* -1: no room for it; co_upload_end answers so */
void co_upload_end(co_upload *u, co_answer *a);     /* the whole of it is there: compiles and submits */
void co_upload_free(co_upload *u);                  /* NULL is fine */
void co_scenes_answer(co_answer *a, const co_http *http);
void co_change_answer(co_answer *a, const co_http_route *route, co_http *http); /* cancel, drain */

/* Streams (http_events.c). */
int co_events_open(co_events **out, co_board *board);
void co_events_stop(co_events *e);                  /* ends the streams and the thread; streams may still be closed afterwards */
void co_events_free(co_events *e);
typedef struct co_stream co_stream;
co_stream *co_stream_open(co_events *e, const char *last_event_id); /* NULL: there are too many, or no memory */
/* Copies what there is, up to size bytes; waits for it when there is nothing. -1: the stream has ended. */
long co_stream_read(co_stream *stream, char *bytes, size_t size);
void co_stream_close(co_stream *stream);

/* Who asks too often (http_rate.c). address: of any kind. */
co_rates *co_rates_new(void);
void co_rates_free(co_rates *rates);
int co_rates_take(co_rates *rates, const void *address, size_t size);  /* 1: it may ask */
int co_rates_wrong(co_rates *rates, const void *address, size_t size, int wrong); /* notes a wrong token when `wrong`; 1: it may still try */

/* Files of the page (http_assets.c), with their checksums as ETags. NULL: no such file. */
typedef struct co_asset {
    const char *path, *type;
    const unsigned char *bytes;
    size_t size;
    char etag[40];
} co_asset;
void co_assets_prepare(void); /* once, before the first look */
const co_asset *co_asset_at(const char *path);

#endif

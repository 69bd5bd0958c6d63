/* Every bound and default of the coordinator, in one place, with its reason. */
#ifndef CO_LIMITS_H
#define CO_LIMITS_H

/* How a picture is cut (coordinator/plan.h) */
enum {
    CO_UNIT_PATHS = 49152,     /* 10 to 50 ms of one thread's work: far more than a message costs, and little to lose */
    CO_UNIT_PATHS_LEAST = 4096,/* below this a wavefront is too short to be traced well */
    CO_UNITS_LEAST = 64,       /* of a picture, while that leaves CO_UNIT_PATHS_LEAST: 2 to 8 workers end together */
    CO_UNITS_MOST = 1 << 21,   /* about 120 MB of our memory */
    CO_FIRST_PASS = 16,        /* its share of the samples is one in so many: dear enough to tell costs apart, cheap to be wrong about */
    CO_TILE_LEAST = 32,        /* pixels a side, when chosen: smaller ones repeat too much of the message around them */
    CO_TILE_MOST = 256         /* pixels a side, when chosen: larger ones make results of megabytes */
};

/* The scheduler */
enum {
    CO_LEASE_MS = 900,         /* a worker silent for so long is lost, its tiles go to others: within a second, the tick included */
    CO_HEARTBEATS_A_LEASE = 5, /* so that one late heartbeat is no loss */
    CO_DEATHS_MOST = 3,        /* a unit that was in the hands of so many workers when they died is put aside, */
    CO_DEATHS_DOUBT = 16,      /* one more for each so many other deaths that its job has seen */
    CO_DEATHS_ALONE = 2,       /* from here on (and one more for each so many others) it is given out alone, to find the culprit */
    CO_FAILURES_MOST = 3,      /* a unit that failed so often is put aside */
    CO_WORKER_FAILURES_MOST = 3, /* a worker that failed so often in a row rests */
    CO_REST_MS = 10000,
    CO_CREDIT_SLACK_US = 20000,/* work in hand beyond the round trip, so that a worker survives our being busy for a moment, ... */
    CO_CREDIT_SHARE = 8,       /* ... but no more than this part of the time that is left: what waits was cut for an earlier hour */
    CO_CREDIT_MOST = 256,      /* units in one worker's hands, beyond its threads */
    CO_PRIORITY = 5,           /* of a job of which nothing is said: 0 .. WIRE_MAX_PRIORITY, greater is sooner */
    CO_RTT_MOST_US = 1000000,  /* a worker's word for its round trip is believed up to here */
    CO_RTT_WINDOW_US = 30000000, /* for which the least of its round trips stands: a line that has become longer is known after one or two */
    CO_WORKERS_MOST = 65536,
    CO_JOBS_MOST = 1024,       /* queued, running and not yet forgotten */
    CO_END = 4,                /* times what a worker holds: when all that is left takes less, nothing waits in its hands */
    CO_PIECE_MOST = 4,         /* usual times of a unit: what would last longer, on a slow worker or for its cost, is given out in pieces */
    CO_DOUBT = 16,             /* so many times dearer than the mean may be what nobody has seen anything of, ... */
    CO_DOUBT_SPEED = 8,        /* ... and so many times slower a worker that has finished nothing yet */
    CO_PIECE_DOUBTED_US = 1000, /* pieces do not become shorter for doubt alone than this ... */
    CO_PATHS_DOUBTED = 1024,   /* ... or, while nothing is known of speeds, than so many paths */
    CO_THREADS_HOPED = 16,     /* the first to join shall leave something to those that may follow */
    CO_PIECE_LEAST_US = 2000,  /* pieces do not become shorter than this near the end: a message costs some tens of microseconds */
    CO_SLOW = 2,               /* a worker so many times slower than the mean gets nothing that the others would have done before it */
    CO_CHECKS_PATIENCE_MS = 10000, /* after a restart, for workers to come back who can check what others did */
    CO_PATIENCE_US = 20000,    /* beyond what was expected: for hiccups of machines and networks */
    CO_STUCK_US = 200000,      /* without any result, beyond what was expected: then slow workers are better than none */
    CO_LATE_SCAN = 8,          /* of the oldest leases are looked at for one that will outlast all that is open */
    CO_HELD_UP = 2,            /* times what was thought: what waits behind it is given to others */
    CO_LATE = 3,               /* a unit out for so many times its usual time, while nothing else comes in, is done again whatever that costs */
    CO_NEWCOMER = 4,           /* the usual time of a worker's first unit: it has the scene to fetch */
    CO_COPIES_PERCENT = 4,     /* of a job's rays may be given out as copies; 5 are the promise, some go to what begins just when it is taken back */
    CO_EARLY_COPIES_PERCENT = 2, /* and as copies while there is other work: a guess that is made early is worth less */
    CO_COPY_COST_US = 1000,    /* messages, and the wake-ups that they cause */
    CO_BACKUP_LEAST_US = 5000, /* how often it is asked whether something has become late, while a thread is idle */
    CO_IN_VAIN_MOST = 4,       /* idle workers looked at in one event that nothing suits */
    CO_SCAN_MOST = 64          /* leases looked at for a unit to take over, at each end */
};

/* The account of lost time (coordinator/account.h) */
enum {
    CO_ACCOUNT_WINDOWS = 32,   /* one of all, and jobs at a time: a result is entered into each that is open */
    CO_ACCOUNT_THREADS = 1 << 20, /* of all workers: 32 MB */
    CO_ACCOUNT_LEASES = 1 << 22   /* indices: more than all workers' credit can make */
};

/* How many workers are wanted (coordinator/desired.h) */
enum {
    CO_TARGET_S = 60,          /* in which work should be done, when nothing else is said: a person waits so long */
    CO_COOL_DOWN_S = 30,       /* the next job often comes soon after the last */
    CO_DESIRED_MOST = 10000,   /* workers; beyond it somebody has made a mistake */
    CO_START_MOST_S = 600,     /* a worker that has not come for so long will not */
    CO_START_FADE = 8,         /* joins after which an old delay counts a third */
    CO_SPEED_FADE_S = 10,      /* seconds over which the mean speed is smoothed: some results of each worker */
    CO_DESIRED_GAP_MS = 5000,  /* more than so much does not pass between two questions */
    CO_DESIRED_EVERY_MS = 200  /* how often the server asks the rule */
};
#define CO_DESIRED_SLACK 1.1   /* work that takes up to 10 % longer than its target is not worth another worker */
#define CO_DESIRED_BAND 0.5    /* fewer are wanted in mid-work only when half of them would do */
#define CO_SPREAD 0.5          /* of workers' speeds, in units of their mean, before three of them were seen */
#define CO_SPREAD_SURE 1.5     /* standard errors by which a mean speed may be wrong */
#define CO_GAIN_LEAST 0.2      /* of what more workers should have brought: below it they share cores */

/* The server */
enum {
    CO_POLL_MOST_MS = 100,
    CO_STEP_US = 3000,         /* messages are handled for so long, then what plain results led to is sent, and the clock looked at: several results of one */
    CO_CLOCK_EVERY = 32,       /* worker bring it one assignment, none waits for long (CO_CREDIT_SLACK_US), and no flood keeps us; so many between two looks */
    CO_ASSIGNMENTS_MOST = 1024, /* brought together by worker before they are sent */
    CO_LOOK_US = 2000,         /* while messages come without pause: how often we look for strangers' keys and for broken connections */
    CO_HWM = 4096,             /* messages queued for one peer before it counts as gone: flow control keeps it far below */
    CO_HANDSHAKE_MS = 5000,    /* for a connection to show who it is: several round trips of a bad line, and no longer for a slow loris */
    CO_KEEPALIVE_MS = 10000,   /* ZeroMQ's own heartbeats, below our leases: they free the connection ... */
    CO_KEEPALIVE_TIMEOUT_MS = 30000, /* ... of a client whose machine is gone */
    CO_STRANGERS_LOG_MS = 10000, /* at most so often a line about those turned away */
    CO_VERSIONS_LOG_MS = 10000,    /* the same for workers of another protocol version */
    CO_PACK_SERVED = 8,        /* workers that are sent a pack at one time; their windows are what may queue for the line */
    CO_PACK_TURN_BYTES = 16 << 20, /* then it is another's turn */
    CO_PACK_STEP_BYTES = 4 << 20,  /* in one step: 40 ms of a gigabit line; messages are handled in between */
    CO_PACK_IDLE_MS = 500,     /* one that asks for nothing for so long loses its turn */
    CO_SLOW_LINE_BYTES = 512,  /* so many came within a lease: more than ZeroMQ's own heartbeats; the line is slow, not dead */
    CO_UPLOADS_MOST = 16,      /* packs being received */
    CO_UPLOAD_SLOW_MS = 1000,  /* a chunk that takes longer: is the line slow, or dead? */
    CO_UPLOAD_SILENCE_MS = 30000,
    CO_PAST_MOST = 64,         /* detached jobs of which the end is still told when they are gone */
    CO_CLIENT_SILENCE_MS = 60000, /* a client's job ends when its client is gone for so long (not if detached) */
    CO_PICTURE_PIXELS_MOST = 1 << 29 /* of a client's job: 12 GiB of film */
};

/* The journal (coordinator/journal.h) */
enum {
    CO_PATH_MOST = 4096,           /* bytes of a file name with its terminator: PATH_MAX of Linux */
    CO_BANNED_MOST = 65536,        /* workers found to lie that are remembered: the last of them */
    CO_RECORD_PARTS_MOST = 1024,   /* units in one record: sample ranges of one tile that were added up */
    CO_BATCH_BYTES = 4 << 20,      /* made durable at once, and one record more */
    CO_JOURNAL_LOOK_BYTES = 16 << 20, /* a file below this is not worth rewriting */
    CO_JOURNAL_RETRY_MS = 200,     /* between two attempts to write while there is no room */
    CO_JOURNAL_HOLD_BYTES = 64 << 20, /* not durable yet: no more work is given out, the disk cannot keep up */
    CO_JOURNAL_DROP_BYTES = 256 << 20, /* ... and results are sent back to the queue: our memory has an end */
    CO_JOBS_UNSETTLED_MOST = 60,   /* jobs that are not durable yet ... */
    CO_JOB_IDS_SKIPPED = 64        /* ... so that after a crash no id comes twice: workers may still hold results of the former */
};

/* What other threads are told (coordinator/board.h, view.h) */
enum {
    CO_BOARD_LINES = 1024,        /* of the log */
    CO_BOARD_LINE = 512,          /* bytes of one, with its terminator */
    CO_BOARD_GONE_MS = 60000,     /* a worker that is gone is listed for so long ... */
    CO_BOARD_GONE_MOST = 4096,    /* ... and the last so many of them at most */
    CO_BOARD_PAST_MOST = 64,      /* jobs that are gone and still listed */
    CO_BOARD_VIEWS_MOST = 8,      /* ... and of which the picture can still be had */
    CO_BOARD_LEASES_MOST = 1 << 24,
    CO_BOARD_SAMPLES = 900,       /* a second each */
    CO_BOARD_STEP_MS = 100,       /* how often figures that are not counted tile by tile are written down */
    CO_VIEW_CELL_LEAST = 16,      /* pixels a side: where a picture has changed is told no finer */
    CO_VIEW_COPY_PIXELS = 4096,   /* read under the lock of a picture at once: some microseconds */
    CO_VIEW_BLOCKS = 128          /* blocks of pixels that are averaged at once */
};
/* HTTP (coordinator/http.h) */
enum {
    CO_HTTP_CONNECTIONS = 512,     /* at once, each with a thread */
    CO_HTTP_CONNECTIONS_EACH = 384, /* of one address; all browsers behind a container engine's proxy are one */
    CO_HTTP_HEAD_BYTES = 32 << 10, /* of a request's line and headers */
    CO_HTTP_URI_MOST = 2048,
    CO_HTTP_IDLE_S = 30,           /* a connection on which nothing moves */
    CO_HTTP_STREAMS = 128,          /* browsers that are told of events */
    CO_HTTP_UPLOADS = 4,           /* scenes being received or compiled */
    CO_HTTP_IMAGES = 2,            /* pictures being encoded; others wait for their turn, and a large one works alone */
    CO_HTTP_IMAGE_LARGE = 1 << 23, /* pixels: 100 MB while it is encoded */
    CO_HTTP_IMAGE_MOST = 1 << 26,  /* pixels: 1 GB */
    CO_HTTP_IMAGE_WAIT_MS = 20000,
    CO_HTTP_PIXELS_MOST = 1 << 24, /* in one answer of raw pixels: 64 MiB */
    CO_HTTP_PIXEL_ROWS = 16,       /* rows of the answer made at once */
    CO_HTTP_STEP_MOST = 64,
    CO_HTTP_LINES_MOST = 1024,     /* of the log in one answer */
    CO_HTTP_SCENES_MOST = 1000,    /* in one list */
    CO_HTTP_JSON_MOST = 16 << 10,  /* a job as JSON */
    CO_HTTP_ASK_MS = 5000,         /* for the server's thread to take a request */
    CO_HTTP_RATE = 200,            /* requests a second of one address, in the long run ... */
    CO_HTTP_BURST = 600,           /* ... and at once */
    CO_HTTP_WRONG_RATE = 5,        /* wrong tokens a second of one address, in the long run; ten times that at once */
    CO_HTTP_ADDRESSES = 256,       /* that are remembered for these rates */
    CO_HTTP_TOKEN_LEAST = 16,      /* characters of a token ... */
    CO_HTTP_TOKEN_MOST = 256,
    CO_HTTP_PULSE_MS = 100,        /* events are gathered for so long */
    CO_HTTP_NUMBERS_MS = 1000,     /* figures of workers are told so often */
    CO_HTTP_JOB_MS = 500,          /* ... and those of a job that goes on */
    CO_HTTP_WORKERS_TOLD = 256,    /* workers whose figures are told in one event; the others next time */
    CO_HTTP_EVENTS = 1024,         /* kept for those who come back or are slow */
    CO_HTTP_QUIET_MS = 30000,      /* without a listener for so long, nothing is gathered */
    CO_HTTP_BEAT_MS = 5000,        /* a comment on a silent stream, so that both ends know that it lives */
    CO_HTTP_STUCK_S = 30,          /* the server has not been heard of for so long: it takes no work. Saving a large picture takes it some seconds */
    CO_HTTP_HUNG_S = 120,          /* ... and for so long: it is not alive, whatever orchestrates it may replace it */
    CO_TEXT_MOST = 64 << 20
};
#define CO_HTTP_BODY_MOST (UINT64_C(1) << 30)   /* a scene that is sent */
#define CO_HTTP_EVENTS_BYTES (UINT64_C(8) << 20) /* of all events kept */
#define CO_BOARD_VIEWS_BYTES (UINT64_C(512) << 20) /* of pictures of jobs that are gone */

/* The client */
enum {
    CO_CLIENT_CONNECT_MS = 5000,  /* without any answer: there is no coordinator */
    CO_CLIENT_AWAY_MS = 60000,    /* a coordinator that has answered before may be away for so long */
    CO_CLIENT_RETRY_MS = 2000,    /* silence after which it connects anew and submits again */
    CO_CLIENT_ASK_MS = 50,        /* how often it asks for the job's status */
    CO_CLIENT_STOP_MS = 500,      /* told to stop before its job had a number: it waits for that, to cancel it */
    CO_CLIENT_ROWS_WINDOW = 16    /* pieces of the film asked for at once */
};

#define CO_PACKS_MOST_BYTES (UINT64_C(8) << 30) /* held for clients' jobs */

#endif

/* The command line's own rooms: one file for each subcommand, and what they share.
 *
 * A command reads its options (cli/args.h) into static variables, does its work through the libraries, and returns a
 * status, which becomes the exit code. Results go to stdout, everything else to stderr. */
#ifndef CLI_H
#define CLI_H

#include "cli/args.h"
#include "coordinator/server.h"
#include "tracer/error.h"
#include "tracer/kernel.h"
#include "tracer/pack.h"
#include "tracer/render.h"

typedef struct cli_command {
    const char *name;
    const char *summary;       /* one line for `mobyray help` */
    const char *synopsis;      /* the words behind `mobyray NAME` */
    const char *text;          /* more for `mobyray help NAME`; may be NULL */
    const arg_option *options; /* ends with a NULL name */
    int max_positionals;
    int (*run)(const arg_result *args, mr_error *err);
} cli_command;

extern const cli_command render_command, submit_command, status_command, cancel_command, simulate_command, coordinator_command, worker_command, scene_command, bench_command, autoscale_command, metrics_command,
    ping_command, keygen_command, token_command, prepare_command, help_command, version_command;

/* All of them, in the order of the help text; NULL ends the list. */
extern const cli_command *const cli_commands[];
const cli_command *cli_find(const char *name);
const char *cli_nearest_command(const char *name); /* NULL: none is near */
void cli_print_help(const cli_command *command, FILE *out);

extern const char cli_version[], cli_commit[], cli_compiler[], cli_kernel_compiler[]; /* commit: "" when git was not there at build time */

/* What is to be rendered, as the options say; 0 (and for the seed its default 0) leaves it to the scene. */
typedef struct cli_picture {
    uint32_t size[2], spp, tile, seed;
} cli_picture;

/* The options' rows, for a static cli_picture. */
#define CLI_PICTURE_OPTIONS(picture)                                                                                                  \
    {"size", 0, ARG_SIZE, (picture).size, 1, MR_MAX_SIDE, "WxH", "picture size in pixels (default: the scene's)"},                    \
    {"spp", 0, ARG_COUNT, &(picture).spp, 1, MR_MAX_SPP, "N", "samples a pixel (default: the scene's)"},                              \
    {"tile", 0, ARG_COUNT, &(picture).tile, 1, MR_MAX_TILE, "N", "side of a tile in pixels (default: chosen from the picture)"},      \
    {"seed", 0, ARG_COUNT, &(picture).seed, 0, UINT32_MAX, "N", "of the random numbers (default: 0)"}

/* Workers that a coordinator wants, and that an autoscaler starts, when nothing is said: a mistake should not cost a thousand machines. */
enum { CLI_MAX_WORKERS = 100 };

/* How a job is to be done, for a static co_job_options. */
#define CLI_JOB_DEFAULTS {.priority = 5}
#define CLI_JOB_OPTIONS(how)                                                                                                           \
    {"priority", 0, ARG_COUNT, &(how).priority, 0, 9, "N", "0..9, greater is sooner, equals share (default: 5)"},                     \
    {"verify", 0, ARG_COUNT, &(how).verify_percent, 0, 100, "PERCENT", "of the tiles are done twice by different workers and compared; finding the liar takes three"}

/* Compiles or opens SCENE with all CPUs; close with mr_pack_close. */
int cli_load_scene(mr_pack *pack, const char *path, mr_error *err);

/* The options over the scene's own settings. */
mr_picture cli_resolve_picture(const cli_picture *asked, const mr_pack *pack);

/* The kernel that MOBYRAY_KERNEL names, or the machine's best. */
int cli_pick_kernel(const mr_kernel **kernel, mr_error *err);

/* NAME.png, after the scene folder or file. Valid for the process's life. */
int cli_default_output(const char **out, const char *scene, mr_error *err);

/* The same without .png, for people; "" when there is none. */
const char *cli_scene_name(const char *scene);

/* MR_OK when path has an ending we write and a file can be made beside it; nothing is left behind. */
int cli_check_output(const char *path, mr_error *err);

/* The same for a file of any ending (a report, a pack). */
int cli_check_writable(const char *path, mr_error *err);

/* Writes a file as a whole or not at all; a text gets a line end. */
int cli_write_bytes(const char *path, const void *bytes, size_t size_bytes, mr_error *err);
int cli_write_file(const char *path, const char *text, mr_error *err);

double cli_now(void); /* seconds, monotonic */

/* The processor's name as Linux tells it; another kind of machine may have none. */
void cli_cpu_name(char name[128]);

#endif

/* Errors: what went wrong, in one line that a user can act on.
 *
 * Every function of this house that can fail returns a status (MR_OK = 0 is success) and, on failure only, fills the
 * mr_error that its caller gave; on success the error is untouched. The text names the file, the place in it (line and
 * column, or JSON path), what was found and what was expected. The status is also the exit code of the program. */
#ifndef MR_ERROR_H
#define MR_ERROR_H

enum mr_status {
    MR_OK = 0,
    MR_FAILED = 1,       /* the work could not be done: no memory, no space, no peer */
    MR_USAGE = 2,        /* the command line is wrong */
    MR_BAD_INPUT = 3,    /* a file or message is wrong */
    MR_INTERRUPTED = 130 /* the user asked to stop */
};

enum { MR_ERROR_MAX = 1024 }; /* bytes of a message with its terminator; a longer one is cut */

typedef struct mr_error {
    char text[MR_ERROR_MAX];
} mr_error;

/* Writes the message and returns status, so that a function can end with `return mr_fail(err, MR_BAD_INPUT, ...)`.
 * err may be NULL; then only the status is returned. Control characters in the text become '?', so that a hostile file
 * name cannot drive the terminal. */
int mr_fail(mr_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif

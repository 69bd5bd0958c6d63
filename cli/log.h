/* The log of long-running commands: one line an event on stderr, with the time of day. */
#ifndef CLI_LOG_H
#define CLI_LOG_H

/* user: a progress (cli/progress.h) whose bar must stay intact, or NULL. */
void log_line(void *user, const char *line);

#endif

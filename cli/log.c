#include "cli/log.h"

#include <stdio.h>
#include <time.h>

#include "cli/progress.h"

void log_line(void *user, const char *line)
{
    char stamped[512];
    struct tm local;
    time_t now = time(NULL);
    (void)localtime_r(&now, &local);
    (void)snprintf(stamped, sizeof stamped, "%02d:%02d:%02d  %s", local.tm_hour, local.tm_min, local.tm_sec, line);
    progress_say(user, stamped);
}

#include "tracer/error.h"

#include <stdarg.h>
#include <stdio.h>

int mr_fail(mr_error *err, int status, const char *format, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    return status;
}

#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "tracer/error.h"

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };

volatile int signals_stop;

static void on_stop(int number)
{
    if (__atomic_exchange_n(&signals_stop, number, __ATOMIC_RELAXED)) _exit(MR_INTERRUPTED);
}

static void set(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_flags = 0};
    action.sa_handler = handler;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

void signals_install(void)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++) set(stop_signals[i], on_stop);
    set(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of write, not our end */
}

void signals_reset(void)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++) set(stop_signals[i], SIG_DFL);
    set(SIGPIPE, SIG_DFL);
}

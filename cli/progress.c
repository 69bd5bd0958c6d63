#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BAR_CELLS = 24 };
static const double bar_period_s = 0.1, line_period_s = 3.0, first_line_s = 1.0;

void progress_start(progress *p, int quiet, const mr_picture *picture)
{
    memset(p, 0, sizeof *p);
    p->quiet = quiet;
    p->tty = isatty(STDERR_FILENO);
    p->samples = (uint64_t)picture->width * picture->height * picture->spp;
    p->next = cli_now() + (p->tty ? 0 : first_line_s);
}

static void format_eta(char text[16], double share, double seconds)
{
    double left = share > 0 ? seconds * (1 - share) / share : -1;
    if (left < 0 || left > 359999) (void)snprintf(text, 16, "--:--");
    else if (left < 3600) (void)snprintf(text, 16, "%d:%02d", (int)left / 60, (int)left % 60);
    else (void)snprintf(text, 16, "%d:%02d:%02d", (int)left / 3600, (int)left / 60 % 60, (int)left % 60);
}

static void draw_bar(double share)
{
    char bar[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++) bar[i] = i < (int)(share * BAR_CELLS) ? '#' : '.';
    bar[BAR_CELLS] = 0;
    fprintf(stderr, "\r\033[K[%s] ", bar);
}

static void write_figures(const co_job_status *status, double share)
{
    char eta[16];
    double rate = status->seconds > 0 ? (double)status->samples_done / status->seconds : 0;
    int local = status->threads && !status->workers && !status->workers_seen; /* this process alone */
    format_eta(eta, share, status->seconds);
    fprintf(stderr, "%3d %%  %llu/%llu tiles  %.2f Msamples/s  ", (int)(share * 100), (unsigned long long)status->tiles_done,
            (unsigned long long)status->tiles, rate * 1e-6);
    if (local) fprintf(stderr, "%u thread%s", status->threads, status->threads == 1 ? "" : "s");
    else fprintf(stderr, "%u worker%s", status->workers, status->workers == 1 ? "" : "s");
    fprintf(stderr, "  ETA %s", eta);
}

void progress_update(progress *p, const co_job_status *status)
{
    double now = cli_now();
    if (p->quiet || now < p->next) return;
    p->next = now + (p->tty ? bar_period_s : line_period_s);
    double share = p->samples ? (double)status->samples_done / (double)p->samples : 0;
    if (p->tty) draw_bar(share);
    write_figures(status, share);
    if (!p->tty) fputc('\n', stderr);
    p->drawn = p->tty;
}

void progress_end(progress *p)
{
    if (p->drawn) fputs("\r\033[K", stderr);
    p->drawn = 0;
}

void progress_say(progress *p, const char *line)
{
    if (p && p->quiet) return;
    if (p) progress_end(p);
    fprintf(stderr, "%s\n", line);
}

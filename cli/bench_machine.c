/* What a benchmark ran on: see cli/bench.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/run.h"
#include "worker/cpus.h"

void bench_describe_machine(bench_machine *m, const char *kernel)
{
    struct utsname os;
    struct sysinfo info;
    char cpu[128];
    double load[1];
    cli_cpu_name(cpu);
    (void)snprintf(m->cpu, sizeof m->cpu, "%s", cpu);
    (void)snprintf(m->kernel, sizeof m->kernel, "%s", kernel);
    if (uname(&os) == 0) (void)snprintf(m->os, sizeof m->os, "%.60s %.90s", os.sysname, os.release);
    (void)snprintf(m->version, sizeof m->version, "%s", cli_version);
    (void)snprintf(m->commit, sizeof m->commit, "%s", cli_commit);
    (void)snprintf(m->compiler, sizeof m->compiler, "%.80s; kernels: %.60s", cli_compiler, cli_kernel_compiler);
    m->cpus = wk_cpu_count();
    m->online = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    m->quota = wk_cpu_quota();
    if (sysinfo(&info) == 0) m->memory_gb = (double)info.totalram * info.mem_unit / 1e9;
    m->load = getloadavg(load, 1) == 1 ? load[0] : -1;
}

void bench_describe_engine(bench_machine *m)
{
    static const char *const command[] = {"docker", "version", "--format", "Docker {{.Server.Version}} (API {{.Server.APIVersion}})", NULL};
    char text[BENCH_TEXT];
    if (cli_run(command, NULL, text, sizeof text, NULL) != MR_OK) return;
    text[strcspn(text, "\r\n")] = 0;
    (void)snprintf(m->engine, sizeof m->engine, "%s", text);
}

/* How many CPUs this process may use: see worker/cpus.h.
 *
 * A container's quota is a number of microseconds of CPU in each period, in the files of its cgroup or of one above it. Which files: proc/self/cgroup
 * names the cgroup within its hierarchy, proc/self/mountinfo says where (and from which point of the hierarchy on) that is mounted. Inside a
 * container the two may speak of different roots; whatever cannot be matched is read at the mount itself, which is then the
 * container's own. See cgroups(7), proc_pid_mountinfo(5), and Documentation/admin-guide/cgroup-v2.rst. */
#include "worker/cpus.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_CAPACITY = 4096, LINE_CAPACITY = 8192, CPUS_MOST = 4096 };

typedef struct mount_point {
    char root[PATH_CAPACITY], at[PATH_CAPACITY];
} mount_point;

/* a + b + c, 0 when it fits. */
static int join(char out[PATH_CAPACITY], const char *a, const char *b, const char *c)
{
    int length = snprintf(out, PATH_CAPACITY, "%s%s%s", a, b, c);
    return length < 0 || length >= PATH_CAPACITY ? -1 : 0;
}

static int read_line(const char *path, char *line, int capacity)
{
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    int got = fgets(line, capacity, file) != NULL;
    (void)fclose(file);
    return got ? 0 : -1;
}

/* CPUs of a quota, rounded up; 0: none. */
static unsigned cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > CPUS_MOST ? CPUS_MOST : (unsigned)cpus;
}

static unsigned quota_v2(const char *folder)
{
    char path[PATH_CAPACITY], line[128], *end;
    if (join(path, folder, "/cpu.max", "") || read_line(path, line, sizeof line)) return 0;
    long long quota = strtoll(line, &end, 10); /* "max 100000": no quota */
    return end == line ? 0 : cpus_of(quota, strtoll(end, NULL, 10));
}

static unsigned quota_v1(const char *folder)
{
    char path[PATH_CAPACITY], quota[64], period[64];
    if (join(path, folder, "/cpu.cfs_quota_us", "") || read_line(path, quota, sizeof quota)) return 0;
    if (join(path, folder, "/cpu.cfs_period_us", "") || read_line(path, period, sizeof period)) return 0;
    return cpus_of(strtoll(quota, NULL, 10), strtoll(period, NULL, 10)); /* -1: no quota */
}

/* Whether a comma-separated list holds a word. */
static int lists(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (!strncmp(at, word, length) && (at[length] == ',' || at[length] == '\0' || at[length] == '\n')) return 1;
    return 0;
}

/* This process's cgroup: of version 2, or of version 1's hierarchy with the cpu controller. */
static int own_cgroup(const char *root, int v2, char cgroup[PATH_CAPACITY])
{
    char path[PATH_CAPACITY], line[LINE_CAPACITY];
    FILE *file = join(path, root, "/proc/self/cgroup", "") ? NULL : fopen(path, "r");
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) { /* number:controllers:path */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *name = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!name) continue;
        *controllers++ = 0;
        *name++ = 0;
        found = (v2 ? !strcmp(line, "0") && !*controllers : lists(controllers, "cpu")) && !join(cgroup, name, "", "");
    }
    if (file) (void)fclose(file);
    return found ? 0 : -1;
}

/* Blanks stand in mountinfo as octal escapes. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        int octal = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' && at[3] <= '7';
        *to++ = (char)(octal ? (at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0') : *at);
        at += octal ? 3 : 0;
    }
    *to = 0;
}

/* id parent major:minor ROOT MOUNT options [tags] - TYPE source SUPER-OPTIONS */
static int parse_mount(char *line, int v2, mount_point *out)
{
    char type[64], super[LINE_CAPACITY], root[PATH_CAPACITY], at[PATH_CAPACITY];
    const char *dash = strstr(line, " - ");
    if (!dash || sscanf(dash + 3, "%63s %*s %8191s", type, super) != 2) return -1;
    if (strcmp(type, v2 ? "cgroup2" : "cgroup") || (!v2 && !lists(super, "cpu"))) return -1;
    if (sscanf(line, "%*s %*s %*s %4095s %4095s", root, at) != 2) return -1;
    unescape(root);
    unescape(at);
    return join(out->root, root, "", "") || join(out->at, at, "", "") ? -1 : 0;
}

static int find_mount(const char *root, int v2, mount_point *out)
{
    char path[PATH_CAPACITY], line[LINE_CAPACITY];
    FILE *file = join(path, root, "/proc/self/mountinfo", "") ? NULL : fopen(path, "r");
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) found = !parse_mount(line, v2, out);
    if (file) (void)fclose(file);
    return found ? 0 : -1;
}

/* The part of the cgroup's path below what is mounted; "" when the two do not match. */
static const char *below(const char *cgroup, const char *mount_root)
{
    size_t length = strlen(mount_root);
    if (strstr(cgroup, "..")) return ""; /* outside of our namespace */
    if (!strcmp(mount_root, "/")) return !strcmp(cgroup, "/") ? "" : cgroup;
    if (strncmp(cgroup, mount_root, length) || (cgroup[length] && cgroup[length] != '/')) return "";
    return cgroup + length;
}

static unsigned least(unsigned a, unsigned b) { return !a ? b : !b ? a : a < b ? a : b; }

/* The least quota of this process's cgroup and all above it, as far as they can be seen; 0: none. */
static unsigned quota_of(const char *root, int v2)
{
    char cgroup[PATH_CAPACITY], base[PATH_CAPACITY], folder[PATH_CAPACITY];
    mount_point mount;
    if (own_cgroup(root, v2, cgroup) || find_mount(root, v2, &mount)) return 0;
    if (join(base, root, mount.at, "") || join(folder, base, below(cgroup, mount.root), "")) return 0;
    unsigned cpus = 0;
    for (size_t length = strlen(folder); length >= strlen(base); length--) {
        if (folder[length] && folder[length] != '/') continue;
        folder[length] = 0;
        cpus = least(cpus, v2 ? quota_v2(folder) : quota_v1(folder));
        if (!length) break;
    }
    return cpus;
}

unsigned wk_cpu_quota(void) { return least(quota_of("", 1), quota_of("", 0)); }

unsigned wk_cpu_count_at(const char *root, unsigned affinity)
{
    unsigned cpus = least(affinity, least(quota_of(root, 1), quota_of(root, 0)));
    return cpus ? cpus : 1;
}

/* CPUs in the affinity mask; 0 when it cannot be had. */
static unsigned affinity_count(void)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MOST);
    cpu_set_t *set = CPU_ALLOC(CPUS_MOST);
    int count = set && !sched_getaffinity(0, size, set) ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    return count > 0 ? (unsigned)count : 0;
}

unsigned wk_cpu_count(void) { return wk_cpu_count_at("", affinity_count()); }

/* How many CPUs this process may really use. */
#ifndef WK_CPUS_H
#define WK_CPUS_H

/* The least of the affinity mask and the container's CPU quota (cgroup v2 cpu.max or v1 cpu.cfs_quota_us / cpu.cfs_period_us, at this
 * process's own cgroup and each of its parents), rounded up, at least 1. */
unsigned wk_cpu_count(void);

/* The CPUs that a container's quota grants, rounded up; 0: there is none. */
unsigned wk_cpu_quota(void);

/* wk_cpu_count, reading below root in place of "/" (for tests): root/proc/self/cgroup, root/proc/self/mountinfo, root/sys/fs/cgroup/... */
unsigned wk_cpu_count_at(const char *root, unsigned affinity);

#endif

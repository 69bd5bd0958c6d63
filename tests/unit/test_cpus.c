/* CPU count: cgroup quotas of both versions, read from made-up roots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/cpus.h"

static char root[64];

static void put(const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int new_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/mobyray-cpus-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command); /* our own mkdtemp name */
}

#define V2_MOUNT "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

static void test_nothing_there(void **state)
{
    (void)state;
    assert_int_equal(wk_cpu_count_at(root, 6), 6);
    assert_int_equal(wk_cpu_count_at(root, 0), 1);
    assert_true(wk_cpu_count() >= 1);
}

static void test_v2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 8);
    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 3);
    assert_int_equal(wk_cpu_count_at(root, 2), 2);
    put("/sys/fs/cgroup/a/cpu.max", "100000 50000\n"); /* a parent's, smaller */
    assert_int_equal(wk_cpu_count_at(root, 8), 2);
    put("/sys/fs/cgroup/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 1);
}

static void test_v2_in_a_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "1 2 0:1 / / rw - overlay overlay rw\n" V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 2);
}

static void test_v1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "8:memory:/x\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n");
    put("/proc/self/mountinfo", "30 25 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                "31 25 0:27 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 8);
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 4);
}

static void test_v1_on_the_host(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "2:cpu:/system.slice/my\\040app\n");
    put("/proc/self/mountinfo", "31 25 0:27 / /sys/fs/cg\\040roup/cpu rw - cgroup cgroup rw,cpu\n");
    put("/sys/fs/cg roup/cpu/system.slice/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cg roup/cpu/system.slice/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 2);
}

static void test_nonsense(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "rubbish\n0::/../..\n:::\n");
    put("/proc/self/mountinfo", "\n - \n1 2 3\nx y z - cgroup2\n" V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "99999999999999999999 0\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 8);
    put("/sys/fs/cgroup/cpu.max", "lots\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 8);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    assert_int_equal(wk_cpu_count_at(root, 8), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_there, new_root, remove_root),
        cmocka_unit_test_setup_teardown(test_v2, new_root, remove_root),
        cmocka_unit_test_setup_teardown(test_v2_in_a_container, new_root, remove_root),
        cmocka_unit_test_setup_teardown(test_v1, new_root, remove_root),
        cmocka_unit_test_setup_teardown(test_v1_on_the_host, new_root, remove_root),
        cmocka_unit_test_setup_teardown(test_nonsense, new_root, remove_root),
    };
    return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}

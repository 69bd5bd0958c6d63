/* mobyray version: the only file that knows the version and commit it was built from. */
#include "cli/cli.h"

const char cli_version[] = MR_VERSION, cli_commit[] = MR_COMMIT, cli_kernel_compiler[] = MR_KERNEL_COMPILER;
#ifdef __clang__ /* it names itself in its version, gcc does not */
const char cli_compiler[] = __VERSION__;
#else
const char cli_compiler[] = "gcc " __VERSION__;
#endif

static int run_version(const arg_result *args, mr_error *err)
{
    const mr_kernel *best, *kernel;
    (void)args;
    int status = cli_pick_kernel(&best, err);
    if (status != MR_OK) return status;
    printf("mobyray %s%s%s%s\n", cli_version, *cli_commit ? " (" : "", cli_commit, *cli_commit ? ")" : "");
    printf("compiler: %s; of the ray kernels: %s\nkernels:", cli_compiler, cli_kernel_compiler);
    for (unsigned i = 0; (kernel = mr_kernel_at(i)); i++) printf(" %s", kernel->name);
    printf("\nkernel in use: %s\n", best->name);
    return MR_OK;
}

static const arg_option options[] = {{.name = NULL}};

const cli_command version_command = {"version", "print version, commit and the ray kernels of this machine", "", NULL, options, 0,
                                     run_version};

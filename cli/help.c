/* mobyray help: what there is, from the same tables that read the options. */
#include <string.h>

#include "cli/cli.h"

const cli_command *const cli_commands[] = {&render_command, &submit_command, &status_command, &cancel_command, &coordinator_command, &worker_command, &scene_command,
                                           &bench_command,  &simulate_command, &autoscale_command, &metrics_command, &ping_command,   &keygen_command,      &token_command, &prepare_command,  &help_command,   &version_command, NULL};

const cli_command *cli_find(const char *name)
{
    for (const cli_command *const *command = cli_commands; *command; command++)
        if (!strcmp((*command)->name, name)) return *command;
    return NULL;
}

static const char *command_name(const void *table, size_t i)
{
    const cli_command *command = ((const cli_command *const *)table)[i];
    return command ? command->name : NULL;
}

const char *cli_nearest_command(const char *name)
{
    return args_nearest(name, command_name, cli_commands);
}

static void print_overview(FILE *out)
{
    fputs("mobyray: a ray tracer that renders one picture on as many containers as you have\n\n"
          "usage: mobyray COMMAND [ARGUMENTS]\n\n",
          out);
    for (const cli_command *const *command = cli_commands; *command; command++)
        fprintf(out, "  %-12s %s\n", (*command)->name, (*command)->summary);
    fputs("\nSCENE is a folder with a scene.json, a scene.json, a pack, or a model file (glTF, OBJ, PLY ...).\n"
          "Every option --name also reads MOBYRAY_NAME from the environment. MOBYRAY_KERNEL forces a ray kernel\n"
          "(scalar, sse, avx2, avx512, neon).\n"
          "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 130 interrupted.\n"
          "`mobyray help COMMAND` tells more.\n",
          out);
}

void cli_print_help(const cli_command *command, FILE *out)
{
    if (command == &help_command) {
        print_overview(out);
        return;
    }
    fprintf(out, "usage: mobyray %s%s%s\n\n%s\n", command->name, *command->synopsis ? " " : "", command->synopsis, command->summary);
    if (command->text) fprintf(out, "%s\n", command->text);
    if (command->options->name) fputs("\n", out);
    args_print(command->options, out);
}

static int run_help(const arg_result *args, mr_error *err)
{
    const cli_command *command = &help_command;
    if (args->positional_count) command = cli_find(args->positional[0]);
    if (!command) return mr_fail(err, MR_USAGE, "there is no command '%s'", args->positional[0]);
    cli_print_help(command, stdout);
    return MR_OK;
}

static const arg_option options[] = {{.name = NULL}};

const cli_command help_command = {"help", "tell about mobyray or one of its commands", "[COMMAND]", NULL, options, 1, run_help};

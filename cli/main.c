/* mobyray: finds the command and turns its status into the exit code (0 done, 1 failed, 2 usage, 3 bad input, 130 interrupted). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/import.h"
#include "cli/signals.h"

static const cli_command *find_command(const char *word)
{
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) word = "help";
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) word = "version";
    return cli_find(word);
}

static int unknown_command(const char *word)
{
    const char *nearest = cli_nearest_command(word);
    fprintf(stderr, "mobyray: unknown command '%.64s'", word);
    if (nearest) fprintf(stderr, ", did you mean %s?", nearest);
    fprintf(stderr, "\ntry: mobyray help\n");
    return MR_USAGE;
}

static int run(const cli_command *command, int argc, char **argv)
{
    mr_error err = {.text = ""};
    arg_result args;
    int status = args_parse(command->options, argc, argv, command->max_positionals, &args, &err);
    if (status == MR_OK && args.help) {
        cli_print_help(command, stdout);
        return MR_OK;
    }
    if (status == MR_OK) status = command->run(&args, &err);
    if (status != MR_OK && status != MR_INTERRUPTED) fprintf(stderr, "mobyray: %s\n", err.text);
    if (status == MR_INTERRUPTED) fprintf(stderr, "mobyray: interrupted\n");
    if (status == MR_USAGE) fprintf(stderr, "try: mobyray help %s\n", command->name);
    return status;
}

/* A full disk behind stdout must not look like success. */
static int flush_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "mobyray: cannot write to standard output\n");
    return status == MR_OK ? MR_FAILED : status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        cli_print_help(&help_command, stderr);
        return MR_USAGE;
    }
    if (argc == 3 && !strcmp(argv[1], import_command)) return import_child(argv[2], 0); /* this program's own errand, for nobody else */
    if (argc == 3 && !strcmp(argv[1], import_alone_command)) return import_child(argv[2], 1);
    const cli_command *command = find_command(argv[1]);
    if (!command) return unknown_command(argv[1]);
    signals_install();
    return flush_output(run(command, argc - 2, argv + 2));
}

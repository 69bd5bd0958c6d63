#include "tracer/scene/import_alone.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *stream(struct aiFile *file) { return (FILE *)(void *)file->UserData; }

static size_t read_file(struct aiFile *file, char *bytes, size_t size, size_t count) { return fread(bytes, size, count, stream(file)); }

static size_t write_nothing(struct aiFile *file, const char *bytes, size_t size, size_t count)
{
    (void)file;
    (void)bytes;
    (void)size;
    (void)count;
    return 0;
}

static size_t tell(struct aiFile *file)
{
    long at = ftell(stream(file));
    return at < 0 ? 0 : (size_t)at;
}

static aiReturn seek(struct aiFile *file, size_t offset, enum aiOrigin origin)
{
    int from = origin == aiOrigin_SET ? SEEK_SET : origin == aiOrigin_CUR ? SEEK_CUR : SEEK_END;
    return fseek(stream(file), (long)offset, from) ? aiReturn_FAILURE : aiReturn_SUCCESS;
}

static size_t file_size(struct aiFile *file)
{
    size_t at = tell(file), size = fseek(stream(file), 0, SEEK_END) ? 0 : tell(file);
    (void)fseek(stream(file), (long)at, SEEK_SET);
    return size;
}

static void flush_nothing(struct aiFile *file) { (void)file; }

static struct aiFile *open_file(struct aiFileIO *io, const char *name, const char *mode)
{
    FILE *opened = strcmp(name, io->UserData) || strpbrk(mode, "wa+") ? NULL : fopen(name, "rbe");
    struct aiFile *file = opened ? malloc(sizeof *file) : NULL;
    if (file)
        *file = (struct aiFile){.ReadProc = read_file, .WriteProc = write_nothing, .TellProc = tell, .FileSizeProc = file_size, .SeekProc = seek,
                                .FlushProc = flush_nothing, .UserData = (aiUserData)(void *)opened};
    else if (opened) (void)fclose(opened);
    return file;
}

static void close_file(struct aiFileIO *io, struct aiFile *file)
{
    (void)io;
    (void)fclose(stream(file));
    free(file);
}

struct aiFileIO mr_import_only(const char *path)
{
    return (struct aiFileIO){.OpenProc = open_file, .CloseProc = close_file, .UserData = (aiUserData)(uintptr_t)path};
}

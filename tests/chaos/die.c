/* Preloaded into a run, it ends it by SIGKILL at the n-th call that changes a file whose path holds a word:
   before the call, after it, or halfway through a write. DIE_WORD, DIE_AT (1 is the first), DIE_HOW (before, after,
   torn). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long calls, fatal = -1;
static char how = 'b';
static const char *word;

static void begin(void) {
    const char *at = getenv("DIE_AT"), *manner = getenv("DIE_HOW");
    word = getenv("DIE_WORD");
    fatal = at ? atol(at) : 0;
    how = manner ? manner[0] : 'b';
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int names(const char *path) {
    if (fatal < 0) begin();
    return word && fatal > 0 && strstr(path, word) != NULL;
}

static int counted(int fd) {
    char link[64], path[4096];
    ssize_t size;
    if (fd < 3 || (fatal >= 0 && !word)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return names(path);
}

/* 1: this is the call that ends it. */
static int fatal_call(void) { return __sync_add_and_fetch(&calls, 1) == fatal; }

ssize_t write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    ssize_t done;
    int last;
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (!counted(fd)) return real(fd, bytes, size);
    last = fatal_call();
    if (last && how == 'b') die();
    if (last && how == 't') { real(fd, bytes, size / 2); die(); }
    done = real(fd, bytes, size);
    if (last) die();
    return done;
}

#define SYNC(name)                                                                                                     \
    int name(int fd) {                                                                                                 \
        static int (*real)(int);                                                                                       \
        int done, last;                                                                                                \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                                                     \
        if (!counted(fd)) return real(fd);                                                                             \
        last = fatal_call();                                                                                           \
        if (last && how != 'a') die();                                                                                 \
        done = real(fd);                                                                                               \
        if (last) die();                                                                                               \
        return done;                                                                                                   \
    }

SYNC(fsync)
SYNC(fdatasync)

#define TWO_PATHS(name)                                                                                                \
    int name(const char *from, const char *to) {                                                                       \
        static int (*real)(const char *, const char *);                                                                \
        int done, last;                                                                                                \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                                                     \
        if (!names(to)) return real(from, to);                                                                         \
        last = fatal_call();                                                                                           \
        if (last && how != 'a') die();                                                                                 \
        done = real(from, to);                                                                                         \
        if (last) die();                                                                                               \
        return done;                                                                                                   \
    }

TWO_PATHS(rename)

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    static int (*real)(int, const char *, int, const char *);
    int done, last;
    if (!real) real = dlsym(RTLD_NEXT, "renameat");
    if (!names(to) && !counted(to_dir)) return real(from_dir, from, to_dir, to);
    last = fatal_call();
    if (last && how != 'a') die();
    done = real(from_dir, from, to_dir, to);
    if (last) die();
    return done;
}

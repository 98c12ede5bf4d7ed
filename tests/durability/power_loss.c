/* What would be left of a database if the power failed now.
 *
 * Preloaded into a program (LD_PRELOAD), it keeps an image of the file named by POWER_LOSS_DATABASE, and of its -wal
 * and -journal, in the directory POWER_LOSS_IMAGES: what was written reaches the image when the file is synced, and not
 * before. power_loss_copy() copies the images, and may add some sectors of what was written since, as a disk would that
 * writes in an order of its own. Syncs wait while it copies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 3
#define DESCRIPTORS 65536
#define SECTOR 512

static const char *const SUFFIX[FILES] = {"", "-wal", "-journal"};
static const char *const IMAGE[FILES] = {"replay.db", "replay.db-wal", "replay.db-journal"};

typedef struct {
    off_t start, end;
} range;

/* Of each file: what was written and not synced. */
static struct {
    range *ranges;
    size_t count, room;
} dirty[FILES];
static signed char file_of[DESCRIPTORS]; /* 1 + the file's number; 0 for files that are none of ours */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static int number_of(const char *path) {
    const char *database = getenv("POWER_LOSS_DATABASE");
    size_t length = database ? strlen(database) : 0;
    if (!length || !path || strncmp(path, database, length)) return -1;
    for (int file = 0; file < FILES; file++)
        if (!strcmp(path + length, SUFFIX[file])) return file;
    return -1;
}

static int ours(int fd) { return fd >= 0 && fd < DESCRIPTORS ? file_of[fd] - 1 : -1; }

static void image_path(char *path, const char *directory, int file) {
    if (snprintf(path, 4096, "%s/%s", directory, IMAGE[file]) >= 4096) abort();
}

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < DESCRIPTORS) file_of[fd] = 1 + number_of(path);
    return fd;
}

#define OPEN(name)                                        \
    int name(const char *path, int flags, ...) {          \
        va_list rest;                                     \
        va_start(rest, flags);                            \
        mode_t mode = va_arg(rest, mode_t);               \
        va_end(rest);                                     \
        return opened(REAL(name)(path, flags, mode), path); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS) file_of[fd] = 0;
    return REAL(close)(fd);
}

static void note(int file, off_t start, size_t size) {
    pthread_mutex_lock(&lock);
    if (dirty[file].count == dirty[file].room) {
        dirty[file].room = 2 * dirty[file].room + 64;
        dirty[file].ranges = realloc(dirty[file].ranges, dirty[file].room * sizeof(range));
        if (!dirty[file].ranges) abort();
    }
    dirty[file].ranges[dirty[file].count++] = (range){start, start + (off_t)size};
    pthread_mutex_unlock(&lock);
}

#define PWRITE(name, offset_type)                                               \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) {   \
        ssize_t written = REAL(name)(fd, data, size, offset);                   \
        if (written > 0 && ours(fd) >= 0) note(ours(fd), offset, written);      \
        return written;                                                         \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    int file = ours(fd);
    off_t offset = file >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t written = REAL(write)(fd, data, size);
    if (written > 0 && file >= 0) note(file, offset, written);
    return written;
}

/* Copies a part of one open file to another, as far as there is one. */
static void copy_range(int from, int to, off_t start, off_t end) {
    char piece[65536];
    while (start < end) {
        size_t wanted = end - start < (off_t)sizeof piece ? (size_t)(end - start) : sizeof piece;
        ssize_t got = pread(from, piece, wanted, start);
        if (got <= 0) return;
        if (REAL(pwrite)(to, piece, got, start) != got) abort();
        start += got;
    }
}

static void synced(int fd, int file) {
    char path[4096];
    struct stat now;
    image_path(path, getenv("POWER_LOSS_IMAGES"), file);
    int image = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (image < 0 || fstat(fd, &now)) abort();
    for (size_t at = 0; at < dirty[file].count; at++)
        copy_range(fd, image, dirty[file].ranges[at].start, dirty[file].ranges[at].end);
    if (REAL(ftruncate)(image, now.st_size)) abort();
    dirty[file].count = 0;
    REAL(close)(image);
}

#define SYNC(name)                                  \
    int name(int fd) {                              \
        int file = ours(fd);                        \
        if (file < 0) return REAL(name)(fd);        \
        pthread_mutex_lock(&lock);                  \
        int failed = REAL(name)(fd);                \
        if (!failed) synced(fd, file);              \
        pthread_mutex_unlock(&lock);                \
        return failed;                              \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    char image[4096];
    int file = number_of(path);
    if (file >= 0) {
        pthread_mutex_lock(&lock);
        image_path(image, getenv("POWER_LOSS_IMAGES"), file);
        REAL(unlink)(image);
        dirty[file].count = 0;
        pthread_mutex_unlock(&lock);
    }
    return REAL(unlink)(path);
}

/* A descriptor that is open for the file already: closing one of our own would drop SQLite's locks. */
static int descriptor_of(int file) {
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (file_of[fd] == 1 + file) return fd;
    return -1;
}

/* Adds some of the sectors that were written since the last sync. */
static void add_sectors(int file, int copy, unsigned seed) {
    int from = descriptor_of(file);
    if (from < 0) return;
    for (size_t at = 0; at < dirty[file].count; at++) {
        range written = dirty[file].ranges[at];
        for (off_t start = written.start; start < written.end; start += SECTOR)
            if (rand_r(&seed) & 1)
                copy_range(from, copy, start, start + SECTOR < written.end ? start + SECTOR : written.end);
    }
}

/* Puts what a failure of the power now would leave into a directory; with a seed some sectors more. */
int power_loss_copy(const char *directory, unsigned seed) {
    char from_path[4096], to_path[4096];
    pthread_mutex_lock(&lock);
    for (int file = 0; file < FILES; file++) {
        image_path(from_path, getenv("POWER_LOSS_IMAGES"), file);
        image_path(to_path, directory, file);
        int from = REAL(open)(from_path, O_RDONLY | O_CLOEXEC);
        if (from < 0) continue; /* never synced */
        int to = REAL(open)(to_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        struct stat size;
        if (to < 0 || fstat(from, &size)) abort();
        copy_range(from, to, 0, size.st_size);
        if (REAL(ftruncate)(to, size.st_size)) abort();
        if (seed) add_sectors(file, to, seed + file);
        REAL(close)(to);
        REAL(close)(from);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

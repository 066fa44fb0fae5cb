/* Records what a program does to the files below one directory, in the order in which the kernel did it.
 *
 * Preloaded (LD_PRELOAD) into a program. Environment:
 *   RECORD_ROOT   absolute path of the directory; calls on other paths pass through unseen
 *   RECORD_TRACE  file that gets one record a call (absent: nothing is recorded)
 *   RECORD_ROOM   bytes that may be written below the root; what would be more, and everything that needs room
 *                 from then on, fails with ENOSPC (absent: no bound)
 *
 * A record is a header (see `struct header`), the path, the second path of a rename or link, and the bytes written;
 * paths are relative to the root. The call and its record are made under one lock, so the order of records is
 * the order of the calls, whatever the threads do.
 *
 * The program marks what it has acknowledged by calling record_mark(text). record_fail(at, error, kinds, once)
 * makes call number `at` (from 1, counting only `kinds`) and, unless `once`, every later one of those kinds fail
 * with `error` without being made: a full disk, a disk that reports a failed sync.
 *
 * Writing through a shared mapping cannot be recorded. A program that makes such a mapping is stopped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC, SYNC_DIRECTORY, MARK, LINK };

struct header {
    uint32_t kind, path, second, reserved; /* sizes in bytes of the paths */
    uint64_t offset, size;                 /* of a write; of a truncation the new size in `offset` */
} __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_size;
static int trace = -1, trace_tried;
static uint64_t calls, fail_at, fail_kinds;
static int fail_error, fail_once;

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)
typedef ssize_t (*write_type)(int, const void *, size_t);

static void put(const void *data, size_t size) {
    REAL("write", write_type);
    while (size) {
        ssize_t done = real(trace, data, size);
        if (done <= 0) abort();
        data = (const char *)data + done;
        size -= (size_t)done;
    }
}

static void record(int kind, const char *path, const char *second, uint64_t offset, const void *data, uint64_t size) {
    if (!trace_tried) {
        const char *name = getenv("RECORD_TRACE");
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        trace_tried = 1;
        if (name) trace = real(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    if (trace < 0) return;
    struct header header = {(uint32_t)kind, (uint32_t)strlen(path), (uint32_t)strlen(second), 0, offset, size};
    put(&header, sizeof header);
    put(path, header.path);
    put(second, header.second);
    if (data) put(data, size);
}

void record_mark(const char *text) {
    pthread_mutex_lock(&lock);
    record(MARK, text, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}

void record_fail(uint64_t at, int error, uint64_t kinds, int once) {
    pthread_mutex_lock(&lock);
    calls = 0, fail_at = at, fail_error = error, fail_kinds = kinds, fail_once = once;
    pthread_mutex_unlock(&lock);
}

uint64_t record_calls(void) { return calls; }

/* Takes bytes from the room there is; the lock is held. */
static int is_full(uint64_t size) {
    static uint64_t room;
    static int asked, full;
    if (!asked) {
        const char *text = getenv("RECORD_ROOM");
        asked = 1;
        room = text ? strtoull(text, NULL, 10) : UINT64_MAX;
    }
    if (size > room) full = 1;
    else if (room != UINT64_MAX) room -= size;
    if (full) errno = ENOSPC;
    return full;
}

/* Whether this call is to fail; the lock is held. */
static int fails(int kind) {
    if ((kind == CREATE || kind == MKDIR) && is_full(0)) return 1;
    if (!(fail_kinds >> kind & 1)) return 0;
    calls++;
    if (!fail_at || calls < fail_at || (fail_once && calls > fail_at)) return 0;
    errno = fail_error;
    return 1;
}

/* The path below the root, or NULL. An absolute path is what the programs here use. */
static const char *below(const char *path) {
    if (!root) {
        root = getenv("RECORD_ROOT");
        root = root ? root : "/nowhere";
        root_size = strlen(root);
    }
    if (!path || strncmp(path, root, root_size)) return NULL;
    if (path[root_size] == 0) return "";
    return path[root_size] == '/' ? path + root_size + 1 : NULL;
}

static const char *path_of(int descriptor, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, buffer, PATH_MAX - 1);
    if (size < 0) return NULL;
    buffer[size] = 0;
    return below(buffer);
}

static const char *path_at(int directory, const char *path, char *buffer) {
    if (path[0] == '/' || directory == AT_FDCWD) return below(path);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t size = readlink(link, buffer, PATH_MAX - 1);
    if (size < 0) return NULL;
    snprintf(buffer + size, (size_t)(PATH_MAX - size), "/%s", path);
    return below(buffer);
}

/* Opening: creates a file, or empties one. */

typedef int (*openat_type)(int, const char *, int, ...);

static int opened(int directory, const char *path, int flags, mode_t mode) {
    REAL("openat", openat_type);
    char buffer[PATH_MAX];
    const char *name = path_at(directory, path, buffer);
    if (!name || !(flags & (O_CREAT | O_TRUNC))) return real(directory, path, flags, mode);
    pthread_mutex_lock(&lock);
    int result, existed = faccessat(directory, path, F_OK, 0) == 0;
    if (existed ? fails(TRUNCATE) : fails(CREATE)) {
        result = -1;
    } else {
        result = real(directory, path, flags, mode);
        if (result >= 0 && !existed) record(CREATE, name, "", 0, NULL, 0);
        if (result >= 0 && existed && flags & O_TRUNC) record(TRUNCATE, name, "", 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define MODE(flags) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

/* Writing. */

static ssize_t written(int descriptor, const void *data, size_t size, off_t at) {
    REAL("write", write_type);
    ssize_t (*positioned)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    char buffer[PATH_MAX];
    const char *name = path_of(descriptor, buffer);
    if (!name) return at < 0 ? real(descriptor, data, size) : positioned(descriptor, data, size, at);
    pthread_mutex_lock(&lock);
    ssize_t result = -1;
    if (!is_full(size) && !fails(WRITE)) {
        off_t offset = at;
        if (at < 0) {
            int append = fcntl(descriptor, F_GETFL) & O_APPEND;
            offset = lseek(descriptor, 0, append ? SEEK_END : SEEK_CUR);
        }
        result = at < 0 ? real(descriptor, data, size) : positioned(descriptor, data, size, at);
        if (result > 0) record(WRITE, name, "", (uint64_t)offset, data, (uint64_t)result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int descriptor, const void *data, size_t size) { return written(descriptor, data, size, -1); }
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at) { return written(descriptor, data, size, at); }
ssize_t pwrite64(int descriptor, const void *data, size_t size, off_t at) { return written(descriptor, data, size, at); }

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    typedef ssize_t (*type)(int, const struct iovec *, int);
    REAL("writev", type);
    char buffer[PATH_MAX];
    if (!path_of(descriptor, buffer)) return real(descriptor, parts, count);
    return count ? written(descriptor, parts[0].iov_base, parts[0].iov_len, -1) : 0;
}

/* Copying within the kernel cannot be recorded; callers fall back to reading and writing. */

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    typedef ssize_t (*type)(int, int, off_t *, size_t);
    REAL("sendfile", type);
    char buffer[PATH_MAX];
    if (path_of(out, buffer)) return errno = EINVAL, -1;
    return real(out, in, offset, size);
}
ssize_t sendfile64(int out, int in, off_t *offset, size_t size) { return sendfile(out, in, offset, size); }

ssize_t copy_file_range(int in, off_t *at, int out, off_t *to, size_t size, unsigned flags) {
    typedef ssize_t (*type)(int, off_t *, int, off_t *, size_t, unsigned);
    REAL("copy_file_range", type);
    char buffer[PATH_MAX];
    if (path_of(out, buffer)) return errno = EINVAL, -1;
    return real(in, at, out, to, size, flags);
}

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    typedef void *(*type)(void *, size_t, int, int, int, off_t);
    REAL("mmap", type);
    char buffer[PATH_MAX];
    if (descriptor >= 0 && protection & PROT_WRITE && flags & MAP_SHARED && path_of(descriptor, buffer)) {
        fprintf(stderr, "record_writes: a shared writable mapping of %s\n", buffer);
        abort();
    }
    return real(address, size, protection, flags, descriptor, offset);
}
void *mmap64(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    return mmap(address, size, protection, flags, descriptor, offset);
}

int ftruncate(int descriptor, off_t size) {
    typedef int (*type)(int, off_t);
    REAL("ftruncate", type);
    char buffer[PATH_MAX];
    const char *name = path_of(descriptor, buffer);
    if (!name) return real(descriptor, size);
    pthread_mutex_lock(&lock);
    int result = fails(TRUNCATE) ? -1 : real(descriptor, size);
    if (!result) record(TRUNCATE, name, "", (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate64(int descriptor, off_t size) { return ftruncate(descriptor, size); }

/* Names. */

int rename(const char *from, const char *to) {
    typedef int (*type)(const char *, const char *);
    REAL("rename", type);
    const char *first = below(from), *second = below(to);
    if (!first || !second) return real(from, to);
    pthread_mutex_lock(&lock);
    int result = fails(RENAME) ? -1 : real(from, to);
    if (!result) record(RENAME, first, second, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int link(const char *from, const char *to) {
    typedef int (*type)(const char *, const char *);
    REAL("link", type);
    const char *first = below(from), *second = below(to);
    if (!first || !second) return real(from, to);
    pthread_mutex_lock(&lock);
    int result = fails(LINK) ? -1 : real(from, to);
    if (!result) record(LINK, first, second, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

static int removed(int directory, const char *path, int flags) {
    typedef int (*type)(int, const char *, int);
    REAL("unlinkat", type);
    char buffer[PATH_MAX];
    const char *name = path_at(directory, path, buffer);
    if (!name) return real(directory, path, flags);
    pthread_mutex_lock(&lock);
    int kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    int result = fails(kind) ? -1 : real(directory, path, flags);
    if (!result) record(kind, name, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int directory, const char *path, int flags) { return removed(directory, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    typedef int (*type)(const char *, mode_t);
    REAL("mkdir", type);
    const char *name = below(path);
    if (!name) return real(path, mode);
    pthread_mutex_lock(&lock);
    int result = fails(MKDIR) ? -1 : real(path, mode);
    if (!result) record(MKDIR, name, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Syncing. */

static int synced(int descriptor, int (*real)(int)) {
    char buffer[PATH_MAX];
    struct stat status;
    const char *name = path_of(descriptor, buffer);
    if (!name) return real(descriptor);
    pthread_mutex_lock(&lock);
    int kind = !fstat(descriptor, &status) && S_ISDIR(status.st_mode) ? SYNC_DIRECTORY : SYNC;
    int result = fails(kind) ? -1 : real(descriptor);
    if (!result) record(kind, name, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int descriptor) {
    typedef int (*type)(int);
    REAL("fsync", type);
    return synced(descriptor, real);
}
int fdatasync(int descriptor) {
    typedef int (*type)(int);
    REAL("fdatasync", type);
    return synced(descriptor, real);
}

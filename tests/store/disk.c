/* A disk that can fail, and that remembers in which order it was written: preloaded into a process under test.
 *
 * DISK_ROOT   only files below this folder are looked at
 * DISK_LOG    every write, cut, sync and removal of such a file is added here, in order (see power.py for the form)
 * DISK_FAULT  a file whose first letter makes operations fail: F no space, R read-only, S syncs fail; empty or
 *             missing: nothing fails
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void start(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *path = getenv("DISK_LOG");
    if (path) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below(int fd, char *path, size_t size) {
    const char *root = getenv("DISK_ROOT");
    char link[64];
    if (!root || fd < 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, root, strlen(root)) == 0;
}

static char fault(void) {
    const char *path = getenv("DISK_FAULT");
    char letter = 0;
    if (!path) return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, &letter, 1) != 1) letter = 0;
    close(fd);
    return letter;
}

static void note(char op, const char *path, uint64_t offset, const void *data, uint64_t length) {
    struct __attribute__((packed)) { char op; uint32_t path; uint64_t offset, length; } head =
        {op, (uint32_t)strlen(path), offset, length};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, length}};
    if (log_fd >= 0 && writev(log_fd, parts, length ? 3 : 2) < 0) abort();
}

static int refused(int writing) {
    char letter = fault();
    if (letter == 'F' && writing) return ENOSPC;
    if (letter == 'R') return EROFS;
    if (letter == 'S' && !writing) return EIO;
    return 0;
}

static ssize_t put(int fd, const void *data, size_t size, off_t offset, int positioned) {
    char path[4096];
    if (!below(fd, path, sizeof path)) return positioned ? real_pwrite(fd, data, size, offset) : real_write(fd, data, size);
    int error = refused(1);
    if (error) { errno = error; return -1; }
    pthread_mutex_lock(&mutex);
    if (!positioned)
        offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t done = positioned ? real_pwrite(fd, data, size, offset) : real_write(fd, data, size);
    if (done > 0) note('W', path, (uint64_t)offset, data, (uint64_t)done);
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return put(fd, data, size, 0, 0); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return put(fd, data, size, offset, 1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return put(fd, data, size, offset, 1); }

static int sync_with(int (*real)(int), int fd) {
    char path[4096];
    if (!below(fd, path, sizeof path)) return real(fd);
    int error = refused(0);
    if (error) { errno = error; return -1; }
    int result = real(fd);
    if (result == 0) {
        pthread_mutex_lock(&mutex);
        note('S', path, 0, NULL, 0);
        pthread_mutex_unlock(&mutex);
    }
    return result;
}

int fsync(int fd) { return sync_with(real_fsync, fd); }
int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

static int cut(int fd, off_t length) {
    char path[4096];
    if (!below(fd, path, sizeof path)) return real_ftruncate(fd, length);
    int error = refused(1);
    if (error) { errno = error; return -1; }
    pthread_mutex_lock(&mutex);
    int result = real_ftruncate(fd, length);
    if (result == 0) note('T', path, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

int unlink(const char *path) {
    const char *root = getenv("DISK_ROOT");
    if (!root || strncmp(path, root, strlen(root)) != 0) return real_unlink(path);
    pthread_mutex_lock(&mutex);
    int result = real_unlink(path);
    if (result == 0) note('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

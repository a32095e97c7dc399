/*
 * A disk that can lose power, preloaded (LD_PRELOAD) under any relay: the files are real, a sync only writes
 * down that it happened. Every change to a file or name under CRASH_DISK_FOLDERS goes to CRASH_DISK/journal
 * first, with what it destroys; after a kill, powerLoss.ts puts back whatever was not durable.
 *
 * Faults (CRASH_DISK/control, four 32-bit numbers that the harness changes at any time):
 *   failSyncAt   the n-th sync from now fails with EIO; its writes never become durable, as on Linux
 *   writeError   an errno that every write, creation and rename gets (EROFS, EIO)
 *   syncDelay    microseconds that a sync takes
 *   roomKiB      KiB that can still be written plus one; 0: no limit. A write at the edge is short.
 *
 * Not seen: mmap, io_uring, copy_file_range, and stdio's own writes. Neither Node nor Postfix spools with them.
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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FDS = 4096, MOST_FOLDERS = 16 };

struct header {
  uint32_t length; /* of header and payload */
  uint32_t op;
  uint64_t inode;
  uint64_t offset; /* of a write; the journal's size when a sync began; a mode */
  uint64_t bytes;  /* of a write; the new size of a truncation */
  uint64_t before; /* the file's size before; the inode a rename replaced */
};

struct tracked {
  ino_t inode; /* 0: not ours */
  char *folder; /* of a directory: its path */
};

static struct tracked fds[MOST_FDS];
static char *folders[MOST_FOLDERS];
static char *base;
static int journal = -1;
static volatile int32_t *control;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((constructor)) static void begin(void) {
  const char *where = getenv("CRASH_DISK");
  const char *list = getenv("CRASH_DISK_FOLDERS");
  char path[PATH_MAX];
  if (where == NULL || list == NULL) return;
  base = strdup(where);
  char *rest = strdup(list);
  for (int i = 0; i < MOST_FOLDERS - 1 && (folders[i] = strsep(&rest, ":")) != NULL; i++) {}
  snprintf(path, sizeof path, "%s/journal", base);
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  if (fd < 0) return;
  /* High, so that programs which close what they do not know leave it alone. */
  journal = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, fd);
  snprintf(path, sizeof path, "%s/control", base);
  fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return;
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) control = page;
  syscall(SYS_close, fd);
}

/* Some daemons close every descriptor they do not know: the journal is opened again then. */
static int journal_fd(void) {
  if (base == NULL) return -1;
  if (journal >= 0 && fcntl(journal, F_GETFD) >= 0) {
    char link[64], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", journal);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length > 0) {
      name[length] = 0;
      size_t known = strlen(base);
      if (strncmp(name, base, known) == 0 && strcmp(name + known, "/journal") == 0) return journal;
    }
  }
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", base);
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  if (fd < 0) return -1;
  journal = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, fd);
  return journal;
}

static uint64_t journal_size(void) {
  struct stat status;
  int fd = journal_fd();
  return fd >= 0 && fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void tell(char op, uint64_t inode, uint64_t offset, uint64_t bytes, uint64_t before, const void *payload,
                 size_t length) {
  int saved = errno;
  struct header header = {sizeof header + length, op, inode, offset, bytes, before};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, length}};
  int fd = journal_fd();
  if (fd >= 0 && syscall(SYS_writev, fd, parts, 2) != (long)header.length) abort();
  errno = saved;
}

static int absolute(int at, const char *path, char *out) {
  if (path == NULL) return 0;
  if (path[0] == '/') return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
  char link[64], folder[PATH_MAX];
  if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
  ssize_t length = readlink(link, folder, sizeof folder - 1);
  if (length < 0) return 0;
  folder[length] = 0;
  return snprintf(out, PATH_MAX, "%s/%s", folder, path) < PATH_MAX;
}

/* The absolute path when it lies on our disk. */
static int ours(int at, const char *path, char *out) {
  if (base == NULL) return 0;
  int saved = errno;
  int is = 0;
  if (absolute(at, path, out)) {
    for (int i = 0; folders[i] != NULL && !is; i++) {
      size_t length = strlen(folders[i]);
      is = strncmp(out, folders[i], length) == 0 && (out[length] == '/' || out[length] == 0);
    }
  }
  errno = saved;
  return is;
}

static struct tracked *file_of(int fd, struct stat *status) {
  if (base == NULL || fd < 0 || fd >= MOST_FDS || fds[fd].inode == 0) return NULL;
  int saved = errno;
  int known = fstat(fd, status) == 0 && status->st_ino == fds[fd].inode;
  errno = saved;
  return known ? &fds[fd] : NULL;
}

static int refused(void) {
  if (control == NULL || control[1] == 0) return 0;
  errno = control[1];
  return 1;
}

/* Keeps an inode that loses a name, until the next power loss says whether it lost it. */
static void keep(const char *path, ino_t inode) {
  char grave[PATH_MAX];
  int saved = errno;
  snprintf(grave, sizeof grave, "%s/grave/%lu", base, (unsigned long)inode);
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0) != 0 && errno != EEXIST) abort();
  errno = saved;
}

static void read_back(int fd, char *into, size_t bytes, off_t offset) {
  if (pread(fd, into, bytes, offset) == (ssize_t)bytes) return;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int readable = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  if (readable < 0) abort();
  if (pread(readable, into, bytes, offset) != (ssize_t)bytes) memset(into, 0, bytes);
  syscall(SYS_close, readable);
}

static void tell_write(int fd, const struct stat *status, uint64_t offset, uint64_t bytes) {
  uint64_t size = status->st_size;
  uint64_t lost = offset >= size ? 0 : size - offset < bytes ? size - offset : bytes;
  char *old = lost > 0 ? malloc(lost) : NULL;
  if (lost > 0) read_back(fd, old, lost, offset);
  tell('W', status->st_ino, offset, bytes, size, old, lost);
  free(old);
}

/* How many of `bytes` fit; 0 with errno when none does. */
static size_t room_for(size_t bytes) {
  if (refused()) return 0;
  if (control == NULL || control[3] == 0) return bytes;
  size_t room = (size_t)(control[3] - 1) * 1024;
  if (room == 0 && bytes > 0) {
    errno = ENOSPC;
    return 0;
  }
  size_t fits = bytes < room ? bytes : room;
  control[3] -= (fits + 1023) / 1024;
  if (control[3] < 1) control[3] = 1;
  return fits;
}

static size_t total(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

/* All writes come here: at an offset, or (-1) where the descriptor is. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
  struct stat status;
  struct tracked *file = file_of(fd, &status);
  if (file == NULL) return offset < 0 ? syscall(SYS_writev, fd, parts, count) : REAL(pwritev64)(fd, parts, count, offset);
  size_t bytes = total(parts, count);
  size_t fits = room_for(bytes);
  if (fits == 0 && bytes > 0) return -1;
  pthread_mutex_lock(&turn);
  fstat(fd, &status);
  int flags = fcntl(fd, F_GETFL);
  off_t at = offset >= 0 ? offset : (flags & O_APPEND) ? status.st_size : lseek(fd, 0, SEEK_CUR);
  tell_write(fd, &status, at, fits);
  ssize_t written;
  if (fits == bytes) {
    written = offset < 0 ? syscall(SYS_writev, fd, parts, count) : REAL(pwritev64)(fd, parts, count, offset);
  } else {
    char *flat = malloc(bytes), *next = flat;
    for (int i = 0; i < count; i++) next = mempcpy(next, parts[i].iov_base, parts[i].iov_len);
    struct iovec cut = {flat, fits};
    written = offset < 0 ? syscall(SYS_writev, fd, &cut, 1) : REAL(pwritev64)(fd, &cut, 1, offset);
    free(flat);
  }
  pthread_mutex_unlock(&turn);
  return written;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  struct iovec part = {(void *)data, bytes};
  return write_parts(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  struct iovec part = {(void *)data, bytes};
  return write_parts(fd, &part, 1, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_parts(fd, parts, count, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_parts(fd, parts, count, offset);
}

static int sync_file(int fd, int (*sync)(int)) {
  struct stat status;
  struct tracked *file = file_of(fd, &status);
  if (file == NULL) return sync(fd);
  uint64_t began = journal_size();
  if (control != NULL) {
    if (control[2] > 0) usleep(control[2]);
    if (control[0] > 0 && __atomic_sub_fetch((int32_t *)&control[0], 1, __ATOMIC_SEQ_CST) == 0) {
      tell('F', status.st_ino, began, 0, 0, NULL, 0);
      errno = EIO;
      return -1;
    }
  }
  if (file->folder != NULL) tell('D', status.st_ino, began, 0, 0, file->folder, strlen(file->folder));
  else tell('S', status.st_ino, began, 0, 0, NULL, 0);
  return 0;
}
int fsync(int fd) { return sync_file(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_file(fd, REAL(fdatasync)); }

static int open_file(int at, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat before;
  int is_ours = ours(at, name, path);
  int writes = is_ours && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT));
  int existed = is_ours && stat(path, &before) == 0;
  if (is_ours && (flags & O_CREAT) && !existed && refused()) return -1;
  if (is_ours && existed && (flags & O_TRUNC) && S_ISREG(before.st_mode)) {
    int old = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    char *lost = malloc(before.st_size + 1);
    if (old >= 0 && before.st_size > 0) read_back(old, lost, before.st_size, 0);
    if (old >= 0) syscall(SYS_close, old);
    tell('T', before.st_ino, 0, 0, before.st_size, lost, before.st_size);
    free(lost);
  }
  int fd = syscall(SYS_openat, at, name, flags, mode);
  if (fd < 0 || fd >= MOST_FDS) return fd;
  free(fds[fd].folder);
  fds[fd] = (struct tracked){0, NULL};
  struct stat status;
  if (!is_ours || fstat(fd, &status) != 0) return fd;
  if (S_ISDIR(status.st_mode)) {
    /* As the kernel calls it, whatever way led there. */
    char link[64], folder[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, folder, sizeof folder - 1);
    if (length > 0) fds[fd] = (struct tracked){status.st_ino, strndup(folder, length)};
  }
  else if (S_ISREG(status.st_mode) && writes) {
    fds[fd] = (struct tracked){status.st_ino, NULL};
    tell(existed ? 'O' : 'C', status.st_ino, 0, 0, 0, path, strlen(path));
  }
  return fd;
}

#define MODE(flags)                                       \
  mode_t mode = 0;                                        \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                  \
    va_list list;                                         \
    va_start(list, flags);                                \
    mode = va_arg(list, mode_t);                          \
    va_end(list);                                         \
  }
int open(const char *name, int flags, ...) {
  MODE(flags)
  return open_file(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  MODE(flags)
  return open_file(AT_FDCWD, name, flags, mode);
}
int openat(int at, const char *name, int flags, ...) {
  MODE(flags)
  return open_file(at, name, flags, mode);
}
int openat64(int at, const char *name, int flags, ...) {
  MODE(flags)
  return open_file(at, name, flags, mode);
}
int __open_2(const char *name, int flags) { return open_file(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_file(AT_FDCWD, name, flags, 0); }
int creat(const char *name, mode_t mode) { return open_file(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MOST_FDS && fds[fd].inode != 0) {
    free(fds[fd].folder);
    fds[fd] = (struct tracked){0, NULL};
  }
  return syscall(SYS_close, fd);
}

static int cut(int fd, off_t size) {
  struct stat status;
  if (file_of(fd, &status) != NULL) {
    if (refused()) return -1;
    off_t lost = status.st_size > size ? status.st_size - size : 0;
    char *old = malloc(lost + 1);
    if (lost > 0) read_back(fd, old, lost, size);
    tell('T', status.st_ino, 0, size, status.st_size, old, lost);
    free(old);
  }
  return syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

static int move(int from_at, const char *from, int to_at, const char *to) {
  char old[PATH_MAX], new[PATH_MAX], both[2 * PATH_MAX];
  struct stat status, replaced;
  int is_ours = ours(from_at, from, old) && ours(to_at, to, new) && stat(old, &status) == 0 && S_ISREG(status.st_mode);
  if (is_ours) {
    if (refused()) return -1;
    int replaces = stat(new, &replaced) == 0;
    if (replaces) keep(new, replaced.st_ino);
    size_t length = snprintf(both, sizeof both, "%s\n%s", old, new);
    tell('R', status.st_ino, 0, 0, replaces ? replaced.st_ino : 0, both, length);
  }
  return syscall(SYS_renameat2, from_at, from, to_at, to, 0);
}
int rename(const char *from, const char *to) { return move(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return move(from_at, from, to_at, to); }

static int give_name(int from_at, const char *from, int to_at, const char *to, int flags) {
  char old[PATH_MAX], new[PATH_MAX];
  struct stat status;
  int is_ours = ours(to_at, to, new) && absolute(from_at, from, old) && stat(old, &status) == 0;
  if (is_ours && refused()) return -1;
  int result = syscall(SYS_linkat, from_at, from, to_at, to, flags);
  if (is_ours && result == 0) tell('C', status.st_ino, 0, 0, 0, new, strlen(new));
  return result;
}
int link(const char *from, const char *to) { return give_name(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  return give_name(from_at, from, to_at, to, flags);
}

static int take_name(int at, const char *name, int flags) {
  char path[PATH_MAX];
  struct stat status;
  if (!(flags & AT_REMOVEDIR) && ours(at, name, path) && lstat(path, &status) == 0 && S_ISREG(status.st_mode)) {
    if (control != NULL && control[1] == EROFS) return refused(), -1;
    keep(path, status.st_ino);
    tell('U', status.st_ino, 0, 0, 0, path, strlen(path));
  }
  return syscall(SYS_unlinkat, at, name, flags);
}
int unlink(const char *name) { return take_name(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return take_name(at, name, flags); }
int remove(const char *name) {
  struct stat status;
  int is_folder = lstat(name, &status) == 0 && S_ISDIR(status.st_mode);
  return take_name(AT_FDCWD, name, is_folder ? AT_REMOVEDIR : 0);
}

int fchmod(int fd, mode_t mode) {
  struct stat status;
  if (file_of(fd, &status) != NULL) tell('M', status.st_ino, status.st_mode & 07777, mode, 0, NULL, 0);
  return syscall(SYS_fchmod, fd, mode);
}

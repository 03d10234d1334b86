/* Between a program and its fsync and fdatasync, for tests: calls fail, and what is durable is known.
 *
 * Loaded by LD_PRELOAD. FAULT_FILE: name of the file whose calls fail with EIO; FAULT_AT: from which of them on, from 1; 0 is none.
 * FAULT_COUNT: how many. FAULT_KEEP: a folder that gets a copy of each file, named by its inode, as it was at its last sync that
 * succeeded: that much a power failure leaves. `log` in it says of each call `synced` or `failed`, and the path.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

static long number(const char *name) {
  const char *text = getenv(name);
  return text ? atol(text) : 0;
}

/* A copy that cannot be made is a test that shows nothing. */
static void need(int is_well, const char *what) {
  if (is_well) return;
  fprintf(stderr, "failing_sync: cannot %s: %s\n", what, strerror(errno));
  abort();
}

static void path_of(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  need(length > 0, "read the path");
  path[length] = 0;
}

static void note(const char *keep, const char *what, const char *path) {
  char line[PATH_MAX + 16], log[PATH_MAX];
  snprintf(log, sizeof log, "%s/log", keep);
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  need(out >= 0, "open the log");
  int size = snprintf(line, sizeof line, "%s %s\n", what, path);
  need(write(out, line, size) == size, "write the log");
  close(out);
}

/* Whether this call is to fail. */
static int fails(const char *path) {
  const char *name = strrchr(path, '/'), *file = getenv("FAULT_FILE");
  if (!name || !file || strcmp(name + 1, file) != 0) return 0;
  long at = number("FAULT_AT"), now = atomic_fetch_add(&calls, 1) + 1;
  return at > 0 && now >= at && now - at < number("FAULT_COUNT");
}

static void keep_copy(int fd, const char *keep) {
  struct stat about;
  need(fstat(fd, &about) == 0, "look at the file");
  if (!S_ISREG(about.st_mode)) return;
  char link[64], new[PATH_MAX], name[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  snprintf(new, sizeof new, "%s/%ld.%ld", keep, (long)about.st_ino, syscall(SYS_gettid));
  snprintf(name, sizeof name, "%s/%ld", keep, (long)about.st_ino);
  int in = open(link, O_RDONLY), out = open(new, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  need(in >= 0 && out >= 0, "open the copy");
  static _Thread_local char buffer[1 << 16];
  ssize_t size;
  while ((size = read(in, buffer, sizeof buffer)) > 0) need(write(out, buffer, size) == size, "write the copy");
  need(size == 0, "read the file");
  close(in);
  close(out);
  need(rename(new, name) == 0, "name the copy");
}

static int synced(int fd, long call) {
  const char *keep = getenv("FAULT_KEEP");
  char path[PATH_MAX];
  path_of(fd, path);
  if (fails(path)) {
    note(keep, "failed", path);
    errno = EIO;
    return -1;
  }
  int outcome = (int)syscall(call, fd);
  if (outcome == 0) {
    keep_copy(fd, keep);
    note(keep, "synced", path);
  }
  return outcome;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

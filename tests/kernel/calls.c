// Calls of every kind that names, opens or changes a file, in a directory of its own; what they answer does not matter.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifndef STATX_ALL
#include <linux/stat.h>  // musl has none of its own
#endif
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

extern char** environ;
static void put(const char* name, const char* text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (write(fd, text, strlen(text)) < 0) perror(name);
  close(fd);
}
static int seen(const char* path, const struct stat* info, int flag, struct FTW* where) { return 0; }
static void* of_thread(void* name) {
  struct stat info;
  for (int i = 0; i < 5; ++i) stat(name, &info), close(open(name, O_RDONLY));
  return put(name, "thread"), NULL;
}

static void names(void) {
  struct stat info;
  struct statx extended;
  struct statvfs system;
  char text[5000], deep[300] = "";
  mkdir("d", 0755), mkdirat(AT_FDCWD, "./d/e", 0700), put("a", "a"), put("d/f", "f");
  int d = open("d", O_RDONLY | O_DIRECTORY), path = open("d/f", O_PATH);
  stat("a", &info), lstat("a", &info), fstatat(d, "f", &info, 0), fstatat(d, "", &info, AT_EMPTY_PATH), fstatat(path, "", &info, AT_EMPTY_PATH);
  fstatat(AT_FDCWD, "", &info, AT_EMPTY_PATH), stat("", &info), stat("/", &info), stat("..", &info), stat("d/../a", &info), stat("//dev//null", &info), stat("a/", &info), stat("d/.", &info);
  syscall(SYS_statx, d, "f", AT_SYMLINK_NOFOLLOW, STATX_SIZE, &extended), syscall(SYS_statx, AT_FDCWD, "none", 0, STATX_ALL, &extended), syscall(SYS_statx, path, "", AT_EMPTY_PATH, STATX_ALL, &extended);
  access("a", R_OK | W_OK), access("none", F_OK), faccessat(d, "f", X_OK, 0), faccessat(d, "f", R_OK, AT_EACCESS), euidaccess("a", R_OK), syscall(SYS_faccessat2, d, "none", 4, 0);
  symlink("a", "s"), symlinkat("../a", d, "s"), symlink("loop", "loop"), stat("loop", &info), lstat("loop", &info), open("s", O_RDONLY | O_NOFOLLOW), close(open("s", O_RDONLY));
  if (readlink("s", text, sizeof text) + readlinkat(d, "s", text, 3) + readlink("a", text, 9) + readlink("none", text, 9) + readlink("/proc/self/fd/0", text, 99) + readlink("/proc/self/cwd", text, 999) < 0) puts("");
  int link = open("s", O_PATH | O_NOFOLLOW);
  if (readlinkat(link, "", text, 9) < 0) puts("");
  free(realpath("d/s", NULL)), free(realpath("none/x", NULL)), free(realpath("loop", NULL));
  statvfs(".", &system), statvfs("none", &system), fstatvfs(d, &system);
  getxattr("a", "user.x", text, 9), lgetxattr("s", "user.x", text, 9), fgetxattr(d, "user.x", text, 9), listxattr("a", text, 99), llistxattr("none", text, 99), flistxattr(d, text, 99);
  struct open_how how = {.flags = O_RDONLY, .resolve = 0};
  close(syscall(SYS_openat2, d, "f", &how, sizeof how)), syscall(SYS_openat2, AT_FDCWD, "none", &how, sizeof how);
  close(openat(d, "../a", O_RDWR | O_APPEND)), openat(99, "a", O_RDONLY), openat(d, "none/x", O_RDONLY), close(creat("made", 0600)), open("made", O_CREAT | O_EXCL | O_WRONLY, 0600), open("a", O_DIRECTORY), open("d", O_WRONLY);
  DIR* list = opendir("d");
  while (readdir(list)) {}
  rewinddir(list), readdir(list), closedir(list), list = fdopendir(dup(d));
  while (readdir(list)) {}
  closedir(list), nftw(".", seen, 9, FTW_PHYS), nftw("d", seen, 9, FTW_CHDIR);
  glob_t found;
  glob("*/[ef]", 0, NULL, &found), globfree(&found);
#ifndef STATIC
  getpwnam("nobody"), getpwuid(4711);  // loads code
#endif
  for (int i = 0; i < 100; ++i) strcat(deep, "x/");
  stat(deep, &info), memset(text, 'y', 4998), text[4998] = 0, stat(text, &info), text[300] = 0, stat(text, &info);
  stat("blank and \"quote\\ \n\t\303\244\377<>,)", &info), put("odd <n>, \"x\"\n\303\244", "x"), unlink("odd <n>, \"x\"\n\303\244");
  chdir("d"), stat("f", &info), chdir("none"), fchdir(open("..", O_RDONLY)), stat("a", &info), chdir("d/e/.."), close(open("s", O_RDONLY)), chdir("..");
  syscall(SYS_stat, NULL, &info), syscall(SYS_stat, 8, &info), syscall(SYS_open, "a", O_RDONLY), syscall(SYS_lstat, "s", &info), syscall(SYS_stat, "d", &info);
  close(d), close(path), close(link);
}

static void changes(void) {
  int d = open("d", O_RDONLY | O_DIRECTORY), f = open("a", O_RDWR);
  struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}}, then[2] = {{1, 2}, {3, 4}};
  struct timeval old[2] = {{1, 2}, {3, 4}};
  struct utimbuf older = {1, 2};
  chmod("a", 0600), fchmod(f, 0640), fchmodat(d, "f", 0600, 0), fchmodat(d, "s", 0600, AT_SYMLINK_NOFOLLOW), chmod("none", 0);
  chown("a", -1, -1), lchown("s", -1, -1), fchown(f, -1, -1), fchownat(d, "f", -1, -1, 0);
  utime("a", &older), utimes("a", old), futimes(f, old), lutimes("s", old), futimesat(d, "f", old), utimensat(d, "f", then, 0), utimensat(AT_FDCWD, "s", then, AT_SYMLINK_NOFOLLOW), futimens(f, then), futimens(f, now), utimes("none", old), utime("a", NULL);
  truncate("a", 3), ftruncate(f, 5), truncate("none", 3), truncate("d", 3), fallocate(f, 0, 0, 9), posix_fallocate(f, 0, 19);
  pwrite(f, "x", 1, 3), writev(f, &(struct iovec){"yy", 2}, 1), pwritev(f, &(struct iovec){"zz", 2}, 1, 7);
  char* map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  if (map != MAP_FAILED) map[0] = 'm', munmap(map, 4096);
  link("a", "l"), linkat(d, "f", AT_FDCWD, "l2", 0), linkat(AT_FDCWD, "s", d, "l3", AT_SYMLINK_FOLLOW), link("none", "l4"), link("a", "l");
  rename("l", "m"), renameat(AT_FDCWD, "m", d, "n"), syscall(SYS_renameat2, d, "n", AT_FDCWD, "l2", 2 /* exchange */), syscall(SYS_renameat2, d, "n", AT_FDCWD, "l2", 1 /* replace nothing */), rename("none", "x"), rename("d", "d/x"), rename("d/e", "e2");
  mkdir("d", 0), mkdir("none/x", 0755), rmdir("d"), rmdir("e2"), rmdir("none"), mknod("p", S_IFIFO | 0644, 0), mkfifoat(d, "p", 0600), mknod("reg", S_IFREG | 0644, 0), unlink("p"), unlinkat(d, "p", 0), unlink("none"), unlink("d"), mkdirat(d, "g", 0755), unlinkat(d, "g", AT_REMOVEDIR);
  setxattr("a", "user.v", "1", 1, 0), fsetxattr(f, "user.w", "1", 1, 0), removexattr("a", "user.v"), fremovexattr(f, "user.w"), setxattr("none", "user.v", "1", 1, 0), lsetxattr("s", "user.v", "1", 1, 0);
  int nameless = open(".", O_TMPFILE | O_RDWR, 0644), to = open("copy", O_CREAT | O_RDWR, 0644);
  char name[40];
  write(nameless, "t", 1), sprintf(name, "/proc/self/fd/%d", nameless), linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), linkat(nameless, "", AT_FDCWD, "named2", AT_EMPTY_PATH);
  lseek(f, 0, SEEK_SET), sendfile(to, f, NULL, 3), copy_file_range(f, NULL, to, NULL, 3, 0);
  char temporary[] = "tXXXXXX", folder[] = "fXXXXXX";
  close(mkstemp(temporary)), unlink(temporary), mkdtemp(folder), rmdir(folder), fclose(tmpfile());
  FILE* file = fopen("stdio", "w+");
  fputs("x", file), file = freopen("stdio2", "w", file), fclose(file), fclose(fopen("a", "a")), fopen("none", "r"), remove("stdio");
  int gone = open("gone", O_CREAT | O_RDWR, 0644);
  unlink("gone"), fchmod(gone, 0600), ftruncate(gone, 3), futimens(gone, then), fstat(gone, &(struct stat){});
  close(gone), close(f), close(d), close(to), close(nameless);
}

static void processes(void) {
  int status, in = open("a", O_RDONLY), pair[2];
  pipe(pair);
  char* words[] = {"cat", "a", "-", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions), posix_spawn_file_actions_addopen(&actions, 0, "d/f", O_RDONLY, 0), posix_spawn_file_actions_addopen(&actions, 5, "spawned", O_CREAT | O_WRONLY, 0600), posix_spawn_file_actions_adddup2(&actions, pair[1], 4), posix_spawn_file_actions_addclose(&actions, pair[0]);
  pid_t child;
  posix_spawnp(&child, "cat", &actions, NULL, words, environ), waitpid(child, &status, 0);
  posix_spawn_file_actions_init(&actions), posix_spawn_file_actions_addchdir_np(&actions, "d"), posix_spawn_file_actions_addopen(&actions, 0, "f", O_RDONLY, 0), posix_spawn(&child, "/bin/cat", &actions, NULL, (char*[]){"cat", "f", NULL}, environ), waitpid(child, &status, 0);
  posix_spawn(&child, "none", NULL, NULL, words, environ);
  if ((child = fork()) == 0) {
    struct stat info;
    stat("a", &info), chdir("d"), stat("f", &info), put("by-child", "c"), fstat(in, &info);
    if (fork() == 0) fstat(in, &info), stat("f", &info), dup2(in, 0), execlp("cat", "cat", NULL);
    wait(&status), _exit(3);
  }
  waitpid(child, &status, 0);
  if ((child = vfork()) == 0) dup2(open("d/f", O_RDONLY), 0), close(open("by-vfork", O_CREAT | O_WRONLY, 0600)), execlp("cat", "cat", "by-vfork", "-", NULL), _exit(1);
  waitpid(child, &status, 0);
  if ((child = vfork()) == 0) execl("./none", "none", NULL), execl("d", "d", NULL), execl("a", "a", NULL), _exit(9);
  waitpid(child, &status, 0);
  if ((child = fork()) == 0) fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), words, environ), _exit(1);
  waitpid(child, &status, 0);
  if ((child = fork()) == 0) syscall(SYS_execveat, open("/bin", O_PATH), "true", words, environ, 0), _exit(1);
  waitpid(child, &status, 0);
  if ((child = fork()) == 0) { put("killed", "k"); raise(SIGKILL); }
  waitpid(child, &status, 0);
  fflush(stdout), system("cat a >/dev/null; exit 4"), pclose(popen("cat d/f", "r"));
  pthread_t threads[3];
  char* each[] = {"t1", "t2", "a"};
  for (int i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, of_thread, each[i]);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  int there = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "no-socket"};
  connect(there, (struct sockaddr*)&address, sizeof address), strcpy(address.sun_path, "socket"), bind(there, (struct sockaddr*)&address, sizeof address);
  syscall(SYS_close_range, 20, 30, 0), dup3(in, 25, O_CLOEXEC), fcntl(in, F_DUPFD, 26), close(in), unlink("socket");
}

static void given(void) {  // 0 is a file, 1 and 2 are too
  struct stat info;
  char text[9];
  fstat(0, &info), fstat(1, &info), read(0, text, 2), pread(0, text, 2, 1), lseek(0, 1, SEEK_SET), lseek(1, 0, SEEK_CUR);
  write(1, "one", 3), writev(1, (struct iovec[]){{"t", 1}, {"wo", 2}}, 2), write(dup(1), "three", 5), dprintf(2, "error");
  if (fork() == 0) write(1, "child", 5), _exit(0);
  wait(NULL);
  close(open("/dev/stdin", O_RDONLY)), close(open("/dev/fd/1", O_WRONLY)), close(open("/proc/self/fd/0", O_RDONLY)), fstat(99, &info), write(99, "", 1);
  FILE* file = fopen("/proc/self/status", "r");
  while (fgets(text, sizeof text, file)) {}
  fclose(file), close(open("/dev/null", O_RDWR)), close(open("/dev/urandom", O_RDONLY)), close(open("/dev/tty", O_RDWR)), close(open("/proc/cpuinfo", O_RDONLY));
}

int main(void) {
  names(), changes(), processes(), given();
  return 0;
}

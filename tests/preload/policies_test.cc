// Processes under session policies: what they are told, by whatever way they ask, and that nothing is logged which is
// the same each time.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

constexpr char head[] = R"--(
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <signal.h>
#include <thread>
#include <time.h>
#include <unistd.h>
static long long at(clockid_t clock) { struct timespec now; clock_gettime(clock, &now); return now.tv_sec * 1000000000LL + now.tv_nsec; }
static struct timespec in(clockid_t clock, long long ms) { long long ns = at(clock) + ms * 1000000; return {ns / 1000000000, ns % 1000000000}; }
template <class T> T vdso(const char* name) { return (T)dlsym(dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD), name); }
static void show(const void* bytes, size_t count) { for (size_t i = 0; i < count; ++i) printf("%02x", ((const unsigned char*)bytes)[i]); puts(""); }
int main(int argc, char** argv) {
)--";

class Snippet {
 public:
  explicit Snippet(const std::string& body) : program_(programs_.compile("snippet", head + body + "\nreturn 0; }")) {}
  Outcome run(Session& session, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{program_};
    words.insert(words.end(), more.begin(), more.end());
    Outcome outcome = session.run(words);
    INFO(outcome.log());
    CHECK(outcome.exited_with(0));
    return outcome;
  }
  const std::string& program() const { return program_; }

 private:
  Programs programs_;
  std::string program_;
};

void stop_clock(Session& session, std::int64_t ns) {
  session.header().policies.clock = clock_fixed;
  session.header().policies.clock_ns = ns;
}
void start_clock(Session& session, std::int64_t ns) {
  session.header().policies.clock = clock_ticking;
  session.header().policies.clock_ns = ns;
}
void seed(Session& session, const std::string& text) {
  session.header().policies.random = random_seeded;
  text.copy(session.header().policies.random_seed, text.size());
}
void deny_network(Session& session) { session.header().policies.network = network_denied; }

bool is_silent(const Outcome& run) { return run.of(kind_clock).empty() && run.of(kind_random).empty() && run.of(kind_spoil).empty(); }

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> all;
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

}  // namespace

TEST_CASE("every way of asking for the date is told the one chosen, and nothing is logged") {
  Snippet snippet(R"--(
    struct timespec a{}; struct timeval b{}; long c = 0;
    for (clockid_t clock : {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI}) { clock_gettime(clock, &a); printf("%ld.%09ld\n", a.tv_sec, a.tv_nsec); }
    printf("%ld\n", time(&c)); printf("%ld\n", c);
    gettimeofday(&b, 0); printf("%ld.%06ld\n", b.tv_sec, b.tv_usec);
    timespec_get(&a, TIME_UTC); printf("%ld.%09ld\n", a.tv_sec, a.tv_nsec);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &a); printf("%ld.%09ld\n", a.tv_sec, a.tv_nsec);
    syscall(SYS_gettimeofday, &b, 0); printf("%ld.%06ld\n", b.tv_sec, b.tv_usec);
    printf("%ld\n", syscall(SYS_time, &c)); printf("%ld\n", c);
    vdso<int (*)(int, void*)>("__vdso_clock_gettime")(CLOCK_REALTIME, &a); printf("%ld.%09ld\n", a.tv_sec, a.tv_nsec);
    vdso<int (*)(void*, void*)>("__vdso_gettimeofday")(&b, 0); printf("%ld.%06ld\n", b.tv_sec, b.tv_usec);
    printf("%ld\n", vdso<long (*)(long*)>("__vdso_time")(&c)); printf("%ld\n", c);
    printf("%ld\n", ((long (*)(long*))dlsym(RTLD_NEXT, "time"))(0));
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, 16) != -1 || errno != EFAULT) return 1;
  )--");
  Session session;
  stop_clock(session, 1234567890'012345678);
  const auto run = snippet.run(session);
  INFO(run.log());
  for (const std::string& line : lines(run.output)) CHECK(std::string("1234567890.012345678").starts_with(line));
  CHECK(lines(run.output).size() == 16);
  CHECK(is_silent(run));
}

TEST_CASE("a ticking clock goes on with each look, from the start in each program") {
  Snippet snippet(R"--(
    for (int i = 0; i < 3; ++i) printf("%lld ", (long long)at(CLOCK_REALTIME) - 5000000000LL);
    if (fork() == 0) { printf("%lld ", (long long)at(CLOCK_REALTIME) - 5000000000LL); fflush(stdout); _exit(0); }
    wait(0);
    if (argc == 1) { fflush(stdout); execl(argv[0], argv[0], "again", (char*)0); }
  )--");
  Session session;
  start_clock(session, 5'000'000'000);
  const auto run = snippet.run(session);
  // The child has its parent's output in its own buffer.
  CHECK(run.output == "0 1000000 2000000 3000000 0 1000000 2000000 0 1000000 2000000 3000000 0 1000000 2000000 ");
  CHECK(is_silent(run));
}

TEST_CASE("a clock that two threads look at is not the same again, and that is logged") {
  Snippet snippet(R"--(
    time(0); std::thread([] { time(0); }).join();
  )--");
  Session ticking, still;
  start_clock(ticking, 5'000'000'000);
  CHECK(snippet.run(ticking).of(kind_clock).size() == 1);
  stop_clock(still, 5'000'000'000);
  CHECK(snippet.run(still).of(kind_clock).empty());
}

TEST_CASE("waits move a program's own time on by what they were to take") {
  Snippet snippet(R"--(
    long long before = at(CLOCK_MONOTONIC);
    auto passed = [&] { long long now = at(CLOCK_MONOTONIC), ns = now - before; before = now; printf("%lld ", ns / 1000); };
    passed();
    poll(0, 0, 7); passed();
    struct timeval limit{0, 5000}; select(0, 0, 0, 0, &limit); passed();
    struct timespec nap{0, 3000000}; nanosleep(&nap, 0); passed();
    ppoll(0, 0, &nap, 0); passed();
    int set = epoll_create1(0); epoll_event event; epoll_wait(set, &event, 1, 4); passed();
    struct timespec until = in(CLOCK_MONOTONIC, 6); clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0); passed();
    sigset_t none; sigemptyset(&none); sigtimedwait(&none, 0, &nap); passed();
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t condition = PTHREAD_COND_INITIALIZER; pthread_mutex_lock(&mutex);
    until = in(CLOCK_MONOTONIC, 8); if (pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT) return 1;
    passed();
    static sem_t semaphore; until = in(CLOCK_MONOTONIC, 9); if (sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until) == 0 || errno != ETIMEDOUT) return 2;
    passed();
  )--");
  Session session;
  stop_clock(session, 5'000'000'000);
  const auto run = snippet.run(session);
  CHECK(run.output == "1000 8000 6000 4000 4000 5000 7000 4000 9000 10000 ");
  CHECK(is_silent(run));
}

TEST_CASE("who waits until a moment of a chosen date waits as long as it is away") {
  // What really passes is told by the kernel's library, by whose way only the date is as chosen.
  Snippet snippet(R"--(
    auto really = [] { struct timespec now; vdso<int (*)(int, void*)>("__vdso_clock_gettime")(CLOCK_MONOTONIC, &now); return now.tv_sec * 1000LL + now.tv_nsec / 1000000; };
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t condition = PTHREAD_COND_INITIALIZER; static sem_t semaphore;
    long long before = really(); pthread_mutex_lock(&mutex);
    struct timespec until = in(CLOCK_REALTIME, 30);
    if (pthread_cond_timedwait(&condition, &mutex, &until) != ETIMEDOUT) return 1;
    if (really() - before < 29) return 2;
    before = really(); until = in(CLOCK_REALTIME, 30);
    if (sem_timedwait(&semaphore, &until) == 0 || errno != ETIMEDOUT || really() - before < 29) return 3;
    before = really(); until = in(CLOCK_REALTIME, 30);
    if (pthread_mutex_timedlock(&mutex, &until) != ETIMEDOUT || really() - before < 29) return 4;
    before = really(); until = in(CLOCK_REALTIME, 30);
    if (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, 0) || really() - before < 29) return 5;
    if (pthread_mutex_timedlock(&other, &until)) return 6;
    struct timespec over = {0, 0}; if (pthread_cond_timedwait(&condition, &mutex, &over) != ETIMEDOUT) return 7;
    struct timespec wrong = {0, -1}; if (pthread_cond_timedwait(&condition, &mutex, &wrong) != EINVAL || clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &wrong, 0) != EINVAL) return 8;
  )--");
  // Long ago, in a future that the test does not live to see, and ticking.
  for (const std::int64_t date : {5'000'000'000, 5'000'000'000'000'000'000}) {
    Session still, ticking;
    stop_clock(still, date);
    snippet.run(still);
    start_clock(ticking, date);
    snippet.run(ticking);
  }
}

TEST_CASE("under a chosen clock the load of the machine is not told, used time is, and that is logged") {
  Session session;
  stop_clock(session, 5'000'000'000);
  Snippet state("struct sysinfo told; if (sysinfo(&told) || told.loads[0] || told.freeram != told.totalram || told.procs != 1) return 1;");
  CHECK(is_silent(state.run(session)));
  CHECK(Snippet("at(CLOCK_PROCESS_CPUTIME_ID);").run(session).of(kind_clock).size() == 1);
}

TEST_CASE("random numbers by seed are the same in each run, by each way other ones, and not logged") {
  Snippet snippet(R"--(
    char bytes[16];
    getrandom(bytes, 16, 0); show(bytes, 16);
    getentropy(bytes, 16); show(bytes, 16);
    arc4random_buf(bytes, 16); show(bytes, 16);
    syscall(SYS_getrandom, bytes, 16, 0); show(bytes, 16);
    show((void*)getauxval(AT_RANDOM), 16);
    for (const char* name : {"/dev/urandom", "/dev/random"}) {
      int device = open(name, O_RDONLY); read(device, bytes, 16); show(bytes, 16);
      int again = dup(device); iovec pieces[2] = {{bytes, 3}, {bytes + 3, 13}}; readv(again, pieces, 2); show(bytes, 16);
      pread(device, bytes, 16, 0); show(bytes, 16);
      FILE* file = fdopen(device, "r"); fread(bytes, 16, 1, file); show(bytes, 16);
    }
    fflush(stdout);
    if (fork() == 0) { getrandom(bytes, 16, 0); show(bytes, 16); return 0; }
    wait(0);
    if (fork() == 0) { getrandom(bytes, 16, 0); show(bytes, 16); return 0; }
    wait(0);
    getrandom(bytes, 16, 0); show(bytes, 16);
    if (auto call = vdso<long (*)(void*, size_t, unsigned, void*, size_t)>("__vdso_getrandom")) if (call(bytes, 16, 0, 0, 0) != -ENOSYS) return 1;
    if (syscall(SYS_getrandom, 16, 16, 0) != -1 || errno != EFAULT) return 2;
  )--");
  std::string first, other;
  for (int round = 0; round < 2; ++round) {
    Session session, another;
    seed(session, "seed");
    seed(another, "see");
    const auto run = snippet.run(session);
    INFO(run.log());
    CHECK(is_silent(run));
    const auto all = lines(run.output);
    CHECK(all.size() == 16);
    CHECK(std::set<std::string>(all.begin(), all.end()).size() == all.size());
    if (round == 0) first = run.output;
    CHECK(run.output == first);
    CHECK(snippet.run(another).output != first);
  }
}

TEST_CASE("random numbers that two threads draw are not the same again, and that is logged") {
  Snippet snippet(R"--(
    static char bytes[16]; getrandom(bytes, 16, 0); std::thread([] { getrandom(bytes, 16, 0); }).join();
  )--");
  Session session;
  seed(session, "seed");
  CHECK(snippet.run(session).of(kind_random).size() == 1);
}

TEST_CASE("the same command executed twice by one process has other random numbers, and its record says so") {
  for (const std::string shell : {"/bin/sh", "/bin/bash"}) {
    std::string first;
    for (int round = 0; round < 2; ++round) {
      Session session;
      seed(session, "seed");
      const auto run = session.run({shell, "-c", "head -c 8 /dev/urandom; head -c 8 /dev/urandom; (head -c 8 /dev/urandom); x=$(head -c 8 /dev/urandom | od -An -tx1); y=$(head -c 8 /dev/urandom | od -An -tx1); echo $x; echo $y; head -c 8 < /dev/urandom"});
      INFO(run.log());
      CHECK(run.exited_with(0));
      if (round == 0) first = run.output;
      CHECK(run.output == first);
      std::set<std::uint64_t> starts;
      std::size_t execs = 0;
      for (const Event& event : run.of(kind_exec)) {
        if (event.words()[0].find("head") == std::string::npos) continue;
        ++execs;
        starts.insert(event.payload_as<ExecPayload>().random_start);
      }
      CHECK(execs == 6);
      CHECK(starts.size() == execs);
      CHECK(starts.count(0) == 0);
      CHECK(run.of(kind_random).empty());
    }
  }
  Session real;
  for (const Event& event : real.shell("true; /bin/true").of(kind_exec)) CHECK(event.payload_as<ExecPayload>().random_start == 0);
}

TEST_CASE("a host has the name chosen, all else of uname is real") {
  Snippet snippet(R"--(
    struct utsname all; uname(&all); char name[80]; gethostname(name, sizeof name); printf("%s %s %s", all.nodename, name, all.sysname);
  )--");
  Session session;
  std::string("zuse.example").copy(session.header().policies.host_name, 12);
  CHECK(snippet.run(session).output == "zuse.example zuse.example Linux");
}

TEST_CASE("a denied network is unreachable, sockets of the session's own are not, and refusals are not logged") {
  constexpr char network[] = R"--(
    sockaddr_in four{}; four.sin_family = AF_INET; four.sin_port = htons(9); four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 six{}; six.sin6_family = AF_INET6; six.sin6_port = htons(9); six.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    auto refused = [](int result) { return result == -1 && errno == ENETUNREACH; };
    int stream = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0), stream6 = socket(AF_INET6, SOCK_STREAM, 0);
    if (stream < 0 || datagrams < 0) return 1;
    if (!refused(connect(stream, (sockaddr*)&four, sizeof four)) || !refused(connect(datagrams, (sockaddr*)&four, sizeof four))) return 2;
    if (stream6 >= 0 && !refused(connect(stream6, (sockaddr*)&six, sizeof six))) return 3;
    if (!refused(sendto(datagrams, "x", 1, 0, (sockaddr*)&four, sizeof four))) return 4;
    four.sin_family = AF_UNSPEC; if (!refused(sendto(datagrams, "x", 1, 0, (sockaddr*)&four, sizeof four))) return 5;
    four.sin_family = AF_INET;
    iovec piece{(void*)"x", 1}; mmsghdr messages[1]{}; messages[0].msg_hdr.msg_name = &four; messages[0].msg_hdr.msg_namelen = sizeof four; messages[0].msg_hdr.msg_iov = &piece; messages[0].msg_hdr.msg_iovlen = 1;
    if (!refused(sendmsg(datagrams, &messages[0].msg_hdr, 0)) || !refused(sendmmsg(datagrams, messages, 1, 0))) return 6;
    if (!refused(listen(stream, 1))) return 7;
    four.sin_port = 0; if (!refused(bind(stream, (sockaddr*)&four, sizeof four))) return 8;
    if (connect(stream, (sockaddr*)16, sizeof four) != -1 || errno == 0) return 9;
    int pair[2]; if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send(pair[0], "x", 1, 0) != 1) return 10;
  )--";
  Session session;
  deny_network(session);
  const auto run = Snippet(network).run(session);
  INFO(run.log());
  CHECK(is_silent(run));

  Snippet unix_sockets(R"--(
    chdir(argv[1]);
    auto name = [](const char* path) { sockaddr_un place{}; place.sun_family = AF_UNIX; strcpy(place.sun_path, path); return place; };
    sockaddr_un own = name("own"), outside = name("outside"), nobody = name("nobody");
    int made = socket(AF_UNIX, SOCK_STREAM, 0), there = socket(AF_UNIX, SOCK_STREAM, 0);
    if (argc == 2 && (connect(there, (sockaddr*)&outside, sizeof outside) != -1 || errno != ECONNREFUSED)) return 1;
    if (connect(there, (sockaddr*)&nobody, sizeof nobody) != -1 || errno != ENOENT) return 2;
    if (argc == 2) return 0;
    if (bind(made, (sockaddr*)&own, sizeof own) || listen(made, 1)) return 3;
    if (fork() == 0) return connect(there, (sockaddr*)&own, sizeof own) ? 4 : 0;
    int status; wait(&status); return WEXITSTATUS(status);
  )--");
  scratch::Directory place;
  const int outside = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  place.at("outside").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(outside, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(outside, 1) == 0);
  const auto stranger = unix_sockets.run(session, {place.path()});
  CHECK(is_silent(stranger));
  CHECK(stranger.has(kind_access, "outside"));
  CHECK(stranger.find(kind_look, "nobody")->result == -ENOENT);
  CHECK(unix_sockets.run(session, {place.path(), "own"}).has(kind_spoil, "used the network or a socket"));
  ::close(outside);
}

TEST_CASE("of a denied network the addresses listed can be reached, and that is logged") {
  Snippet snippet(R"--(
    sockaddr_in four{}; four.sin_family = AF_INET; four.sin_port = htons(9); four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(stream, (sockaddr*)&four, sizeof four) != -1 || errno == ENETUNREACH) return 1;
    four.sin_port = htons(10); if (connect(stream, (sockaddr*)&four, sizeof four) != -1 || errno != ENETUNREACH) return 2;
    four.sin_port = htons(9); four.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); if (connect(stream, (sockaddr*)&four, sizeof four) != -1 || errno != ENETUNREACH) return 3;
  )--");
  Session session;
  deny_network(session);
  PolicyAddress& listed = session.header().policies.addresses[0];
  session.header().policies.address_count = 1;
  listed.port = htons(9);
  listed.address[10] = listed.address[11] = 0xff;
  listed.address[12] = 127;
  listed.address[15] = 1;
  CHECK(snippet.run(session).of(kind_spoil).size() == 1);
}

TEST_CASE("when the session is given up, its processes go on to be told what they were told before") {
  Snippet snippet(R"--(
    char name[300] = "/dev/shm/"; strcat(name, argv[1]);
    int file = open(name, O_RDWR); char* header = (char*)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (header == MAP_FAILED) return 1;
    *(unsigned*)(header + atoi(argv[2])) = atoi(argv[3]);
    access("/", R_OK);
    struct utsname all; uname(&all); printf("%s %ld %lld", all.nodename, (long)time(0), at(CLOCK_REALTIME));
  )--");
  Session session;
  stop_clock(session, 5'000'000'000);
  std::string("zuse").copy(session.header().policies.host_name, 4);
  const auto state_at = reinterpret_cast<char*>(&session.header().state) - session.region();
  const auto run = snippet.run(session, {session.name(), std::to_string(state_at), std::to_string(region_gone)});
  CHECK(run.output == "zuse 5 5000000000");
  CHECK(run.of(kind_exited).empty());
}

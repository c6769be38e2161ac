#include "broker/sandbox/tool_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "broker/control.h"
#include "broker/sandbox/sandbox.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "cache/sealed_bytes.h"

namespace broker::sandbox {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr int channel = 3;
constexpr char request_tag = 'T', ended_tag = 'E';

void put_texts(cache::SealedWriter& writer, const std::vector<std::string>& texts) {
  writer.count(texts.size());
  for (const std::string& text : texts) writer.text(text);
}

std::vector<std::string> take_texts(cache::SealedReader& reader) {
  std::vector<std::string> texts;
  for (std::size_t left = reader.count(4); left > 0; --left) texts.emplace_back(reader.text());
  return texts;
}

std::string encode(const ToolRequest& request) {
  cache::SealedWriter writer(request_tag);
  writer.text(request.cache_directory);
  writer.digest(request.tree);
  writer.text(request.directory);
  put_texts(writer, request.arguments);
  put_texts(writer, request.environment);
  writer.number(static_cast<std::uint8_t>(request.fresh));
  return std::move(writer).seal();
}

Result<ToolRequest> decode_request(std::string_view bytes) {
  cache::SealedReader reader = TRY(cache::SealedReader::open(bytes, request_tag, "a request for a tool"));
  ToolRequest request;
  request.cache_directory = reader.text();
  request.tree = reader.digest();
  request.directory = reader.text();
  request.arguments = take_texts(reader);
  request.environment = take_texts(reader);
  request.fresh = reader.number<std::uint8_t>() != 0;
  reader.expect(!request.arguments.empty());
  if (!reader.finished()) return reader.damaged();
  return request;
}

std::string encode(const Result<Ended>& ended) {
  cache::SealedWriter writer(ended_tag);
  writer.number(static_cast<std::uint8_t>(ended.has_value()));
  if (!ended) {
    writer.number(static_cast<std::int32_t>(ended.error().fault));
    writer.text(ended.error().message);
    return std::move(writer).seal();
  }
  writer.number(static_cast<std::int32_t>(ended->status));
  writer.text(ended->report);
  writer.digest(ended->after.digest);
  writer.count(ended->after.left_out.size());
  for (const tree::LeftOut& one : ended->after.left_out) {
    writer.text(one.path);
    writer.text(one.what);
  }
  return std::move(writer).seal();
}

Result<ToolEnded> decode_ended(std::string_view bytes) {
  if (bytes.empty()) return fail(Fault::io, "the process that runs tools has ended");
  cache::SealedReader reader = TRY(cache::SealedReader::open(bytes, ended_tag, "what became of a tool"));
  if (reader.number<std::uint8_t>() == 0) {
    const Fault fault{static_cast<Fault>(reader.number<std::int32_t>())};
    std::string message(reader.text());
    if (!reader.finished()) return reader.damaged();
    return fail(fault, std::move(message));
  }
  ToolEnded ended;
  ended.status = reader.number<std::int32_t>();
  ended.report = reader.text();
  ended.after = reader.digest();
  for (std::size_t left = reader.count(8); left > 0; --left) {
    tree::LeftOut& one = ended.left_out.emplace_back();
    one.path = reader.text();
    one.what = reader.text();
  }
  if (!reader.finished()) return reader.damaged();
  return ended;
}

}  // namespace

Result<ToolEnded> run_tool(const ToolRequest& request, int standard_input, int standard_output,
                           int standard_error) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(Fault::io, std::string("no socket: ") + std::strerror(errno));
  const OwnedFd own(away_from_standard(ends[0]));
  OwnedFd theirs(away_from_standard(ends[1]));
  // dup2() of a descriptor to itself would leave it closed on exec, and one may stand where another is to be.
  constexpr int count = 4;
  const int wanted[count] = {standard_input, standard_output, standard_error, theirs.get()};
  OwnedFd apart[count];
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  for (int fd = 0; fd < count; ++fd) {
    apart[fd] = OwnedFd(::fcntl(wanted[fd], F_DUPFD_CLOEXEC, 2 * count));
    if (apart[fd])
      ::posix_spawn_file_actions_adddup2(&files, apart[fd].get(), fd);
    else
      ::posix_spawn_file_actions_addclose(&files, fd);
  }
  char program[] = "vestal", word[] = "tool";
  char* const arguments[] = {program, word, nullptr};
  pid_t child = -1;
  const int failure = ::posix_spawn(&child, "/proc/self/exe", &files, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (failure != 0) return fail(Fault::io, std::string("no process for a tool: ") + std::strerror(failure));
  theirs.reset();
  apart[count - 1].reset();
  const std::string text = encode(request);
  // MSG_NOSIGNAL: it may be gone already, which shows in the answer.
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t sent = ::send(own.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(own.get(), SHUT_WR);
  const std::string answer = cache::read_all(own.get());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return decode_ended(answer);
}

int serve_tool() {
  // Whoever asked is gone, and nobody wants what the tool does any more.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The command is to inherit none of it.
  ::fcntl(channel, F_SETFD, FD_CLOEXEC);
  const auto serve = []() -> Result<Ended> {
    const ToolRequest request = TRY(decode_request(cache::read_all(channel)));
    Wanted wanted;
    wanted.tree = request.tree;
    wanted.directory = request.directory;
    wanted.environment = request.environment;
    wanted.options.fresh = request.fresh;
    wanted.options.policies = hermetic_policies({});
    wanted.options.need_needs([](const std::string&, int) { return std::nullopt; });
    std::vector<char*> arguments;
    for (const std::string& argument : request.arguments)
      arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    return run(request.cache_directory, arguments.data(), wanted);
  };
  return cache::write_all(channel, encode(serve())) ? 0 : 1;
}

}  // namespace broker::sandbox

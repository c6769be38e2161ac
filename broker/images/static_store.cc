#include "broker/images/static_store.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "broker/images/checksum.h"
#include "broker/images/image_file.h"
#include "broker/images/image_note.h"
#include "broker/images/linked_image.h"
#include "broker/images/patcher.h"
#include "broker/images/static_image.h"

namespace broker::images {
namespace {

constexpr std::string_view made_word = "made ", refused_word = "refused ";

Bytes bytes_of(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// A line that says what was made or why not, and one with the checksum of the first.
std::string sealed(const std::string& line) { return line + "\nsum " + sha256_hex(bytes_of(line)) + "\n"; }

Result<std::string> unseal(const std::string& path, const std::string& text) {
  const std::string line = text.substr(0, text.rfind("\nsum "));
  if (sealed(line) != text) return fail(Fault::corrupt, path + ": is damaged");
  return line;
}

// Somebody waits for an answer, and gives up after a minute (preload::answer_ms_max).
void wait_for(pid_t maker) {
  constexpr int step_us = 2000, steps_max = 40'000'000 / step_us;
  for (int step = 0; step < steps_max; ++step) {
    const pid_t ended = ::waitpid(maker, nullptr, WNOHANG);
    if (ended == maker || (ended < 0 && errno != EINTR)) return;
    ::usleep(step_us);
  }
  ::kill(maker, SIGKILL);
  while (::waitpid(maker, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

StaticStore::StaticStore(std::string directory, std::string shim_path, const WantedCalls& wanted)
    : directory_(std::move(directory)), shim_path_(std::move(shim_path)), wanted_(wanted) {}

Result<std::string> StaticStore::ready(const std::string& name) const {
  const std::string image = directory_ + "/" + name, note = image + ".note";
  const auto text = read_text(note);
  if (!text) return tl::unexpected(text.error());
  const auto unsealed = unseal(note, *text);
  if (!unsealed) return tl::unexpected(unsealed.error());
  const std::string& line = *unsealed;
  if (line.starts_with(refused_word)) return fail(Fault::unsupported, line.substr(refused_word.size()));
  if (!line.starts_with(made_word)) return fail(Fault::corrupt, note + ": is of another kind");
  // Fault::unsupported is for programs only.
  if (!check_image(image, line.substr(made_word.size()))) return fail(Fault::corrupt, image + ": has changed");
  if (::access(image.c_str(), X_OK) != 0) return fail(Fault::corrupt, image + ": may not be executed");
  return image;
}

// Those that another vestal made of the same program.
void StaticStore::remove_older(const std::string& beginning) const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error))
    if (entry.path().filename().native().starts_with(beginning)) std::filesystem::remove(entry.path(), error);
}

Result<std::vector<std::uint8_t>> StaticStore::build(const ElfFile& program, Kind kind) const {
  if (kind == Kind::linked) return build_linked_image(program, wanted_);
  const ElfFile shim = TRY(ElfFile::open(shim_path_));
  return build_static_image(program, shim, wanted_).map([](StaticProgramImage&& made) { return std::move(made.bytes); });
}

Result<bool> StaticStore::make(const std::string& path, const std::string& digest_hex, Kind kind, const std::string& name) const {
  const std::string image = directory_ + "/" + name;
  const ElfFile program = TRY(ElfFile::open(path));
  if (sha256_hex(program.bytes()) != digest_hex) return fail(Fault::changed, path + ": changes while it is looked at");
  std::string line;
  if (const auto made = build(program, kind)) {
    remove_older(name.substr(0, name.rfind('-') + 1));
    TRY(write_file(image, *made, 0700));
    line = std::string(made_word) + sum_of(*made);
  } else {
    // The same contents may have another name next time.
    std::string_view why = made.error().message;
    if (why.starts_with(path + ": ")) why.remove_prefix(path.size() + 2);
    line = std::string(refused_word).append(why);
  }
  return write_file(image + ".note", bytes_of(sealed(line)));
}

Result<std::string> StaticStore::image_of(const std::string& path, const std::string& digest_hex, Kind kind) const {
  const ElfFile shim = TRY(ElfFile::open(shim_path_));
  const std::string variant = sha256_hex(bytes_of(fmt::format("{} {} {}", images_version, wanted_.fingerprint_text(), sha256_hex(shim.bytes()))));
  const std::string name = fmt::format("{}-{}-{}", kind == Kind::linked ? "linked" : "static", digest_hex, variant.substr(0, 12));
  const std::string reason = path + (kind == Kind::linked ? ": made by Go, and cannot be rewritten: " : ": statically linked, and cannot be rewritten: ");
  auto found = ready(name);
  if (!found && found.error().fault == Fault::unsupported) found.error().message = reason + found.error().message;
  if (found || found.error().fault == Fault::unsupported) return found;
  // Taking a program apart needs several times its size, once: a process of its own pays for it.
  if (const pid_t maker = ::fork(); maker == 0) {
    ::_exit(make(path, digest_hex, kind, name) ? 0 : 1);
  } else if (maker > 0) {
    wait_for(maker);
  }
  found = ready(name);
  if (!found) found.error().message = reason + found.error().message;
  return found;
}

}  // namespace broker::images

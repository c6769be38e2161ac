// What comes over the broker's socket, and the note beside the system images: any bytes are a message or refused, at
// once, and a message that was sent arrives.
//
// Input: a byte that says which, then what the other side sends.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "broker/control.h"
#include "broker/images/checksum.h"
#include "broker/images/image_note.h"
#include "tests/fuzz/fuzz.h"

using namespace broker;

namespace {

struct Pair {
  cache::OwnedFd here, there;
  Pair() {
    int ends[2];
    fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "there is a pair of sockets");
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
};

std::string bytes_of_request(RequestKind kind, std::string_view body) {
  RequestHead head;
  head.kind = kind;
  head.bytes = static_cast<std::uint32_t>(body.size());
  return std::string(reinterpret_cast<const char*>(&head), sizeof head).append(body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  fuzz::Input input(bytes, count);
  const unsigned choice = input.byte();
  const std::string text(input.rest().substr(0, 60'000));
  switch (choice % 4) {
    case 0:
    case 1: {
      Pair pair;
      fuzz::require(::send(pair.there.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()), "the bytes are sent");
      pair.there.reset();
      if (choice % 4 == 0) {
        const auto request = receive_request(pair.here.get(), 1000);
        if (request) fuzz::require(request->head.magic == control_magic && request->body.size() == request->head.bytes && sizeof(RequestHead) + request->body.size() <= text.size(), "a request is what was sent");
        else fuzz::require(request.error().fault != cache::Fault::io, "nobody waits for what cannot come");
      } else {
        const auto reply = receive_reply(pair.here.get(), 1000);
        if (reply) fuzz::require(sizeof(ReplyHead) + reply->body.size() <= text.size(), "a reply is what was sent");
        else fuzz::require(reply.error().fault != cache::Fault::io, "nobody waits for what cannot come");
      }
      break;
    }
    case 2: {
      Pair pair;
      fuzz::require(send_request(pair.there.get(), RequestKind::why, {}, text).has_value(), "a request is sent");
      const auto request = receive_request(pair.here.get(), 1000);
      fuzz::require(request && request->body == text && request->head.kind == RequestKind::why, "a request arrives");
      break;
    }
    default: {
      std::string note = text;
      if (choice & 4) note += "sum " + images::sha256_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}) + "\n";
      const auto parsed = images::parse_note(note);
      if (!parsed) break;
      const auto again = images::parse_note(images::write_note(*parsed));
      fuzz::require(again && again->libc_file == parsed->libc_file && again->images.originals == parsed->images.originals && again->libc_was.size() == parsed->libc_was.size(), "a note comes back");
      break;
    }
  }
  return 0;
}

std::vector<std::string> seeds() {
  images::ImageNote note;
  note.images.libc_build_id = note.images.loader_build_id = "0123456789abcdef";
  note.libc_file = "libc-1.so.6";
  note.loader_file = "ld-1.so.2";
  note.libc_sum = note.loader_sum = "100 abcdef";
  note.libc_was = {{4096, {1, 2, 3}}};
  const std::string text = images::write_note(note);
  ReplyHead reply;
  reply.bytes = 3;
  SessionRequest session;
  return {'\0' + bytes_of_request(RequestKind::session, {reinterpret_cast<const char*>(&session), sizeof session}), '\0' + bytes_of_request(RequestKind::stats, {}),
          '\1' + std::string(reinterpret_cast<const char*>(&reply), sizeof reply) + "abc", "\2/src/main.o", '\3' + text, '\7' + text.substr(0, text.rfind("sum "))};
}

#include "broker/event_text.h"

#include <catch2/catch.hpp>

using broker::Event;
using broker::text_of;

TEST_CASE("an event is one line, and its texts are words of C: quotes and line feeds in them end nothing") {
  Event event;
  event.kind = preload::kind_rename;
  event.position = 7;
  event.pid = 12;
  event.text = "a\"b\\c";
  event.text2 = "line\nfeed";
  CHECK(text_of(event) == R"(7 12 rename result=0 arg=0x0 "a\042b\134c" "line\012feed")");
}

TEST_CASE("a long path is shown whole, of a stream only the beginning with the number of its bytes") {
  const std::string text(5000, 'x');
  Event event;
  event.kind = preload::kind_unlink;
  event.text = text;
  CHECK(text_of(event).find('"' + text + '"') != std::string::npos);
  event.kind = preload::kind_stream;
  CHECK(text_of(event) == "0 0 stream result=0 arg=0x0 bytes=5000 \"" + std::string(200, 'x') + '"');
}

TEST_CASE("of an exec event program, directory and arguments are shown, not what is known of variables") {
  preload::ExecPayload payload{};
  payload.argument_count = 2;
  using namespace std::string_view_literals;
  Event event;
  event.kind = preload::kind_exec;
  event.payload = {reinterpret_cast<const char*>(&payload), sizeof payload};
  event.text = "/bin/cat\0/tmp\0cat\0\0\1\2\3\4\5\6\7\10HOME\0"sv;
  CHECK(text_of(event) == R"(0 0 exec result=0 arg=0x0 "/bin/cat" "/tmp" "cat" "")");
}

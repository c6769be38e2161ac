// The decoder of the log: any bytes in the ring give events that are within bounds and as broker/session_region.h says,
// in ascending order, and end.
//
// Input: a byte that says how close to the ring's end the log begins, then units. Wherever the reader may look for a
// record next there is a stamp, as waiting for one takes a second.
#include "broker/log_reader.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "broker/event_text.h"
#include "tests/broker/shim_play.h"
#include "tests/fuzz/fuzz.h"

using namespace preload;

namespace {

char* region() {
  static char* const memory = static_cast<char*>(
      ::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return memory;
}

char* unit(std::uint64_t position) { return region() + ring_at + position % ring_units * unit_bytes; }

void check(const broker::Event& event) {
  fuzz::touch(event.payload);
  fuzz::touch(event.text);
  fuzz::touch(event.text2);
  if (event.lost || event.malformed) return;
  fuzz::require(event.kind > kind_filler && event.kind <= kind_flush, "the kind is a known one");
  fuzz::require(event.slot >= -1 && event.slot < static_cast<int>(slot_count), "the slot exists");
  fuzz::require(event.pid > 0, "the process has a number");
  fuzz::require(event.text2.find('\0') == event.text2.npos, "a text has no zero in it");
  fuzz::touch(broker::text_of(event));
  if (event.kind != kind_exec) return;
  const auto exec = event.payload_as<ExecPayload>();
  fuzz::require(exec.fd_count <= inherited_fd_max, "descriptors are as many as there is room for");
  std::size_t strings = 2;
  if (!(exec.flags & exec_too_big)) strings += exec.argument_count + std::size_t{exec.variable_count};
  fuzz::require(event.text.size() >= strings, "all strings of an exec are there");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  fuzz::Input input(bytes, count);
  const std::uint64_t begin = ring_units - input.byte() % 64;
  const std::string_view text = input.rest().substr(0, 64 << 10);
  const std::uint64_t units = (text.size() + unit_bytes - 1) / unit_bytes, end = begin + units;
  auto& header = *reinterpret_cast<RegionHeader*>(region());
  // The reader begins at 0, so a filler leads to where the log begins.
  for (std::uint64_t at = 0; at < begin;) {
    RecordHead filler{};
    filler.units = static_cast<std::uint32_t>(std::min<std::uint64_t>(record_units_max, begin - at));
    filler.stamp = stamp_of(at);
    std::memcpy(unit(at), &filler, std::min<std::size_t>(sizeof filler, filler.units * unit_bytes));
    at += filler.units;
  }
  header.head = begin;
  header.tail = 0;
  broker::LogReader reader(region());
  broker::Event event;
  reader.begin_pass();
  while (reader.next_event(event)) fuzz::require(false, "a filler is no event");

  for (std::uint64_t at = 0; at < units; ++at) {
    std::memset(unit(begin + at), 0, unit_bytes);
    std::memcpy(unit(begin + at), text.data() + at * unit_bytes, std::min<std::size_t>(unit_bytes, text.size() - at * unit_bytes));
  }
  for (std::uint64_t at = begin; at < end;) {
    std::uint32_t length;
    std::memcpy(&length, unit(at) + offsetof(RecordHead, units), sizeof length);
    const std::uint64_t stamp = stamp_of(at);
    std::memcpy(unit(at), &stamp, sizeof stamp);
    at += length >= 1 && length <= record_units_max && length <= end - at ? length : 1;
  }
  header.head = end;
  reader.begin_pass();
  std::uint64_t last = begin, events = 0;
  while (reader.next_event(event)) {
    if (!event.lost) {
      fuzz::require(events == 0 || event.position >= last, "events come in order");
      fuzz::require(event.position < end, "events are of this pass");
      last = event.position;
    }
    fuzz::require(++events <= 2 * units + 1, "there is an end");
    check(event);
  }
  fuzz::require(reader.at_end() && reader.position() == end, "everything has been read");
  return 0;
}

std::vector<std::string> seeds() {
  using shim_play::Record;
  auto as_input = [](const std::vector<Record>& records) {
    std::string input(1, '\5');
    for (const Record& record : records) {
      const RecordHead head = shim_play::Shim::head_of(record);
      std::string one = shim_play::bytes_of(head) + record.payload + record.text + record.text2;
      one.resize(head.units * std::size_t{unit_bytes});
      input += one;
    }
    return input;
  };
  ExecPayload exec{};
  exec.argument_count = 2;
  exec.variable_count = 1;
  exec.fd_count = 1;
  constexpr char text[] = "/bin/true\0/src\0true\0-x\0\1\2\3\4\5\6\7\10PATH\0";
  const std::string words(text, sizeof text - 1);
  const Record execs{.kind = kind_exec, .result = 0, .payload = shim_play::bytes_of(exec), .text = words};
  std::vector<Record> all{execs};
  for (int kind = kind_exec; kind <= kind_flush; ++kind) {
    Record record{.kind = static_cast<Kind>(kind), .slot = kind % 3 - 1, .payload = std::string(sizeof(StatPayload), '\1'), .text = "/a/b", .text2 = "/c"};
    if (kind != kind_exec) all.push_back(record);
  }
  return {as_input({execs}), as_input(all), as_input({{.kind = kind_look, .text = "/usr/include/stdio.h"}, {.kind = kind_filler}, execs, execs})};
}

// Reads the log of a session region: the ring, from tail to head, record by
// record. The units of protocol.h are its units, and so are its positions.
//
// A record is copied once and checked in the copy. Whoever wrote the ring may be
// broken or hostile and then gets no further than its own records:
//
// - a record that contradicts itself is Event::malformed;
// - a record whose stamp does not come within hole_ms_max, or that does not say
//   how long it is, is given up together with everything up to the next record
//   that is complete: Event::lost;
// - what stands later where a stamp did not come is given up as well: its writer, if it was only slow, may still come
//   and write over it;
// - a head that cannot be true ends the reading for good, and every further pass
//   is one Event::lost.
//
// What was read is wiped before its place is given back, so that a stamp found
// there in the next round can only have been written in that round.
//
// One thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>

#include "broker/session_region.h"
#include "preload/protocol.h"

namespace broker {

class LogReader {
 public:
  // `region`: the start of a mapped region of preload::region_bytes. It outlives the reader.
  explicit LogReader(char* region);

  void begin_pass();              // takes in what is there by now
  bool next_event(Event& event);  // false at the end of the pass
  bool at_end() const { return broken_ ? broken_told_ : position_ >= pass_position_; }
  bool broken() const { return broken_; }

  std::uint64_t pass_position() const { return pass_position_; }
  std::uint64_t position() const { return position_; }  // of the next record to be read

 private:
  std::uint64_t& stamp_at(std::uint64_t position) const;
  bool complete(std::uint64_t position) const;
  bool wait_until_complete(std::uint64_t position) const;
  bool doubtful(std::uint64_t position, std::uint64_t units) const;
  // Gives up the record at position_: goes on at the next one that is complete.
  void skip();
  // Moves position_ on, over units that are done with.
  void consume(std::uint64_t units);
  void publish_tail();
  // False if the record does not even tell its own length.
  bool copy_record(std::uint32_t& units);
  void check_record(std::uint32_t units, Event& event) const;

  preload::RegionHeader& header_;
  char* ring_;
  // Where everything before has been read, how far shims know that, and where this pass ends.
  std::uint64_t position_ = 0, published_ = 0, pass_position_ = 0;
  bool lost_ = false;    // to be told with the next call
  bool broken_ = false, broken_told_ = false;
  std::unique_ptr<char[]> copy_;  // of one record, whole units
  // Units of the ring whose writer did not come; none, mostly.
  std::unique_ptr<std::bitset<preload::ring_units>> overdue_;
};

}  // namespace broker

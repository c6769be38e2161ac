#include "broker/images/unwind_writer.h"

#include <initializer_list>

namespace broker::images {
namespace {

// DWARF call-frame and expression codes.
enum : std::uint8_t {
  cfa_nop = 0x00,
  cfa_advance_1 = 0x02,
  cfa_define = 0x0c,
  cfa_define_offset = 0x0e,
  cfa_value_expression = 0x16,
  cfa_offset_of_16 = 0x80 | 16,
  op_const_1 = 0x09,
  op_const_4 = 0x0d,
  op_and = 0x1a,
  op_plus = 0x22,
  op_base_register_16 = 0x80,
  register_7_is_rsp = 7,
  column_16_is_return = 16,
};

class Writer {
 public:
  explicit Writer(std::uint64_t vaddr) : vaddr_(vaddr) {}
  std::uint64_t here() const { return vaddr_ + bytes_.size(); }
  std::size_t size() const { return bytes_.size(); }
  void put(std::initializer_list<int> bytes) {
    for (const int byte : bytes) bytes_.push_back(static_cast<std::uint8_t>(byte));
  }
  void put_4(std::uint64_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  void put_unsigned_leb(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::uint8_t>(value | 0x80));
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void set_4(std::size_t at, std::uint64_t value) {
    for (int i = 0; i < 4; ++i) bytes_[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  void resize(std::size_t size) { bytes_.resize(size); }
  // A CIE or FDE starts with its own length, known at its end.
  std::size_t begin_entry() {
    put_4(0);
    return size();
  }
  void end_entry(std::size_t begin) {
    while ((size() - begin + 4) % 8 != 0) put({cfa_nop});
    set_4(begin - 4, size() - begin);
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::uint64_t vaddr_;
  std::vector<std::uint8_t> bytes_;
};

// Version 1, "zR" with pc-relative addresses; on entry the caller's rsp is
// rsp + 8 and the return address lies just below it.
std::uint64_t put_cie(Writer& out) {
  const std::uint64_t vaddr = out.here();
  const std::size_t begin = out.begin_entry();
  out.put_4(0);
  out.put({1, 'z', 'R', 0, 1, 0x78, column_16_is_return, 1, 0x1b});
  out.put({cfa_define, register_7_is_rsp, 8, cfa_offset_of_16, 1});
  out.end_entry(begin);
  return vaddr;
}

std::uint64_t put_fde(Writer& out, std::uint64_t cie, const StubUnwind& stub) {
  const std::uint64_t vaddr = out.here();
  const std::size_t begin = out.begin_entry();
  out.put_4(out.here() - cie);
  out.put_4(stub.start - out.here());
  out.put_4(stub.size);
  out.put({0});  // no augmentation data
  if (stub.site_end) {
    const std::uint64_t block = stub.start & ~(stub_block_bytes - 1);
    out.put({cfa_value_expression, column_16_is_return, 11});
    out.put({op_base_register_16, 0, op_const_1, -static_cast<int>(stub_block_bytes), op_and, op_const_4});
    out.put_4(stub.site_end - block);
    out.put({op_plus});
  }
  std::uint8_t offset = 0;
  for (const StubUnwind::Row& row : stub.rows) {
    if (row.offset != offset) out.put({cfa_advance_1, row.offset - offset});
    offset = row.offset;
    out.put({cfa_define_offset});
    out.put_unsigned_leb(static_cast<std::uint64_t>(row.caller_stack));
  }
  out.end_entry(begin);
  return vaddr;
}

}  // namespace

UnwindTables write_unwind_tables(const FunctionTable& functions, const std::vector<StubUnwind>& stubs, std::uint64_t vaddr) {
  UnwindTables tables;
  const std::size_t count = functions.size() + stubs.size();
  tables.header_bytes = 12 + count * 8;
  Writer out(vaddr);
  out.put({1, 0x1b, 0x03, 0x3b});  // version; encodings, see function_table.cc
  out.put_4(functions.frames_vaddr() - (vaddr + 4));
  out.put_4(count);
  for (std::size_t i = 0; i < functions.size(); ++i) {
    out.put_4(functions.start(i) - vaddr);
    out.put_4(functions.description(i) - vaddr);
  }
  const std::size_t own_entries = out.size();
  out.resize(round_up(tables.header_bytes, 8));
  const std::uint64_t cie = put_cie(out);
  for (std::size_t i = 0; i < stubs.size(); ++i) {
    const std::uint64_t fde = put_fde(out, cie, stubs[i]);
    out.set_4(own_entries + i * 8, stubs[i].start - vaddr);
    out.set_4(own_entries + i * 8 + 4, fde - vaddr);
  }
  out.put_4(0);  // the end of the list
  tables.bytes = out.take();
  return tables;
}

}  // namespace broker::images

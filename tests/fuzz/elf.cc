// The ELF analyser: any file is analysed or refused, and nothing outside of it is read.
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "broker/images/analysis.h"
#include "broker/images/code_survey.h"
#include "broker/images/elf_file.h"
#include "broker/images/function_table.h"
#include "broker/images/raw_calls.h"
#include "tests/fuzz/fuzz.h"

using namespace broker::images;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static const int file = ::memfd_create("elf", MFD_CLOEXEC);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, bytes, count, 0) != static_cast<ssize_t>(count)) return 0;
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const auto analysis = analyse(path);
  if (analysis) {
    fuzz::touch(analysis->reason);
    fuzz::touch(analysis->interpreter);
  }
  fuzz::touch(parse_script({reinterpret_cast<const char*>(bytes), std::min<std::size_t>(count, 256)}).interpreter);
  const auto elf = ElfFile::open(path);
  if (!elf) return 0;
  for (const CodeRange& code : elf->code()) fuzz::touch({reinterpret_cast<const char*>(code.code.data()), code.code.size()});
  if (const auto functions = elf->exported_functions()) {
    for (const ExportedFunction& function : *functions) fuzz::touch(function.name);
  }
  fuzz::touch(elf->build_id());
  fuzz::touch(elf->interpreter());
  const FunctionTable functions = FunctionTable::read(*elf);
  for (std::size_t i = 0; i < functions.size() && i < 1000; ++i) {
    if (const auto range = functions.at(i)) (void)functions.covering(range->start);
    (void)functions.description(i);
  }
  fuzz::touch(find_raw_calls(*elf).first);
  (void)CodeSurvey::make(*elf);
  return 0;
}

std::vector<std::string> seeds() {
  std::vector<std::string> all{"#!/bin/sh -e\necho hi\n"};
  for (const char* path : {"/bin/true", "/usr/bin/true", "/lib/x86_64-linux-gnu/libdl.so.2", "/lib/x86_64-linux-gnu/libutil.so.1"}) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    if (!bytes.empty()) all.push_back(std::move(bytes));
  }
  return all;
}

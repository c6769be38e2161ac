// Variables asked for by name.
#include "preload/handlers.h"
#include "preload/log_ring.h"

namespace preload {
namespace {

void note_variable(const char* name) {
  if (!load(state.attached)) return;
  constexpr size_t bytes_max = 4096;  // of what is logged
  size_t bytes = length_of(name);
  if (bytes > bytes_max) bytes = bytes_max;
  if (seen(quick_hash(name, bytes, kind_getenv))) return;
  LogRecord record;
  record.kind = kind_getenv;
  record.text = Text::of(name, bytes);
  append(record);
}

}  // namespace

char* vestal_hook_getenv(const char* name) {
  note_variable(name);
  return reinterpret_cast<char* (*)(const char*)>(state.originals[slot_getenv])(name);
}

char* vestal_hook_secure_getenv(const char* name) {
  note_variable(name);
  return reinterpret_cast<char* (*)(const char*)>(state.originals[slot_secure_getenv])(name);
}

}  // namespace preload

// Variables asked for by name.
#include "preload/env_guard.h"
#include "preload/handlers.h"
#include "preload/log_ring.h"

// libc's, or the program's own copy of it, by ld.so.
extern "C" __attribute__((weak, visibility("default"))) char** environ;

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

// The array is still the one whose texts are guarded. A name is then looked for in the texts themselves.
bool is_guarded() { return state.guard_bytes && &environ && environ == state.environment; }

char* find(const char* name) {
  const size_t bytes = length_of(name);
  if (bytes == 0) return nullptr;
  for (char** each = environ; *each; ++each) {
    char* text = unguarded(*each);
    size_t at = 0;
    while (at < bytes && text[at] == name[at]) ++at;
    if (at == bytes && text[at] == '=') return text + at + 1;
  }
  return nullptr;
}

}  // namespace

char* vestal_hook_getenv(const char* name) {
  note_variable(name);
  if (is_guarded()) return find(name);
  return reinterpret_cast<char* (*)(const char*)>(state.originals[slot_getenv])(name);
}

char* vestal_hook_secure_getenv(const char* name) {
  note_variable(name);
  // No session's program has more rights than its user.
  if (is_guarded()) return find(name);
  return reinterpret_cast<char* (*)(const char*)>(state.originals[slot_secure_getenv])(name);
}

}  // namespace preload

// What is logged about descriptors.
#pragma once

#include "preload/log_ring.h"

#pragma GCC visibility push(hidden)

namespace preload {

// The class, after a look at whether it is one of make's token pipes.
FdClass examined_class(int fd);

// False: it is not open. `info` is what fstat says.
bool describe(int fd, FdPayload& payload, struct stat& info);

// Whether kind_fd_read has been logged of this regular file, and that it has now.
bool reading_is_noted(int fd, const struct stat& info);

// The program has asked for `info` about the descriptor.
void note_fstat(int fd, const struct stat& info);
// The program has learnt something about an inherited descriptor; logged once per FdQuestion.
void note_question(int fd, int question);

// The program was told that it is not open, which may be of another's making.
void note_closed(int fd);
// The program has used the name of a descriptor, /dev/fd/3 say, and that is not open. False: it is not that, or cannot be told so.
bool note_closed_name(const char* path, long result);

// A descriptor made by the program. `pending`: pending_index() + 1 if contents come through it, or 0.
void opened(int fd, FdClass fd_class, uint16_t pending);
// Before it is closed: forgets it. Returns what was given as `pending`.
uint16_t closing(int fd);
// After it has been closed.
void closed(uint16_t pending);
// Before all are closed by the end of the program.
void closing_all();

}  // namespace preload

#pragma GCC visibility pop

// Making the changes of a replay from its redo log, by the broker and, if that is killed, by the shim that waits.
//
// Redo in the sense of write-ahead logging (Gray and Reuter, "Transaction Processing", 1993, chapter 10): all changes
// are written down before the first is made; making one that has been made already leaves things as they are. So it is
// enough to know how far somebody came, give or take one.
//
// No errno, no memory but the stack; for shim and broker alike. Whoever makes changes is the only one at that time.
#pragma once

#include "preload/protocol.h"

namespace preload {

// Makes one change. 0, or -errno; -EEXIST: something else is in its place, and is left there. `in_doubt`: perhaps
// it has been made before.
long redo(RedoLog& log, RedoEntry& entry, bool in_doubt);

// The entry that begins so many bytes behind the first.
inline RedoEntry& redo_entry(RedoLog& log, uint32_t at) { return *reinterpret_cast<RedoEntry*>(reinterpret_cast<char*>(&log + 1) + at); }

// After the one who was at it has died: makes what has not been made yet of what is committed. False if something could not be made.
bool redo_rest(RedoLog& log);
// Removes the private files of what is not committed.
void undo(RedoLog& log);

}  // namespace preload

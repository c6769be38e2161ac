// Work done in a process of its own, from which nothing comes back but what it says: checks may end in ways that no caller could
// go on after, or not at all.
//
// One thread: the process that asks forks.
#pragma once

#include <signal.h>

#include <functional>
#include <string>

namespace broker::doctor {

// Signals that ask this process to end are put off, so that whatever has been made can be removed before.
class EndLater {
 public:
  EndLater();
  ~EndLater();  // and now it ends, if one has come
  EndLater(const EndLater&) = delete;
  EndLater& operator=(const EndLater&) = delete;
  static const sigset_t& put_off();
};

struct Told {
  bool ended = false;  // by itself, in time
  int status = 0;      // as wait(2) has it
  std::string out, err, words;
};

// `work` has /dev/null as its standard input, may write to `words`, and returns an exit status. What has not ended in time is killed
// with all that it has started, and so is what somebody waits for who wants this process to end.
Told in_child(const std::function<int(int words)>& work);

}  // namespace broker::doctor

// What execvp would execute.
#pragma once

#include <string>

namespace broker {

struct FoundProgram {
  // As execvp would pass it to execve, which a script sees as its own name; empty if there is none.
  std::string path;
  int error = 0;     // then: ENOENT, EACCES, ...
  std::string message;  // the same as the shell would say it
};

// A name with a slash is a path; others are searched for in $PATH, where an empty element is the working directory.
FoundProgram find_program(const std::string& name);

}  // namespace broker

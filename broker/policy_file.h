// Policy rows as people write them: TOML, in broker/policy.toml and in the
// user's configuration files. Only its .cc knows toml++.
//
//   summary = true                        single values, in front of all rows
//
//   [[policy]]
//   programs = ["/opt/tools/bin/gen*"]    patterns of absolute paths; "./tools/gen" is below the file's own directory
//   ignores = ["times", "fstat"]          words of policy_words()
//   reason = "..."                        why it cannot reach the output; a row without is an error
//   environment = "getenv"                or "whole", the default; "text" with language = "shell"
//   language = "shell"                    "awk", "perl", "python": what it runs is looked through
//   before_script.options = "EsSu"        options without a value; the first other argument is the script
//   before_script.ignores = ["clocks"]    words for clocks and random numbers: ignored until the script is opened
//   makes_new_files = true                it removes an output that is there before it opens it to read and write, unless that is empty
//   waits = true                          time is what it is run for
//   only_with = ["--omit-header"]         the row holds only with one of these arguments
//   strict.letters, strict.words          arguments that bring back everything of stat, clocks and random numbers,
//   strict.bundle = true                  the first argument has such letters even without a dash,
//   strict.keeps = ["clocks", "random"]   but for these
//   test = "..."                          the test that shows it
//
// In policy.toml `programs` are names of files, in `places` of the row's own or of the table's, and every row has a test.
//
// Whatever is wrong is an error that begins with file:line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "broker/policy_table.h"
#include "cache/base/result.h"

namespace broker {

struct PolicyWord {
  const char* word;
  const char* meaning;
};
std::span<const PolicyWord> policy_words();

// `path` is the file's own, absolute. Single values beside the rows (broker/setting_keys.h) are added to `settings`, if that is not null.
struct FileSetting;
cache::Result<std::vector<PolicyRow>> read_policy(const std::string& text, const std::string& path, std::vector<FileSetting>* settings = nullptr);

std::vector<PolicyRow> read_shipped_policy();

}  // namespace broker

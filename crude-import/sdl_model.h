// An imported root as a model in Vesta's System Description Language: it brings in
// the root with a `files` clause and runs the command in it (`vestal build`).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cache/base/result.h"

namespace crude_import {

struct ModelOfCommand {
  std::string root;  // a directory beside the model
  std::vector<std::string> arguments;
  std::string directory;  // where it ran, absolute
  std::vector<std::pair<std::string, std::string>> variables;
};

// The text of the model.
std::string model_text(const ModelOfCommand& command);
// Replaces `file`.
cache::Result<bool> write_model(const ModelOfCommand& command, const std::string& file);

}  // namespace crude_import

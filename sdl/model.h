// Models: files of the language, and what their clauses bring in. Spec: 5.3.
//
// A Model is named by the path of its file, which is there; it is read and parsed
// when it is first called, so an import that is not used costs a look at the
// directory. Models of one path are one object, which lives as long as its loader.
// Any thread may use both.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/diagnostic.h"
#include "sdl/model_files.h"
#include "sdl/source.h"
#include "sdl/syntax.h"

namespace sdl {

class Model {
 public:
  Model(std::string path, ModelFiles& files) : path_(std::move(path)), files_(files) {}

  const std::string& path() const { return path_; }
  std::string directory() const { return path_.substr(0, path_.rfind('/')); }

  // Reads and parses it the first time. What is wrong with it is told each time, what it is warned of once.
  // Null: there are errors, at least one.
  const Syntax* syntax(std::vector<Diagnostic>& found) const;
  // The same, without telling anything.
  const Syntax* quiet_syntax() const;
  bool has_warnings() const;  // whether there were any, told or not
  // After that.
  const Source& source() const { return *source_; }
  cache::Digest digest()
      const;  // of its file; reads it if need be, and is that of no bytes if it cannot be read

 private:
  friend class ModelLoader;
  void read() const;

  const std::string path_;
  ModelFiles& files_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<Source> source_;
  mutable std::unique_ptr<Syntax> syntax_;
  mutable std::vector<Diagnostic> errors_, warnings_;
  mutable bool has_warnings_ = false;
  mutable std::mutex mutex_;  // of what follows, and of warnings_
  mutable std::optional<std::vector<Value>> clause_values_;
};

class ModelLoader {
 public:
  // Absolute paths in models have to lie in `repository`; if it is empty there can be none.
  explicit ModelLoader(ModelFiles& files, std::string repository = {})
      : files_(files), repository_(std::move(repository)) {}

  // The file is there; nobody looks again.
  const Model& model(const std::string& path);

  // What an import of that path means: a directory stands for its build.ves, and ".ves" is added where it is
  // missing.
  cache::Result<const Model*> imported(const std::string& directory, bool is_absolute,
                                       std::span<const std::string_view> arcs);

  // The values of the model's files and imports, in the order of their slots; kept for the next call. Null,
  // and diagnostics: something is missing. The model has been parsed without errors.
  const std::vector<Value>* clause_values(const Model& model, std::vector<Diagnostic>& found);
  // The same of any model. Null: it cannot be called. Tells nothing.
  const std::vector<Value>* parts(const Model& model);
  // A digest of all that the model can bring in; nothing: that is not known.
  std::optional<cache::Digest> surroundings(const Model& model);

 private:
  // The path that the arcs lead to; no part but perhaps the last is a symbolic link.
  cache::Result<std::string> walk(const std::string& directory, bool is_absolute,
                                  std::span<const std::string_view> arcs, ModelFiles::Type& type);
  cache::Result<Value> file_value(const std::string& path, ModelFiles::Type type, unsigned depth);
  cache::Result<Value> path_value(const Model& model, const ClausePath& path, bool is_import);
  std::optional<Value> item_value(const Model& model, const ClauseItem& item, bool is_import,
                                  std::vector<Diagnostic>& found);

  ModelFiles& files_;
  const std::string repository_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<Model>> models_;
};

}  // namespace sdl

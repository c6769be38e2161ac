#include "sdl/model.h"

#include <fmt/format.h>

#include "sdl/binding.h"
#include "sdl/closure.h"
#include "sdl/list.h"
#include "sdl/parser.h"
#include "sdl/resolver.h"
#include "sdl/text.h"
#include "sdl/timings.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::string_view suffix = ".ves";
constexpr unsigned directory_depth_max = 256;  // paths are not longer

bool has_error(const std::vector<Diagnostic>& found) {
  for (const Diagnostic& each : found)
    if (each.severity == Severity::error) return true;
  return false;
}

}  // namespace

void Model::read() const {
  const Timed parsing(Activity::parse);
  const auto cannot = [&](const std::string& message) {
    source_ = std::make_unique<Source>(path_, std::string());
    errors_.push_back(diagnose(Severity::error, *source_, 0, "cannot read the model: " + message));
  };
  const auto file = files_.file(path_);
  if (!file) return cannot(file.error().message);
  const auto bytes = (*file)->bytes();
  if (!bytes) return cannot(bytes.error().message);
  if (bytes->size() > Source::bytes_max) return cannot("it is larger than 4 GiB");
  source_ = std::make_unique<Source>(path_, std::string(*bytes));
  std::vector<Diagnostic> found;
  std::unique_ptr<Syntax> syntax = parse(*source_, found);
  if (!has_error(found)) resolve(*syntax, *source_, found);
  if (!has_error(found)) syntax_ = std::move(syntax);
  for (const Diagnostic& each : found) has_warnings_ = has_warnings_ || each.severity == Severity::warning;
  for (Diagnostic& each : found)
    (each.severity == Severity::error ? errors_ : warnings_).push_back(std::move(each));
}

const Syntax* Model::syntax(std::vector<Diagnostic>& found) const {
  std::call_once(once_, [this] { read(); });
  const std::lock_guard lock(mutex_);
  for (Diagnostic& warning : warnings_) found.push_back(std::move(warning));
  warnings_.clear();
  if (!syntax_) found.insert(found.end(), errors_.begin(), errors_.end());
  return syntax_.get();
}

const Syntax* Model::quiet_syntax() const {
  std::call_once(once_, [this] { read(); });
  return syntax_.get();
}

bool Model::has_warnings() const {
  std::call_once(once_, [this] { read(); });
  return has_warnings_;
}

cache::Digest Model::digest() const {
  std::call_once(once_, [this] { read(); });
  return cache::digest_of(source_->text());
}

const Model& ModelLoader::model(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Model>& model = models_[path];
  if (!model) model = std::make_unique<Model>(path, files_);
  return *model;
}

Result<std::string> ModelLoader::walk(const std::string& directory, bool is_absolute,
                                      std::span<const std::string_view> arcs, ModelFiles::Type& type) {
  std::string path = is_absolute ? std::string() : directory;
  type = ModelFiles::Type::directory;
  for (const std::string_view arc : arcs) {
    if (arc.empty()) continue;
    if (type == ModelFiles::Type::missing)
      return fail(Fault::not_found, fmt::format("{} does not exist", path));
    if (type == ModelFiles::Type::link)
      return fail(Fault::invalid, fmt::format("{} is a symbolic link, which is not followed", path));
    if (type != ModelFiles::Type::directory)
      return fail(Fault::not_found, fmt::format("{} is no directory", path));
    path += '/';
    path += arc;
    type = TRY(files_.type(path));
  }
  if (is_absolute &&
      (repository_.empty() || (repository_ != "/" && !(path + "/").starts_with(repository_ + "/"))))
    return fail(Fault::invalid, fmt::format("{} is not in {}", path,
                                            repository_.empty() ? "a repository, for none has been named"
                                                                : "the repository " + repository_));
  return path;
}

Result<const Model*> ModelLoader::imported(const std::string& directory, bool is_absolute,
                                           std::span<const std::string_view> arcs) {
  ModelFiles::Type type;
  std::string path = TRY(walk(directory, is_absolute, arcs, type));
  if (type == ModelFiles::Type::directory)
    path += "/build.ves";
  else if (!path.ends_with(suffix))
    path += suffix;
  type = TRY(files_.type(path));
  switch (type) {
    case ModelFiles::Type::file:
      return &model(path);
    case ModelFiles::Type::missing:
      return fail(Fault::not_found, fmt::format("there is no model {}", path));
    case ModelFiles::Type::link:
      return fail(Fault::invalid, fmt::format("{} is a symbolic link, which is not followed", path));
    default:
      return fail(Fault::invalid, fmt::format("{} is no file", path));
  }
}

Result<Value> ModelLoader::file_value(const std::string& path, ModelFiles::Type type, unsigned depth) {
  switch (type) {
    case ModelFiles::Type::file:
      return make_stored_text(TRY(files_.file(path)));
    case ModelFiles::Type::missing:
      return fail(Fault::not_found, fmt::format("{} does not exist", path));
    case ModelFiles::Type::other:
      return fail(Fault::invalid, fmt::format("{} is neither a file nor a directory", path));
    case ModelFiles::Type::link: {
      Value target = make_text(TRY(files_.target(path)));
      return make_list({&target, 1});
    }
    case ModelFiles::Type::directory:
      break;
  }
  if (depth > directory_depth_max)
    return fail(Fault::unsupported, fmt::format("{} is nested too deeply", path));
  const std::vector<std::string> names = TRY(files_.names(path));
  BindingBuilder entries(names.size());
  for (const std::string& name : names) {
    const std::string entry = path + '/' + name;
    entries.add(make_text(name), TRY(file_value(entry, TRY(files_.type(entry)), depth + 1)));
  }
  return entries.finish();
}

Result<Value> ModelLoader::path_value(const Model& model, const ClausePath& path, bool is_import) {
  if (is_import) return make_model_closure(*TRY(imported(model.directory(), path.is_absolute, path.arcs)));
  ModelFiles::Type type;
  const std::string found = TRY(walk(model.directory(), path.is_absolute, path.arcs, type));
  return file_value(found, type, 0);
}

std::optional<Value> ModelLoader::item_value(const Model& model, const ClauseItem& item, bool is_import,
                                             std::vector<Diagnostic>& found) {
  BindingBuilder group(item.paths.size());
  for (const ClausePath& path : item.paths) {
    auto value = path_value(model, path, is_import);
    if (!value) {
      found.push_back(diagnose(Severity::error, model.source(), path.at, value.error().message));
      return std::nullopt;
    }
    if (!item.is_group) return std::move(*value);
    group.add(make_text(path.name), std::move(*value));
  }
  return group.finish();
}

const std::vector<Value>* ModelLoader::clause_values(const Model& model, std::vector<Diagnostic>& found) {
  const std::lock_guard lock(model.mutex_);
  if (model.clause_values_) return &*model.clause_values_;
  const Timed bringing_in(Activity::bring_in);
  std::vector<Value> values;
  bool good = true;
  for (const std::span<const ClauseItem> items : {std::span<const ClauseItem>(model.syntax_->files),
                                                  std::span<const ClauseItem>(model.syntax_->imports)}) {
    for (const ClauseItem& item : items) {
      auto value = item_value(model, item, items.data() == model.syntax_->imports.data(), found);
      if (value)
        values.push_back(std::move(*value));
      else
        good = false;
    }
  }
  if (!good) return nullptr;
  return &model.clause_values_.emplace(std::move(values));
}

const std::vector<Value>* ModelLoader::parts(const Model& model) {
  std::vector<Diagnostic> nobody_asks;
  return model.quiet_syntax() ? clause_values(model, nobody_asks) : nullptr;
}

std::optional<cache::Digest> ModelLoader::surroundings(const Model& model) {
  const auto tree = files_.tree(model.directory());
  const auto repository = repository_.empty() ? std::optional(cache::Digest()) : repository_ == "/" ? files_.absolute_trees() : files_.tree(repository_);
  if (!tree || !repository) return std::nullopt;
  cache::Hasher hasher;
  hasher.add_piece(tree->view());
  hasher.add_piece(repository_);
  hasher.add_piece(repository->view());
  return hasher.finish();
}

}  // namespace sdl

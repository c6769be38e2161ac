#include "sdl/printer.h"

#include <vector>

#include <fmt/format.h>

#include "sdl/access.h"
#include "sdl/canonical.h"
#include "sdl/closure.h"
#include "sdl/lexer.h"
#include "sdl/model.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

// A list, a binding or a function's context, with how far it has been printed.
struct Open {
  Value value;
  std::uint32_t next;
  std::uint32_t count;
};

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  std::string run(const Value& first) {
    one(first);
    while (!open_.empty()) {
      if (text_.size() > options_.bytes_max) return text_ + "...";
      Open& now = open_.back();
      if (now.next == now.count) {
        text_ += now.value.is_list() ? " >" : " ]";
        open_.pop_back();
        continue;
      }
      if (now.next > 0) text_ += ", ";
      component(now, now.next++);
    }
    return std::move(text_);
  }

 private:
  void component(const Open& now, std::uint32_t index) {
    // `now` may move when something is opened.
    if (now.value.is_list()) return one(element(now.value, index));
    if (now.value.is_binding()) {
      name(view_of(name_at(now.value, index)));
      return one(value_at(now.value, index));
    }
    const ClosureObject& closure = closure_of(now.value);
    name(closure.function->captures[index].name);
    one(closure.captured()[index]);
  }

  void name(std::string_view name) {
    text_ += is_identifier(name) ? std::string(name) : quoted(name);
    text_ += '=';
  }

  void one(const Value& value) {
    switch (value.kind()) {
      case Kind::boolean:
        text_ += value.as_boolean() ? "TRUE" : "FALSE";
        return;
      case Kind::integer:
        text_ += fmt::format("{}", value.as_integer());
        return;
      case Kind::text:
        return text(value);
      case Kind::list:
        text_ += "< ";
        open_.push_back({value, 0, length(value)});
        return;
      case Kind::binding:
        text_ += "[ ";
        open_.push_back({value, 0, length(value)});
        return;
      case Kind::closure:
        return closure(value);
      case Kind::unbound:
        text_ += "<unbound>";
        return;
      default:
        text_ += "ERR";
        return;
    }
  }

  void text(const Value& value) {
    const StoredText* const stored = stored_text(value);
    if (stored && !options_.verbose) {
      text_ += fmt::format("<file {}>", stored->name());
      return;
    }
    const auto bytes = text_bytes(value);
    text_ += bytes ? quoted(*bytes) : fmt::format("<file {}: {}>", stored->name(), bytes.error().message);
  }

  void closure(const Value& value) {
    const ClosureObject& closure = closure_of(value);
    if (closure.is_model()) {
      text_ += fmt::format("<Model {}>", closure.model->path());
    } else if (!closure.function || !options_.verbose) {
      text_ += "<Closure>";
    } else {
      text_ += fmt::format("<Closure {}> in [ ", canonical_form(*closure.function));
      open_.push_back({value, 0, closure.captured_count});
    }
  }

  const PrintOptions options_;
  std::string text_;
  std::vector<Open> open_;
};

}  // namespace

std::string printed(const Value& value, const PrintOptions& options) { return Printer(options).run(value); }

std::string quoted(std::string_view bytes) {
  std::string text = "\"";
  for (const char byte : bytes) {
    switch (byte) {
      case '\n':
        text += "\\n";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\v':
        text += "\\v";
        break;
      case '\b':
        text += "\\b";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\f':
        text += "\\f";
        break;
      case '\a':
        text += "\\a";
        break;
      case '\\':
        text += "\\\\";
        break;
      case '"':
        text += "\\\"";
        break;
      default:
        // Three digits, so that a digit that follows is none of them.
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f)
          text += fmt::format("\\{:03o}", static_cast<unsigned char>(byte));
        else
          text += byte;
    }
  }
  return text + '"';
}

}  // namespace sdl

#include "sdl/format.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sdl/lexer.h"
#include "sdl/parser.h"

namespace sdl {
namespace {

constexpr std::size_t indent_width = 2;

// What stands between two tokens.
struct Gap {
  struct Comment {
    std::string_view text;
    std::size_t lines_before;  // ends of lines before it, behind the comment or token before
    bool space_before;
    bool is_line() const { return text.starts_with("//"); }
  };
  std::vector<Comment> comments;
  std::size_t lines = 0;  // behind the last comment
  bool space = false;
};

Gap gap_of(std::string_view text) {
  Gap gap;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '/') {
      // Only comments begin with it here.
      std::size_t end = text[at + 1] == '/' ? text.find_first_of("\r\n", at) : text.find("*/", at + 2) + 2;
      end = std::min(end, text.size());
      gap.comments.push_back({text.substr(at, end - at), gap.lines, gap.space});
      gap.lines = 0;
      gap.space = false;
      at = end;
      continue;
    }
    const bool both = text.substr(at, 2) == "\r\n";
    if (text[at] == '\n' || text[at] == '\r') ++gap.lines;
    gap.space = true;
    at += both ? 2 : 1;
  }
  return gap;
}

bool opens(Token token) { return token == Token::open_paren || token == Token::open_bracket || token == Token::open_brace; }
bool closes(Token token) { return token == Token::close_paren || token == Token::close_bracket || token == Token::close_brace; }

// An operand may end with it, so that `<` behind it compares.
bool ends_operand(Token token) {
  switch (token) {
    case Token::identifier: case Token::integer: case Token::text: case Token::kw_true: case Token::kw_false: case Token::kw_err:
      return true;
    default:
      return closes(token) || token == Token::greater;
  }
}

// The parser's rule: what `>` compares with begins thus. Spec: 2.1.
bool begins_operand(Token token) {
  switch (token) {
    case Token::minus: case Token::bang: case Token::less: case Token::identifier: case Token::integer: case Token::text:
    case Token::kw_true: case Token::kw_false: case Token::kw_err:
      return true;
    default:
      return token == Token::open_paren || token == Token::open_bracket || token == Token::open_brace;
  }
}

enum class Role : std::uint8_t { plain, open, close };

std::vector<Role> roles_of(const std::vector<Lexeme>& tokens) {
  std::vector<Role> roles(tokens.size(), Role::plain);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Token token = tokens[i].token;
    if (opens(token)) roles[i] = Role::open;
    else if (closes(token)) roles[i] = Role::close;
    else if (token == Token::less && (i == 0 || !ends_operand(tokens[i - 1].token) || roles[i - 1] == Role::open)) roles[i] = Role::open;
    else if (token == Token::greater && !begins_operand(tokens[i + 1].token)) roles[i] = Role::close;
  }
  return roles;
}

bool stands_between_operands(Token token) {
  switch (token) {
    case Token::assign: case Token::equal: case Token::not_equal: case Token::less_equal: case Token::greater_equal:
    case Token::implies: case Token::or_else: case Token::and_also: case Token::plus: case Token::plus_plus:
    case Token::star: case Token::less: case Token::greater:
      return true;
    default:
      return false;
  }
}

class Formatter {
 public:
  Formatter(const Source& source, std::vector<Lexeme> tokens) : text_(source.text()), tokens_(std::move(tokens)), roles_(roles_of(tokens_)) {}

  std::string run() {
    std::size_t end = 0;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const Lexeme& token = tokens_[i];
      const Gap gap = gap_of(text_.substr(end, token.at - end));
      for (const Gap::Comment& comment : gap.comments) add_comment(i, comment);
      if (token.token == Token::end) break;
      // A line comment ends with its line.
      const bool breaks = gap.lines > 0 || ends_with_line_comment_;
      if (breaks || out_.empty()) {
        end_line(gap.lines);
        out_.append(indent_of(i), ' ');
      } else if (has_space(i, gap)) {
        out_ += ' ';
      }
      ends_with_line_comment_ = false;
      last_is_comment_ = false;
      out_ += text_.substr(token.at, token.bytes);
      note(i);
      end = token.at + token.bytes;
    }
    if (!out_.empty()) out_ += '\n';
    return std::move(out_);
  }

 private:
  struct Open {
    std::size_t line;
    bool is_brace;
  };

  void end_line(std::size_t lines) {
    if (out_.empty()) return;
    out_ += '\n';
    ++line_;
    if (lines > 1) out_ += '\n';
  }

  void add_comment(std::size_t next, const Gap::Comment& comment) {
    if (out_.empty() || comment.lines_before > 0 || ends_with_line_comment_) {
      end_line(comment.lines_before);
      // Before a bracket that closes it still belongs to what is inside.
      out_.append(roles_[next] == Role::close ? indent_in(open_.size(), false) : indent_of(next), ' ');
    } else if (comment.is_line()) {
      out_ += "  ";
    } else if (comment.space_before) {
      out_ += ' ';
    }
    std::string_view text = comment.text;
    if (comment.is_line()) text = text.substr(0, text.find_last_not_of(" \t") + 1);
    out_ += text;
    ends_with_line_comment_ = comment.is_line();
    last_is_comment_ = true;
  }

  // For each line on which brackets were opened that are still open.
  std::size_t indent_in(std::size_t depth, bool goes_on) const {
    std::size_t lines = 0;
    for (std::size_t i = 0; i < depth; ++i) lines += i == 0 || open_[i].line != open_[i - 1].line;
    return indent_width * (lines + (goes_on ? 1 : 0));
  }

  // Of a line that begins with this token.
  std::size_t indent_of(std::size_t i) const {
    std::size_t depth = open_.size();
    for (std::size_t at = i; at < tokens_.size() && roles_[at] == Role::close && depth > 0; ++at) --depth;
    if (depth < open_.size()) return indent_in(depth, false);
    const Token token = tokens_[i].token;
    if (depth == 0 && (in_clause_ || i == 0)) {
      const bool begins = token == Token::kw_files || token == Token::kw_import || token == Token::kw_from || token == Token::open_brace || token == Token::end;
      return begins || i == 0 ? 0 : indent_width;
    }
    // A statement or an element that was begun on an earlier line.
    const bool begins = i == 0 || roles_[i - 1] == Role::open || tokens_[i - 1].token == Token::semicolon || tokens_[i - 1].token == Token::comma ||
                        (depth == 0 && token == Token::open_brace) || token == Token::end;
    return indent_in(depth, !begins);
  }

  bool has_space(std::size_t i, const Gap& gap) const {
    const bool kept = gap.space;
    if (last_is_comment_) return kept;
    const Token before = tokens_[i - 1].token, token = tokens_[i].token;
    if (token == Token::semicolon || token == Token::comma) return false;
    if (roles_[i - 1] == Role::open && roles_[i] == Role::close) return false;
    if (before == Token::open_paren || token == Token::close_paren) return false;
    if (before == Token::semicolon || before == Token::comma) return true;
    if (roles_[i - 1] == Role::open || roles_[i] == Role::close) return true;
    // One sign with the operator before it: `+=`, `++=`.
    if (token == Token::assign && is_operator(i - 1) && before != Token::assign) return kept;
    return is_operator(i) || is_operator(i - 1) || token == Token::open_brace || kept;
  }

  // Between two operands.
  bool is_operator(std::size_t i) const {
    if (roles_[i] != Role::plain) return false;
    const Token token = tokens_[i].token;
    return stands_between_operands(token) || (token == Token::minus && i > 0 && ends_operand(tokens_[i - 1].token) && roles_[i - 1] != Role::open);
  }

  void note(std::size_t i) {
    const Token token = tokens_[i].token;
    if (roles_[i] == Role::open) open_.push_back({line_, token == Token::open_brace});
    if (roles_[i] == Role::close && !open_.empty()) open_.pop_back();
    if (!open_.empty()) return;
    if (token == Token::kw_files || token == Token::kw_import || token == Token::kw_from) in_clause_ = true;
  }

  const std::string_view text_;
  const std::vector<Lexeme> tokens_;
  const std::vector<Role> roles_;
  std::string out_;
  std::size_t line_ = 0;
  std::vector<Open> open_;
  bool in_clause_ = false;
  bool ends_with_line_comment_ = false, last_is_comment_ = false;
};

bool are_same(const std::vector<Lexeme>& a, std::string_view a_text, const std::vector<Lexeme>& b, std::string_view b_text) {
  return std::ranges::equal(a, b, [&](const Lexeme& one, const Lexeme& other) {
    return one.token == other.token && one.pragmas == other.pragmas && a_text.substr(one.at, one.bytes) == b_text.substr(other.at, other.bytes);
  });
}

}  // namespace

std::optional<std::string> formatted(const Source& source, std::vector<Diagnostic>& found) {
  if (!parse(source, found) || std::ranges::any_of(found, [](const Diagnostic& each) { return each.severity == Severity::error; })) return std::nullopt;
  std::vector<Diagnostic> known;
  const std::vector<Lexeme> tokens = tokens_of(source, known);
  const Source laid_out(source.path(), Formatter(source, tokens).run());
  // Nobody's model is changed by a mistake made here.
  if (!are_same(tokens, source.text(), tokens_of(laid_out, known), laid_out.text())) {
    found.push_back(diagnose(Severity::error, source, 0, "this cannot be laid out without changing it; it is left as it is"));
    return std::nullopt;
  }
  return std::string(laid_out.text());
}

}  // namespace sdl

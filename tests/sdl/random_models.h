// Models made at random, and changes to them: mostly without errors, for each operation is given what it takes.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace sdl_test {

class RandomModels {
 public:
  explicit RandomModels(std::uint64_t seed) : random_(seed) {
    for (const char* const path : {"/data/a", "/data/b", "/data/sub/c", "/one", "/two.sh", "/unused"}) change_file(path);
    const std::size_t count = 2 + below(3);
    for (std::size_t i = 0; i < count; ++i) seeds_.push_back(random_());
    main_seed_ = random_();
    write();
  }

  std::map<std::string, std::string> files;

  // What became another since.
  std::string change() {
    switch (below(8)) {
      case 0: {
        const std::size_t which = below(seeds_.size());
        seeds_[which] = random_();
        write();
        return "a model";
      }
      case 1:
        main_seed_ = random_();
        write();
        return "the main model";
      case 2:
        change_file("/data/" + std::string(1, static_cast<char>('a' + below(5))));
        return "a file in a directory";
      case 3:
        files.erase("/data/" + std::string(1, static_cast<char>('a' + below(5))));
        return "a file that is gone";
      case 4:
        change_file("/one");
        return "a file";
      case 5:
        number_ = static_cast<int>(below(4));
        write();
        return "a number";
      case 6:
        change_file("/two.sh");
        return "a script";
      default:
        change_file("/unused");
        return unused;
    }
  }
  static constexpr const char* unused = "a file that nobody names";

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  void change_file(const std::string& path) {
    static const char* const words[] = {"", "x", "abc", "abcabc", "three lines\nof\ntext\n"};
    files[path] = words[below(std::size(words))];
  }

  // Total: whatever they are given they return a value of their type.
  static constexpr const char* helpers = R"(
  num(v) { return if _is_int(v) then _mod(v, 1000) else if _is_text(v) then _length(v) else if _is_list(v) then _length(v) + 10
    else if _is_binding(v) then _length(v) + 20 else if _is_bool(v) then (if v then 1 else 0) else 7; };
  bind(v) { return if _is_binding(v) then v else [ x = v ]; };
  seq(v) { return if _is_list(v) then v else < v >; };
  word(v) { return if _is_text(v) then v else _type_of(v); };
  at(v, k) { return if _is_binding(v) then (if v!$k then v/$k else 0) else if _is_list(v) then (if _length(v) > 0 then _elem(v, 0) else <>) else v; };
  head(v) { return if _is_list(v) then (if _length(v) > 0 then _head(v) else 3) else v; };
  tail(v) { return if _is_list(v) && _length(v) > 0 then _tail(v) else <>; };
  plain(v) { return if _is_closure(v) then 5 else if _is_list(v) then _map(plain, v) else if _is_binding(v) then { r = []; foreach [ n = w ] in v do r += [ $n = plain(w) ]; return r; } else v; };
  truth(v) { return _is_bool(v) && v; };
  apply(v, x) { return if _is_closure(v) then v(x) else v; };
  tool(word, r) { . = [ root = r, envVars = [] ]; return _run_tool("p", < word >)/root/out; };
)";


 public:
  // Writes one model, with a generator of its own so that it stays the same until its seed changes.
  class Writer {
   public:
    Writer(std::uint64_t seed, std::vector<std::string> models, int number)
        : random_(seed), models_(std::move(models)), number_(number) {}

    // One that names nothing and imports nothing.
    std::string model_of_dot() {
      variables_ = {".", ".", "."};
      std::string text = "{" + std::string(helpers);
      const std::size_t statements = below(5);
      for (std::size_t i = 0; i < statements; ++i) text += "  " + statement(3) + "\n";
      return text + "  return " + expression(4) + ";\n}\n";
    }
    std::string model() {
      std::string text = "files data; one; two = two.sh; pair = [ p = one, q = data/sub ];\n";
      if (!models_.empty()) {
        text += "import ";
        for (const std::string& name : models_) text += name + " = " + name + ".ves; ";
      }
      text += "{" + std::string(helpers);
      for (const char* const name : {"data", "one", "two", "pair", "."}) variables_.emplace_back(name);
      const std::size_t statements = 2 + below(5);
      for (std::size_t i = 0; i < statements; ++i) text += "  " + statement(3) + "\n";
      text += "  return " + (below(3) == 0 ? "[ f = " + function_or_value() + ", v = " + expression(3) + " ]" : expression(4)) +
              ";\n}\n";
      return text;
    }

   private:
    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
    template <class List>
    const auto& one_of(const List& list) {
      return list[below(std::size(list))];
    }
    std::string name() {
      static const char* const names[] = {"a", "b", "c", "sub", "p", "q", "x", "v", "f", "k"};
      return one_of(names);
    }
    std::string function_or_value() { return functions_.empty() ? expression(1) : one_of(functions_); }

    std::string statement(int depth) {
      const std::string fresh = "v" + std::to_string(next_++);
      switch (below(7)) {
        case 0:
        case 1: {
          const auto outer = variables_;
          const auto outer_functions = functions_;
          const std::string parameter = "w" + std::to_string(next_++);
          variables_.push_back(parameter);
          std::string text = std::string(below(8) == 0 ? "/**nocache**/ " : below(8) == 0 ? "/**waitdup**/ " : "") + fresh + "(" +
                             (below(8) == 0 ? "/**pk**/ " : "") + parameter;
          if (below(3) == 0) {
            const std::string second = "w" + std::to_string(next_++);
            text += ", " + second + " = " + (below(2) ? "num(.)" : "at(., \"" + name() + "\")");
            variables_.push_back(second);
          }
          text += ") { ";
          if (below(2)) text += statement(depth - 2) + " ";
          text += "return " + expression(depth) + "; };";
          variables_ = outer;
          functions_ = outer_functions;
          functions_.push_back(fresh);
          return text;
        }
        case 2: {
          const std::string item = "i" + std::to_string(next_++);
          std::string text = fresh + " = <>; foreach " + item + " in seq(" + expression(depth - 1) + ") do { ";
          variables_.push_back(item);
          text += fresh + " += < " + expression(depth - 2) + " >; };";
          std::erase(variables_, item);
          variables_.push_back(fresh);
          return text;
        }
        case 3: {
          const std::string item = "i" + std::to_string(next_++);
          std::string text = fresh + " = 0; foreach [ n" + item + " = " + item + " ] in bind(" + expression(depth - 1) + ") do { ";
          variables_.push_back(item);
          variables_.push_back("n" + item);
          text += fresh + " = num(" + fresh + ") + num(" + expression(depth - 2) + "); };";
          std::erase(variables_, item);
          std::erase(variables_, "n" + item);
          variables_.push_back(fresh);
          return text;
        }
        case 4: {
          static const char* const operators[] = {"++", "+", "-"};
          return std::string(". = bind(.) ") + one_of(operators) + " bind(" + expression(depth - 1) + ");";
        }
        default: {
          std::string text = fresh + " = " + expression(depth) + ";";
          variables_.push_back(fresh);
          return text;
        }
      }
    }

    std::string expression(int depth) {
      if (depth <= 0 || below(8) == 0) {
        switch (below(6)) {
          case 0:
            return std::to_string(below(3));
          case 1:
            return below(2) ? "\"abc\"" : "TRUE";
          case 2:
            return std::to_string(number_);
          default:
            return one_of(variables_);
        }
      }
      const auto e = [&] { return expression(depth - 1); };
      switch (below(30)) {
        case 0:
          return "num(" + e() + ") + num(" + e() + ")";
        case 1:
          return "num(" + e() + ") - num(" + e() + ")";
        case 2:
          if (below(2)) return "(num(" + e() + ") < num(" + e() + "))";
          return below(2) ? "!truth(" + e() + ")" : "(truth(" + e() + ") || truth(" + e() + "))";
        case 3:
          if (below(3) == 0) return "(num(" + e() + ") == num(" + e() + "))";
          return below(2) ? "(plain(" + e() + ") == plain(" + e() + "))" : "_fingerprint(" + e() + ")";
        case 4:
        case 5:
        case 6:
          return "at(" + e() + ", \"" + name() + "\")";
        case 7:
          return "(bind(" + e() + ") ++ bind(" + e() + "))";
        case 8:
          return "(bind(" + e() + ") + bind(" + e() + "))";
        case 9:
          return "(bind(" + e() + ") - bind(" + e() + "))";
        case 10:
          return below(2) ? "(bind(" + e() + "))!" + name() : "at(" + e() + ", word(" + e() + "))";
        case 11:
          if (below(2)) return "(if truth(" + e() + ") then " + e() + " else " + e() + ")";
          return "(if num(" + e() + ") > " + std::to_string(below(12)) + " then " + e() + " else " + e() + ")";
        case 12:
          return "(seq(" + e() + ") + seq(" + e() + "))";
        case 13:
          return below(2) ? "head(" + e() + ")" : "tail(" + e() + ")";
        case 14:
          return "_sub(seq(" + e() + "), " + std::to_string(below(3)) + ", " + std::to_string(below(3)) + ")";
        case 15:
          return "(word(" + e() + ") + word(" + e() + "))";
        case 16:
          return "_sub(word(" + e() + "), " + std::to_string(below(2)) + ", " + std::to_string(1 + below(6)) + ")";
        case 17:
          return "< " + e() + ", " + e() + " >";
        case 18:
          return "[ " + name() + " = " + e() + ", z/" + name() + "2 = " + e() + " ]";
        case 19:
          return functions_.empty() ? e() : one_of(functions_) + "(" + e() + ")";
        case 20:
          return functions_.empty() ? e()
                                    : std::string(below(2) ? "_map(" : "_par_map(") + one_of(functions_) + ", seq(" + e() + "))";
        case 21:
        case 22:
          return models_.empty() ? e() : one_of(models_) + (below(2) ? "()" : "(bind(" + e() + "))");
        case 23:
          return models_.empty() ? e() : "apply(at(" + one_of(models_) + "(bind(" + e() + ")), \"f\"), " + e() + ")";
        case 24:
          return below(6) == 0 ? "_print(" + e() + ")" : "_print(num(" + e() + "))";
        case 25:
          return std::string("tool(\"") + (below(15) == 0 ? "volatile" : below(20) == 0 ? "false" : "steady") + "\", bind(" + e() + "))";
        case 26:
          return below(2) ? "_type_of(" + e() + ")" : "_is_list(" + e() + ")";
        case 27: {
          static const char* const others[] = {"_fingerprint(", "_same_type(one, ", "_find(\"abcabc\", word(", "_length(bind("};
          const std::size_t which = below(std::size(others));
          return others[which] + e() + (which < 2 ? ")" : "))");
        }
        case 28:
          return functions_.empty() ? "(" + e() + " == " + e() + ")" : "apply(" + function_or_value() + ", " + e() + ")";
        default: {
          const auto outer = variables_;
          const auto outer_functions = functions_;
          std::string text = "{ " + statement(depth - 1);
          text += " return " + expression(depth - 1) + "; }";
          variables_ = outer;
          functions_ = outer_functions;
          return text;
        }
      }
    }

    std::mt19937_64 random_;
    const std::vector<std::string> models_;
    const int number_;
    std::vector<std::string> variables_, functions_;
    unsigned next_ = 0;
  };


 private:
  void write() {
    // Each may import those behind it.
    std::vector<std::string> behind;
    for (std::size_t i = seeds_.size(); i-- > 0;) {
      const std::string name = "m" + std::to_string(i);
      files["/" + name + ".ves"] = Writer(seeds_[i], behind, i == 0 ? number_ : 5).model();
      behind.push_back(name);
    }
    files["/main.ves"] = Writer(main_seed_, behind, number_).model();
  }

  std::mt19937_64 random_;
  std::vector<std::uint64_t> seeds_;
  std::uint64_t main_seed_ = 0;
  int number_ = 1;
};

// A value that can be written down, and small changes to it.
class RandomValue {
 public:
  explicit RandomValue(std::uint64_t seed) : random_(seed) {
    for (const char* const name : {"a", "b", "c", "x", "k"}) root_.parts.emplace_back(name, made(3));
  }
  void change() {
    Node* node = &root_;
    while (!node->parts.empty() && below(3) != 0) node = &node->parts[below(node->parts.size())].second;
    if (node == &root_ || (!node->parts.empty() && below(2) == 0)) {
      if (node->parts.empty()) return add(*node, made(2));
      const std::size_t at = below(node->parts.size());
      switch (below(4)) {
        case 0:
          node->parts.erase(node->parts.begin() + static_cast<std::ptrdiff_t>(at));
          return;
        case 1:
          std::swap(node->parts[at], node->parts[below(node->parts.size())]);
          return;
        default:
          add(*node, made(2));
          return;
      }
    }
    *node = made(2);
  }
  std::string text() const { return text_of(root_); }

 private:
  struct Node {
    char kind = 'n';  // or a list, or what stands in `word`
    std::string word;
    std::vector<std::pair<std::string, Node>> parts;
  };
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  void add(Node& node, Node part) {
    static const char* const names[] = {"a", "b", "c", "sub", "p", "q", "x", "v", "f", "k"};
    const std::string name = names[below(std::size(names))];
    if (node.kind == 'n')
      for (auto& [known, value] : node.parts)
        if (known == name) {
          value = std::move(part);
          return;
        }
    node.parts.emplace_back(name, std::move(part));
  }
  Node made(unsigned depth) {
    static const char* const words[] = {"0", "1", "2", "TRUE", "FALSE", "TRUE", "FALSE", "\"a\"", "\"abc\"", "\"x\"", "ERR"};
    Node node;
    const std::uint64_t kind = depth == 0 ? 2 : below(4);
    if (kind >= 2) {
      node.kind = 'w';
      node.word = words[below(std::size(words))];
      return node;
    }
    node.kind = kind == 0 ? 'n' : 'l';
    for (std::uint64_t left = below(4); left > 0; --left) add(node, made(depth - 1));
    return node;
  }
  static std::string text_of(const Node& node) {
    if (node.kind == 'w') return node.word;
    std::string text = node.kind == 'n' ? "[ " : "< ";
    for (const auto& [name, part] : node.parts) {
      if (node.kind == 'n') text += name + " = ";
      text += text_of(part) + ", ";
    }
    return text + (node.kind == 'n' ? "]" : ">");
  }

  std::mt19937_64 random_;
  Node root_;
};

}  // namespace sdl_test

// Cached calls: what is looked up, what is evaluated again, and that nobody can tell.
#include <catch2/catch.hpp>

#include <algorithm>

#include "tests/sdl/play.h"

using namespace sdl_test;

namespace {

// Evaluations of models over the same kept results, each checked against one without them.
struct Builds {
  Kept kept;
  std::map<std::string, std::string> files;
  bool caches_functions = true;
  unsigned more_threads = 0;
  std::uint64_t worth_keeping = 0;
  std::vector<std::string> trace;
  std::string result, error;

  Builds& run() {
    Play plain, cached;
    plain.files.files = cached.files.files = files;
    plain.shows_all = cached.shows_all = true;
    plain.has_tools = cached.has_tools = true;
    plain.more_threads = cached.more_threads = more_threads;
    cached.kept = &kept;
    cached.caches_functions = caches_functions;
    cached.worth_keeping = worth_keeping;
    plain.run();
    cached.run();
    CHECK(cached.result == plain.result);
    CHECK(cached.printed == plain.printed);
    CHECK(cached.error == plain.error);
    CHECK(cached.warnings == plain.warnings);
    CHECK(cached.volatile_tools_run == plain.volatile_tools_run);
    trace = cached.trace;
    result = plain.result;
    error = plain.error;
    return *this;
  }
  Builds& run(const std::string& main) {
    files["/main.ves"] = main;
    return run();
  }
  std::string told() const {
    std::string all;
    for (const std::string& line : trace) all += (all.empty() ? "" : ", ") + line;
    return all;
  }
  bool hit(const std::string& name) const { return std::ranges::count(trace, "hit    " + name) > 0; }
  bool missed(const std::string& name) const { return std::ranges::count(trace, "miss   " + name) > 0; }
};

const std::string choosing = R"(
{ choose(i, t) { l = <>; foreach x in < 1 > do l += < x >; return if i > 0 then t/pos + 0 else t/neg; };
  return )";

}  // namespace

TEST_CASE("a build of which nothing has changed is one look-up") {
  Builds builds;
  builds.files["/lib.ves"] = "{ f(x) { return _map(_self, < x >); }; return ./n + 1; }";
  builds.run("import lib = lib.ves; { . = [ n = 3 ]; return < lib(), lib([ n = 5 ]) >; }");
  CHECK(builds.told() == "miss   model /main.ves, miss   model /lib.ves, miss   model /lib.ves");
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

TEST_CASE("a file that no model names changes nothing") {
  Builds builds;
  builds.files["/lib.ves"] = "{ return ./n + 1; }";
  builds.run("import lib = lib.ves; { . = [ n = 3 ]; return lib(); }");
  builds.files["/readme"] = "read me";
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

TEST_CASE("a model whose own files are as they were is not evaluated again") {
  Builds builds;
  builds.files = {{"/a/build.ves", "files f; { return f + ./x; }"}, {"/a/f", "A"},
                  {"/b/build.ves", "files f; { return f + ./x; }"}, {"/b/f", "B"}};
  builds.run("import a = a; b = b; { . = [ x = \"!\" ]; return < a(), b() >; }");
  builds.files["/b/f"] = "BB";
  builds.run();
  CHECK(builds.told() == "miss   model /main.ves, hit    model /a/build.ves, miss   model /b/build.ves");
  CHECK(builds.result.starts_with("< \"A!\", \"BB!\" >"));
  builds.files["/b/f"] = "B";
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

TEST_CASE("only the part of `.` that a model looks at counts") {
  Builds builds;
  builds.files["/lib.ves"] = "{ return ./a/b + (if .!none then 1 else 0); }";
  const auto with = [&](const std::string& dot) {
    builds.run("import lib = lib.ves; { return lib(" + dot + "); }");
    return builds.hit("model /lib.ves");
  };
  CHECK_FALSE(with("[ a = [ b = 1 ] ]"));
  CHECK(with("[ a = [ b = 1, c = 2 ], d = 3 ]"));
  CHECK_FALSE(with("[ a = [ b = 2 ] ]"));
  CHECK_FALSE(with("[ a = [ b = 1 ], none = 1 ]"));
  CHECK(with("[ a = [ c = 2, b = 1 ], none = \"\" ]"));
}

TEST_CASE("the table of the specification: scalars are in the key, of a binding what was looked at") {
  Builds builds;
  builds.run(choosing + "choose(5, [ pos = 1, neg = 2 ]); }");
  CHECK(builds.missed("function choose"));
  builds.run(choosing + "choose(5, [ pos = 1, neg = 9 ]); }");
  CHECK(builds.hit("function choose"));
  builds.run(choosing + "choose(5, [ pos = 3, neg = 2 ]); }");
  CHECK(builds.missed("function choose"));
  builds.run(choosing + "choose(6, [ pos = 1, neg = 2 ]); }");
  CHECK(builds.missed("function choose"));
}

TEST_CASE("what a function hands on without looking is today's") {
  Builds builds;
  const auto with = [&](const std::string& value) {
    builds.run("{ wrap(v) { l = 0; foreach x in < 1 > do l = x; return [ of = v/a, l ]; }; return wrap([ a = " + value + " ]); }");
    return builds.hit("function wrap");
  };
  CHECK_FALSE(with("1"));
  CHECK(with("\"other\""));
  CHECK(with("[ deep = < 1, 2 > ]"));
}

TEST_CASE("types, lengths, names and code are looked at alone where that is enough") {
  Builds builds;
  const auto with = [&](const std::string& body, const std::string& value) {
    builds.run("{ f(v) { d = 0; foreach x in < 1 > do d = x; return " + body + "; }; return f([ v = " + value + " ]); }");
    return builds.hit("function f");
  };
  CHECK_FALSE(with("_type_of(v/v)", "1"));
  CHECK(with("_type_of(v/v)", "2"));
  CHECK_FALSE(with("_type_of(v/v)", "TRUE"));
  CHECK_FALSE(with("_length(v/v)", "< 1, 2 >"));
  CHECK(with("_length(v/v)", "< 3, \"\" >"));
  CHECK_FALSE(with("_length(v/v)", "< 3 >"));
  CHECK_FALSE(with("_length(v/v)", "[ a = 1 ]"));
  CHECK(with("_length(v/v)", "[ a = 2 ]"));
  CHECK_FALSE(with("_length(v/v)", "[ b = 2 ]"));
  CHECK_FALSE(with("_elem(v/v, 1)", "< 1, 2 >"));
  CHECK(with("_elem(v/v, 1)", "< 9, 2 >"));
  CHECK(with("_elem(v/v, 1)", "< 9, 8 >"));  // handed on
  CHECK_FALSE(with("_elem(v/v, 1) + 1", "< 1, 2 >"));
  CHECK(with("_elem(v/v, 1) + 1", "< 9, 2 >"));
  CHECK_FALSE(with("_elem(v/v, 1) + 1", "< 9, 8 >"));
  CHECK_FALSE(with("(v/v ++ [ a/y = 5 ])/a/x", "[ a = [ x = 1 ], b = 2 ]"));
  CHECK(with("(v/v ++ [ a/y = 5 ])/a/x", "[ a = [ x = 3 ], b = 4 ]"));
  CHECK_FALSE(with("(v/v ++ [ a/y = 5 ])/a/x", "[ a = [ x = 3, z = 1 ], b = 4 ]"));
}

TEST_CASE("a function that is given: its code, and of what it has captured what it looks at") {
  Builds builds;
  const auto with = [&](const std::string& g) {
    builds.run("{ c = [ a = 1, b = 2 ]; " + g + " f(h) { d = 0; foreach x in < 1 > do d = x; return h(3); }; return f(g); }");
    return builds.hit("function f");
  };
  CHECK_FALSE(with("g(x) { return x + c/a; };"));
  CHECK(with("c = [ a = 1, b = 3 ]; g(x) { return x + c/a; };"));
  CHECK_FALSE(with("c = [ a = 2 ]; g(x) { return x + c/a; };"));
  CHECK_FALSE(with("g(x) { return x - c/a; };"));
}

TEST_CASE("each operator and primitive notes what it looks at") {
  const std::string values[] = {"TRUE", "FALSE", "1", "2", "\"a\"", "\"ab\"", "< 1, 2 >", "< 2, 1 >", "< 1 >", "[ a = 1 ]", "[ a = 2 ]",
                                "[ b = 1 ]", "[ a = 1, b = 1 ]", "[ b = 1, a = 1 ]", "[ a = [ b = 1 ] ]", "ERR", "[]", "<>"};
  const std::string bodies[] = {
      "if ./v then 1 else 2", "./v && TRUE", "TRUE && ./v", "./v || ./w", "./v => ./w", "if TRUE => ./v then 1 else 2", "!./v", "-./v", "./v + ./w",
      "./v - ./w", "./v ++ ./w", "./v * 2", "./v == ./w", "./v != 1", "< ./v > == < 1 >", "[ a = ./v ] == [ a = 1 ]", "./v < ./w", "./v/a", "./v!a",
      "./v/$(./w)", "./v!$(./w)", "[ $(./v) = 1 ]", "_length(./v)", "_head(./v)", "_tail(./v)", "_elem(./v, 0)", "_elem(< 5, 6, 7 >, ./v)",
      "_sub(./v, 1)", "_sub(< 5, 6, 7 >, ./v)", "_append(./v, ./w)", "_append(./v, < ./w >) + <>", "_map(_self, ./v)", "_list1(./v)", "_bind1(./v, 1)",
      "_bind1(\"n\", ./v)", "_n(./v)", "_v(./v)", "_defined(./v, \"a\")", "_defined(./v, ./w)", "_lookup(./v, \"a\")", "_type_of(./v)",
      "_same_type(./v, ./w)", "_is_int(./v)", "_is_list(./v)", "_assert(./v, ./w)", "_print(./v)", "_print(< ./v >)", "_fingerprint(./v)",
      "_fingerprint([ a = < ./v > ])", "_min(./v, 1)", "_div(5, ./v)", "_find(\"xab\", ./v)", "_findr(./v, \"a\")", "_findre(./v, \"a+\")",
      "_run_tool(\"p\", < \"t\" >, ./v)/code", "{ . = [ root = ./v, envVars = [] ]; return _run_tool(\"p\", < \"t\" >)/code; }",
      "{ . = [ root = [ a = ./v ], envVars = [] ]; return _run_tool(\"p\", < \"t\" >)/code; }", "_run_tool(./v, < \"t\", ./w >)/code",
      "{ r = 0; foreach x in ./v do r = [ r, x ]; return r; }", "{ r = 0; foreach x in ./v do r = 1; return r; }",
      "{ r = 0; foreach [ n = x ] in ./v do r = [ r, n ]; return r; }", "{ r = 0; foreach x in < ./v > do r = x + 1; return r; }",
      "{ f(a, b = ./v) { return a + b; }; return f(1); }", "{ f(a, b = ./v) { return a; }; return f(1); }",
      "{ f(a) { return [ a, b = ./v ]; }; return f(./w)/b + 1; }", "{ k = ./v; f(a) { return a + k; }; return f(./w); }",
      "{ f(n, v) { return v; }; return _map(f, [ x = ./v, y = [] ]); }", "{ f(n, v) { return [ $n = v ]; }; return _map(f, ./v); }",
      "{ f(x) { return x == ./w; }; return _map(f, ./v); }", "{ f(x) { return x == 1; }; return _par_map(f, < ./v, ./w >); }",
      "{ f(x) { foreach i in < 1 > do d = i; return _fingerprint(x); }; return f([ a = ./v, b = < ./w > ]); }",
      "{ f(x) { foreach i in < 1 > do d = i; return x; }; return f(./v) == f([ a = ./w ]); }",
      "{ f(x) { foreach i in < 1 > do d = i; return if x/v then 1 else x/w; }; return f([ v = ./v, w = ./w ]); }",
      "{ f(x) { foreach i in < 1 > do d = i; return ./v; }; return f(1) + f(2); }",
      "{ f(x) { g(y) { return x + y; }; foreach i in < 1 > do d = i; return g; }; return f(./v)(./w); }",
      "{ f(x) { foreach i in < 1 > do d = i; return if ./w!a then 1 else 2; }; return f(1); }",
      "{ f(x) { return x(./v); }; g(y) { return y - 1; }; h(y) { return y; }; return < f(g), f(h) >; }",
      "{ . += [ v = ./w ]; return ./v + 1; }", "{ . ++= [ v = [ a = 7 ] ]; return ./v/b; }", "(./v ++ [ b = ./w ])/b", "([ a/x = 1 ] ++ ./v)/a",
      "(./v + [ a = 5 ])/a", "(./v - [ a = 5 ])!b", "[ a = ./v ]/a", "< ./v, ./w >", "if _is_binding(./v) && ./v!a then ./v/a + 1 else 0"};
  for (const std::string& body : bodies) {
    Builds builds;
    builds.files["/lib.ves"] = "{ return " + body + "; }";
    unsigned hits = 0;
    INFO(body);
    for (const std::string& v : values)
      for (const std::string& w : {std::string("1"), std::string("\"a\""), std::string("TRUE"), std::string("[ a = 2, b = 1 ]"), std::string("< 2 >")}) {
        builds.run("import lib = lib.ves; { x = " + std::to_string(hits % 2) + "; return lib([ v = " + v + ", w = " + w + ", x ]); }");
        hits += builds.hit("model /lib.ves");
      }
    // The same again are found, where they are no errors.
    for (const std::string& v : values) {
      builds.run("import lib = lib.ves; { return lib([ v = " + v + ", w = 1, x = 7 ]); }");
      if (builds.error.empty()) CHECK(builds.hit("model /lib.ves"));
    }
  }
}

TEST_CASE("names that a function has captured are part of its code") {
  Builds builds;
  const std::string f = " f(c) { d = 0; foreach i in < 1 > do d = i; return if _length(c) == 1 then x else y; }; return f(< 1 >); }";
  builds.run("{ x = 1;" + f);
  CHECK(builds.error.empty());
  builds.run("{ y = 1;" + f);
  CHECK_FALSE(builds.error.empty());
}

TEST_CASE("functions that a model returns are kept with what they have captured") {
  Builds builds;
  builds.files["/lib.ves"] =
      "files f; { k = ./k; g(x) { h(y) { return y + k; }; return h(x) + _length(f); }; return [ g, k ]; }";
  builds.files["/lib2.ves"] = "import lib = lib.ves; { return [ g = lib()/g, k = 1 ]; }";
  builds.files["/f"] = "four";
  builds.run("import lib = lib2.ves; { . = [ k = 10, z = 1 ]; m = lib(); return < m/g(1), m/k >; }");
  CHECK(builds.result.starts_with("< 15, 1 >"));
  builds.run("import lib = lib2.ves; { . = [ k = 10, z = 2 ]; m = lib(); return < m/g(1), m/k >; }");
  CHECK(builds.hit("model /lib2.ves"));
  builds.files["/f"] = "fives";
  builds.run();
  builds.files["/lib.ves"] += " ";
  builds.run();
}

TEST_CASE("what is printed is printed again, in its place") {
  Builds builds;
  builds.files["/lib.ves"] = "{ d = _print(./x); return d; }";
  builds.run("import lib = lib.ves; { a = _print(\"first\"); b = lib([ x = 1 ]); c = _print(\"last\"); return a; }");
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
  builds.run("import lib = lib.ves; { a = _print(\"First\"); b = lib([ x = 1 ]); c = _print(\"last\"); return a; }");
  CHECK(builds.hit("model /lib.ves"));
}

TEST_CASE("the name of a file may be printed, so such calls are not kept") {
  Builds builds;
  builds.files["/a"] = "same";
  builds.run("files a; { return _print(a) == 1; }");
  builds.run();
  CHECK(builds.told() == "miss   model /main.ves");
}

TEST_CASE("a stored text and one in memory with the same bytes are told apart") {
  Builds builds;
  builds.files["/a"] = "same";
  builds.files["/lib.ves"] = "{ return _sub(./t, 0); }";
  builds.run("import lib = lib.ves; { return lib([ t = \"same\" ]); }");
  builds.run("files a; import lib = lib.ves; { return lib([ t = a ]); }");
  builds.files["/b"] = "same";
  builds.run("files b; import lib = lib.ves; { return lib([ t = b ]); }");
}

TEST_CASE("errors are told each time, with all their calls") {
  Builds builds;
  builds.files["/lib.ves"] = "{ return ./a + 1; }";
  builds.run("import lib = lib.ves; { f() { return lib(); }; return f([ a = TRUE ]); }");
  CHECK_FALSE(builds.error.empty());
  builds.run();
  CHECK_FALSE(builds.error.empty());
  builds.run("import lib = lib.ves; { f() { return lib(); }; return f([ a = 1 ]); }");
  CHECK(builds.error.empty());
  builds.run("import lib = lib.ves; { f() { return lib(); }; return f([ b = 1 ]); }");
  CHECK_FALSE(builds.error.empty());
}

TEST_CASE("a file of a clause that is gone is an error, though nobody looked at it") {
  Builds builds;
  builds.files = {{"/lib.ves", "files a; { return 1; }"}, {"/a", ""}};
  builds.run("import lib = lib.ves; { return lib(); }");
  builds.files.erase("/a");
  builds.run();
  CHECK_FALSE(builds.error.empty());
}

TEST_CASE("warnings are told each time") {
  Builds builds;
  builds.files = {{"/lib.ves", "files a = \"sub\"\\\"f\"; b = sub/f; { return 1; }"}, {"/sub/f", ""}};
  builds.run("import lib = lib.ves; { return lib(); }");
  builds.run();
  CHECK(builds.missed("model /main.ves"));
}

TEST_CASE("what runs a tool whose result may not be kept is evaluated each time, and its callers") {
  Builds builds;
  builds.files["/lib.ves"] = "{ f() { return _run_tool(\"p\", < \"volatile\" >)/code; }; return f(); }";
  builds.files["/good.ves"] = "{ return _run_tool(\"p\", < \"steady\" >)/root/out; }";
  builds.run("import lib = lib.ves; good = good.ves; { . = [ root = [], envVars = [] ]; return < lib(), good() >; }");
  builds.run();
  CHECK(builds.told() == "miss   model /main.ves, miss   model /lib.ves, miss   function f, hit    model /good.ves");
}

TEST_CASE("a result whose file is not stored any more is not used") {
  Builds builds;
  builds.run("{ . = [ root = [ a = \"1\" ], envVars = [] ]; return _run_tool(\"p\", < \"steady\" >)/root/out; }");
  builds.kept.texts.texts.clear();
  builds.run();
  CHECK(builds.told() == "miss   model /main.ves");
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

TEST_CASE("damaged rows are none") {
  Builds builds;
  builds.files["/lib.ves"] = "{ f(x) { l = 0; foreach i in < 1, 2 > do l = l + i + x; return l; }; return f(./n) + 1; }";
  builds.run("import lib = lib.ves; { . = [ n = 3 ]; return lib(); }");
  for (unsigned at = 0; at < 40; ++at) {
    for (auto& [key, row] : builds.kept.rows.rows) row[(at * 7) % row.size()] ^= 0x20;
    builds.run();
    CHECK(builds.missed("model /main.ves"));
  }
}

TEST_CASE("limits are met as without a cache") {
  Kept kept;
  const auto with = [&](bool is_cached, unsigned calls, std::uint64_t steps, const std::string& more) {
    Play play;
    play.limits.calls = calls;
    play.limits.steps = steps;
    if (is_cached) play.kept = &kept;
    play.files.files["/lib.ves"] = "{ down(n) { return if n <= 0 then 0 else down(n - 1); }; return down(50); }";
    play.run("import lib = lib.ves; { up(n) { return if n <= 0 then lib() else up(n - 1); }; return up(" + more + "); }");
    return play.error.substr(0, 60) + play.result;
  };
  for (const char* const depth : {"1", "30", "46", "47", "48", "49", "60"})
    for (const unsigned calls : {100u, 200u})
      for (const std::uint64_t steps : {90u, 100u, 101u, 102u, 103u, 110u, 1000u})
        CHECK(with(true, calls, steps, depth) == with(false, calls, steps, depth));
}

TEST_CASE("pragmas: what is not to be cached is not, and what is marked is in the key whole") {
  Builds builds;
  const auto with = [&](const std::string& head, const std::string& value) {
    builds.run("{ " + head + " { l = 0; foreach x in < 1 > do l = x; return v/a; }; return f([ a = 1, b = " + value + " ]); }");
    return builds.hit("function f");
  };
  CHECK_FALSE(with("/**nocache**/ f(v)", "1"));
  CHECK_FALSE(with("/**nocache**/ f(v)", "2"));
  CHECK_FALSE(with("f(/**pk**/ v)", "1"));
  CHECK_FALSE(with("f(/**pk**/ v)", "2"));
  builds.run("/**nocache**/ { return 1; }");
  CHECK(builds.told() == "");
}

TEST_CASE("cheap calls and what calls nothing are not kept") {
  Builds builds;
  builds.worth_keeping = 32;
  builds.run("{ f(n) { l = 0; foreach x in n do l = l + x; return l; }; g(n) { return n; }; return < f(< 1, 2 >), g(1) >; }");
  builds.run("{ f(n) { l = 0; foreach x in n do l = l + x; return l; }; g(n) { return n; }; return < f(< 1, 2 >), g(1), 1 >; }");
  CHECK(builds.told() == "miss   model /main.ves, miss   function f");
}

TEST_CASE("calls side by side are kept as others are") {
  Builds builds;
  builds.more_threads = 3;
  const auto with = [&](const std::string& list) {
    builds.run(
        "{ . = [ k = [ a = 1, b = 2 ] ]; g(x) { t = 0; foreach i in < 1, 2, 3 > do t = t + i * x + ./k/a; d = _print(t); return t; };"
        "  f(x) { return _par_map(g, < x, x + 1, x + 2 >); }; return _par_map(f, " + list + "); }");
  };
  with("< 1, 10, 20, 30 >");
  with("< 1, 10, 21, 30 >");
  CHECK(builds.hit("function f"));
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

TEST_CASE("deep recursion over a list is recorded in bounded room") {
  Builds builds;
  builds.run(
      "{ sum(l) { return if _length(l) == 0 then 0 else _head(l) + sum(_tail(l)); }; l = < 1, 2, 3, 4, 5, 6, 7, 8 >;"
      "  l = l + l + l + l; l = l + l + l + l + l + l + l + l; return sum(l); }");
  builds.run();
  CHECK(builds.told() == "hit    model /main.ves");
}

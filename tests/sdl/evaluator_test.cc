#include "sdl/evaluator.h"

#include <catch2/catch.hpp>

#include "tests/sdl/play.h"

using namespace sdl_test;

TEST_CASE("a function has the names of where it was defined, and its own") {
  CHECK(result_of("{ k = 10; addk(n) { return n + k; }; k = 20; return < addk(1), k >; }") == "< 11, 20 >");
  CHECK(result_of("{ f(n) { return if n == 0 then 0 else n + f(n - 1); }; g = f; f = 1; return g(4); }") ==
        "10");
  CHECK(
      result_of("{ f(a)(b, c = a)(d) { g() { return <a, b, c, d>; }; return g(); }; return f(1)(2)(3); }") ==
      "< 1, 2, 1, 3 >");
}

TEST_CASE("a default is evaluated where the function was defined, with the environment of there") {
  CHECK(result_of("{ . = [ v = 1 ]; f(x = ./v) { return < x, ./v >; }; . = [ v = 2 ]; return f(); }") ==
        "< 1, 2 >");
  CHECK(result_of(
            "{ g() { return ./v; }; . = [ v = 1 ]; f(x = g()) { return x; }; . = [ v = 2 ]; return f(); }") ==
        "1");
  CHECK(result_of("{ a = 7; f(a, b = a) { return b; }; return f(1); }") == "7");
  CHECK(result_of("{ f(x = { y = 1; foreach i in <1, 2> do y += i; return y; }) { z = 5; return < x, z >; }; "
                  "return f(); }") == "< 4, 5 >");
}

TEST_CASE("what a loop assigns inside a block starts from the value outside and stays inside") {
  CHECK(result_of("{ x = 1; y = { foreach i in <1, 2, 3> do x = x + i; return x; }; return < x, y >; }") ==
        "< 1, 7 >");
  CHECK(result_of("{ x = 1; y = { foreach i in <> do x = 2; return x; }; return < x, y >; }") == "< 1, 1 >");
  CHECK(result_of("{ f(x) { y = { foreach i in <1, 2> do { z = x; x = x + 1; }; return < x, z >; }; return < "
                  "x, y >; }; return f(5); "
                  "}") == "< 5, < 7, 6 > >");
  CHECK(result_of("{ foreach i in <1, 2> do { f() { return i; }; }; return f(); }") == "2");
}

TEST_CASE("a name that only a loop without rounds would have given a value is unbound") {
  CHECK(error_of("{ foreach i in <> do x = i; return x; }").find("/main.ves:1:36: error: 'x' is unbound") ==
        0);
  CHECK(error_of("{ foreach i in <1> do x = i; return i; }").find("'i' is unbound") != std::string::npos);
  CHECK(result_of("{ foreach i in <> do x = i; f() { return x; }; return 1; }") == "1");
  CHECK(result_of("{ i = 9; foreach i in <1, 2> do { i = i + 1; }; return i; }") == "9");
}

TEST_CASE("a function a hundred thousand calls deep works, a deeper one is told") {
  CHECK(result_of("{ f(n) { return if n == 0 then 0 else 1 + f(n - 1); }; return f(99990); }") == "99990");
  const std::string error = error_of("{ f(n) { return 1 + f(n); }; return f(0); }");
  CHECK(error.find("recursion deeper than 100000 calls") != std::string::npos);
  CHECK(error.size() < 2000);
}

TEST_CASE("operators in a row may be very many") {
  std::string model = "{ return 0";
  for (int i = 0; i < 100'000; ++i) model += " + 1";
  CHECK(result_of(model + "; }") == "100000");
}

TEST_CASE("an error tells the calls that led there") {
  const std::string error =
      error_of("{ f(a) { return a + \"\"; };\n  g(b) { return f(b); };\n  return g(1); }");
  CHECK(error ==
        "/main.ves:1:19: error: '+' takes two integers, texts, lists or bindings, not t_int and t_text\n"
        "{ f(a) { return a + \"\"; };\n"
        "                  ^\n"
        "  in 'f', called at /main.ves:2:17\n"
        "  in 'g', called at /main.ves:3:10\n");
}

TEST_CASE("integers overflow into errors") {
  CHECK(error_of("{ return 2147483647 + 1; }").find("/main.ves:1:21: error: integer overflow") == 0);
  CHECK(error_of("{ x = -2147483647; return _div(x - 1, -1); }").find("overflow") != std::string::npos);
  CHECK(result_of("{ x = -2147483647; return < x - 1, _div(0, -1), _mod(x - 1, -1) >; }") ==
        "< -2147483648, 0, 0 >");
}

TEST_CASE("functions that differ only in looks and own name have one fingerprint") {
  const auto same = [](const std::string& one, const std::string& other) {
    return result_of("{ k = 1; " + one + " a = _fingerprint(f); " + other +
                     " b = _fingerprint(g); return a == b; }");
  };
  CHECK(same("f(n) { return if n == 0 then k else f(n - 1); };",
             "/**nocache**/ g(n: int): int { /* again */ return if (n == 0) then k else g((n - 1)) };") ==
        "TRUE");
  CHECK(same("f(n) { return n + 1; };", "g(n) { return n + 2; };") == "FALSE");
  CHECK(same("f(n) { return n; };", "g(m) { return m; };") == "FALSE");
  CHECK(same("f(n = 1) { return n; };", "g(n) { return n; };") == "FALSE");
  CHECK(same("f(n) { return k; };", "k = 2; g(n) { return k; };") == "FALSE");
  CHECK(same("f(n) { return <\"a\", b>; };", "g(n) { return <\"a, b\">; };") == "FALSE");
}

TEST_CASE("an imported model is read when it is called") {
  Play play;
  play.files.files["/lib/build.ves"] = "{ return [ v = ./x, self = _model_name(_self) ]; }";
  play.files.files["/bad.ves"] = "{ return ; }";
  play.run("import lib = lib; bad = bad; { return lib([ x = 5 ]); }");
  CHECK(play.result == "[ v=5, self=\"/lib/build.ves\" ]");
  play.run("import bad = bad; {\n return bad(); }");
  CHECK(play.error.find("/bad.ves:1:10: error: ") == 0);
  CHECK(play.error.find("in model /bad.ves, called at /main.ves:2:9") != std::string::npos);
  CHECK(Play()
            .run("import a = nowhere; { return 1; }")
            .error.find("/main.ves:1:12: error: there is no model /nowhere.ves") == 0);
}

TEST_CASE("files are texts, directories are bindings of their entries in order") {
  Play play;
  play.files.files["/src/b.c"] = "int b;";
  play.files.files["/src/a/x-y.c"] = "int x;";
  play.files.files["/run.sh"] = "#!/bin/sh";
  play.run(
      "files src; one = src/b.c; group = [ src/a, go = run.sh ]; { return < src, one == src/b.c, group, "
      "_length(one), one + \"\" >; }");
  CHECK(play.result ==
        "< [ a=[ \"x-y.c\"=<file /src/a/x-y.c> ], b.c=<file /src/b.c> ], TRUE, [ a=[ \"x-y.c\"=<file "
        "/src/a/x-y.c> ], "
        "go=<file /run.sh> ], 6, \"int b;\" >");
}

TEST_CASE("what is printed comes before the error that follows") {
  Play play;
  play.run("{ a = _print(<1, \"x\">); return _assert(FALSE, \"so not\"); }");
  CHECK(play.printed == "< 1, \"x\" >\n");
  CHECK(play.error.find("/main.ves:1:32: error: _assert: so not") == 0);
}

TEST_CASE("an evaluation can be given few steps") {
  Play play;
  play.limits.steps = 1000;
  play.run("{ f(n) { return f(n); }; return _map(f, <1>); }");
  CHECK(play.error.find("stopped after 1000 steps") != std::string::npos);
}

TEST_CASE("tools are for somebody else") {
  CHECK(error_of("{ return _run_tool(\"linux\", <\"true\">); }").find("_run_tool is not available here") !=
        std::string::npos);
}

TEST_CASE("a name is suggested only if it is near and can be meant") {
  const auto message = [](const std::string& model) {
    const std::string error = error_of(model);
    const std::size_t from = error.find("error: ") + 7;
    return error.substr(from, error.find('\n') - from);
  };
  CHECK(message("{ return alpha; }") == "'alpha' is unbound");
  CHECK(message("{ { alpha = 1; return alpha; }; return 1; }").starts_with("expected"));
  CHECK(message("{ x = { alpha = 1; return alpha; }; return alpah; }") == "'alpah' is unbound");  // gone behind its block
  CHECK(message("{ x = alpah; alpha = 1; return x; }") == "'alpah' is unbound");                // not there yet
  CHECK(message("{ ab = 1; return ac; }") == "'ac' is unbound");                                // any name would be near
  CHECK(message("{ f(alpha) { return alhpa; }; return f(1); }") == "'alhpa' is unbound; did you mean 'alpha'?");
  CHECK(message("{ factorial(n) { return factoral(n); }; return factorial(1); }") == "'factoral' is unbound; did you mean 'factorial'?");
  CHECK(message("{ return [ alpha = 1, alphb = 2 ]/alph; }") == "the binding has no name 'alph'; did you mean 'alpha'?");
  CHECK(message("{ return [ beta = 1 ]/alpha; }") == "the binding has no name 'alpha'");
}

#include "sdl/format.h"

#include <catch2/catch.hpp>

#include "sdl/deep_stack.h"

using namespace sdl;

namespace {

// What is wrong with it, in place of a text, if it is no model.
std::string laid_out(const std::string& text) {
  std::string result;
  on_deep_stack([&] {
    std::vector<Diagnostic> found;
    const auto formed = formatted(Source("m.ves", text), found);
    result = formed ? *formed : found.empty() ? "nothing said" : found[0].message;
  });
  return result;
}

}  // namespace

TEST_CASE("a model is laid out by its brackets, and its lines stay lines") {
  CHECK(laid_out(R"(


// A model.
files   os; src ;
  c_files = [a.c,b.c];
from "lib"   import
 x = y.ves;



{
   // first
  . = [root=os++[tmp=[]],envVars=[PATH="/usr/bin:/bin"]];   // trailing
compile(source){
     . ++=[ root/.WD/"hello.c" = source ];
  return _run_tool("linux",<"gcc","-O2",
  "-c">)/root/.WD/hello.o;
};
  /**nocache**/ f( a : int ,b=1 ) { return a+b  ; };
  l = < 1,
     2 , <>,
       [ x=1 ,
   y=2] >;
  foreach [n=v] in [a=1] do {
acc+=<n,v>; z =
 v-
 1; /* a
     b */ w = -1;
 // last
   };
  return if 1>2 then l else ( f(1) ) ; }
)") == R"(// A model.
files os; src;
  c_files = [ a.c, b.c ];
from "lib" import
  x = y.ves;

{
  // first
  . = [ root = os ++ [ tmp = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];  // trailing
  compile(source) {
    . ++= [ root/.WD/"hello.c" = source ];
    return _run_tool("linux", < "gcc", "-O2",
      "-c" >)/root/.WD/hello.o;
  };
  /**nocache**/ f(a : int, b = 1) { return a + b; };
  l = < 1,
    2, <>,
    [ x = 1,
      y = 2 ] >;
  foreach [ n = v ] in [ a = 1 ] do {
    acc += < n, v >; z =
      v -
      1; /* a
     b */ w = -1;
    // last
  };
  return if 1 > 2 then l else (f(1)); }
)");
}

TEST_CASE("other ends of lines become newlines, and there is one at the end") {
  CHECK(laid_out("{ // a\r\n\tx=1;\r\n\r\n\r\n\treturn x; }") == "{  // a\n  x = 1;\n\n  return x; }\n");
  CHECK(laid_out("{ return 1; } // end") == "{ return 1; }  // end\n");
  CHECK(laid_out("{ return 1; }\n\n\n// end\n\n") == "{ return 1; }\n\n// end\n");
}

TEST_CASE("what is no model is left alone, and it is said why") {
  CHECK(laid_out("{ return ; ").find("expected") != std::string::npos);
  CHECK_FALSE(laid_out("{ return \"a; }").empty());
}

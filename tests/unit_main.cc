// The one translation unit that holds Catch2 itself; the tests are the *_test.cc files.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

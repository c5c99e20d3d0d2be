// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/shared_library.hpp"

#include "cachegen/support/error.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("a library's functions are found by name") {
  const SharedLibrary library("libm.so.6", "the C library's mathematics", "install it");
  double (*root)(double) = nullptr;
  library.find("sqrt", root);
  REQUIRE(root != nullptr);
  CHECK(root(9) == 3);
}

TEST_CASE("a library or a function that is missing is named, with the remedy") {
  CHECK_THROWS_WITH(SharedLibrary("libnone.so.7", "the library of nothing", "install it (Debian: libnone7)"),
                    Catch::Contains("cannot load the library of nothing") &&
                        Catch::Contains("libnone.so.7") &&
                        Catch::Contains("; install it (Debian: libnone7)"));
  const SharedLibrary library("libm.so.6", "the C library's mathematics", "install it");
  void (*function)() = nullptr;
  CHECK_THROWS_WITH(library.find("cube_the_circle", function), Catch::Contains("cube_the_circle"));
}

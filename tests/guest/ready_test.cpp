// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/ready.hpp"

#include <fstream>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

/// A serial log that a test writes piece by piece.
class Log {
 public:
  fs::path path() const { return folder_.path() / "serial.log"; }
  void add(const std::string& text) {
    std::ofstream(path(), std::ios::app | std::ios::binary) << text << std::flush;
  }

 private:
  TempFolder folder_{temp_root(), "ready-test-"};
};

}  // namespace

TEST_CASE("readiness is parsed and written the same") {
  for (const char* text : {"serial:login: ", "serial:^READY [0-9]+", "agent", "ssh", "exit", "none"}) {
    CHECK(ReadySpec::parse(text).to_text() == text);
  }
  CHECK(ReadySpec{}.to_text() == "serial:login: ");
}

TEST_CASE("a readiness that makes no sense is a usage error that says why") {
  CHECK_THROWS_WITH(ReadySpec::parse("banana"),
                    Catch::Contains("'banana'") && Catch::Contains("serial:REGEX"));
  CHECK_THROWS_WITH(ReadySpec::parse("serial:"), Catch::Contains("expression"));
  CHECK_THROWS_WITH(ReadySpec::parse("serial:(a"), Catch::Contains("(a"));
  CHECK_THROWS_AS(ReadySpec::parse("agent "), Error);
}

TEST_CASE("a log that does not exist yet is not matched") {
  Log log;
  SerialWatch watch(log.path(), "x");
  CHECK_FALSE(watch.matched_after_read());
  CHECK(watch.last_lines(3).empty());
  log.add("x");
  CHECK(watch.matched_after_read());
}

TEST_CASE("a prompt without newline is matched, in whatever pieces it comes") {
  Log log;
  SerialWatch watch(log.path(), "login: $");
  log.add("Debian GNU/Linux 12 vm ttyS0\r\n\r\nvm log");
  CHECK_FALSE(watch.matched_after_read());
  log.add("in:");
  CHECK_FALSE(watch.matched_after_read());
  log.add(" ");
  CHECK(watch.matched_after_read());
  log.add("root\r\n");
  CHECK(watch.matched_after_read());
}

TEST_CASE("an expression does not reach over the end of a line") {
  Log log;
  SerialWatch watch(log.path(), "^a.*b");
  log.add("xa b\na\nb\n");
  CHECK_FALSE(watch.matched_after_read());
  log.add("a-b\nrest");
  CHECK(watch.matched_after_read());
}

TEST_CASE("a line that was complete long ago within one read is matched too") {
  Log log;
  SerialWatch watch(log.path(), "^READY$");
  log.add("READY\r\n" + std::string(100'000, 'x') + "\n");
  CHECK(watch.matched_after_read());
}

TEST_CASE("a megabyte without newline neither overflows the stack nor hides the match") {
  Log log;
  SerialWatch watch(log.path(), "(a|b)*login: ");
  log.add(std::string(1'000'000, 'a'));
  CHECK_FALSE(watch.matched_after_read());
  log.add(std::string(5000, 'b') + "login: " + std::string(5000, 'b'));
  CHECK(watch.matched_after_read());
}

TEST_CASE("NUL bytes and escape sequences do not hide a match") {
  Log log;
  SerialWatch watch(log.path(), "login: ");
  log.add(std::string("\0\0\x1b[0mvm login: ", 16));
  CHECK(watch.matched_after_read());
}

TEST_CASE("the last lines are fit for a terminal") {
  CHECK(printable_tail("one\r\ntwo\r\n\r\nthree", 2) == "two\nthree");
  CHECK(printable_tail("\x1b[2J\x1b]0;title\a\x1b[31mred\x1b[0m\ttext\x07\n", 5) == "red text");
  CHECK(printable_tail("", 3).empty());
  CHECK(printable_tail("a\nb", 0).empty());
  CHECK(printable_tail("cut \x1b[", 1) == "cut ");
}

TEST_CASE("last lines come from the end of a long log") {
  Log log;
  for (int i = 0; i < 5000; ++i) log.add("line " + std::to_string(i) + "\r\n");
  CHECK(SerialWatch(log.path(), "").last_lines(2) == "line 4998\nline 4999");
}

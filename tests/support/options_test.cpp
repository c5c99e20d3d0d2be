// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/options.hpp"

#include "cachegen/support/error.hpp"
#include "cachegen/support/file.hpp"

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

OptionTable table() {
  OptionTable t("tool", "[options]", "Does things.");
  t.group("Things")
      .add({.name = "quota", .metavar = "SIZE", .default_value = "256M", .help = "Most bytes."})
      .add({.name = "mode",
            .metavar = "MODE",
            .default_value = "auto",
            .help = "How.",
            .choices = {"auto", "none"}})
      .add({.name = "image", .letter = 'i', .metavar = "IMG", .help = "Image.", .repeatable = true})
      .add({.name = "hold", .help = "Hold."})
      .positionals(1);
  return t;
}

Options parse(const OptionTable& t, std::vector<const char*> words) {
  words.insert(words.begin(), "tool");
  return t.parse(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("values come from the command line or the default") {
  const Options options = parse(table(), {"--quota", "1G", "-i", "a", "--image=b", "x"});
  CHECK(options.size("quota") == GiB);
  CHECK(options.text("mode") == "auto");
  CHECK_FALSE(options.has("mode"));
  CHECK(options.all("image") == std::vector<std::string>{"a", "b"});
  CHECK(options.positional() == std::vector<std::string>{"x"});
  CHECK_FALSE(options.flag("hold"));
  CHECK_FALSE(options.command());
}

TEST_CASE("everything behind -- is the command, untouched") {
  const Options options = parse(table(), {"--hold", "--", "run", "--quota", "7"});
  CHECK(options.flag("hold"));
  CHECK(options.command() == std::vector<std::string>{"run", "--quota", "7"});
}

TEST_CASE("bad options are usage errors that name the option") {
  const auto message = [](std::vector<const char*> words) -> std::string {
    try {
      const Options options = parse(table(), std::move(words));
      options.size("quota");
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::usage);
      return error.what();
    }
    return "";
  };
  CHECK_THAT(message({"--nosuch"}), Catch::Contains("--nosuch"));
  CHECK_THAT(message({"--quota"}), Catch::Contains("--quota"));
  CHECK_THAT(message({"--quota", "much"}), Catch::Contains("--quota: 'much'"));
  CHECK_THAT(message({"--quota", "1", "--quota", "2"}), Catch::Contains("more than once"));
  CHECK_THAT(message({"--mode", "fast"}), Catch::Contains("'fast' is not one of auto, none"));
  CHECK_THAT(message({"a", "b"}), Catch::Contains("unexpected argument 'b'"));
  CHECK_THAT(message({"--quo", "1G"}), Catch::Contains("--quo"));
}

TEST_CASE("the command line wins over the environment, and that over configuration files") {
  const TempFolder folder(temp_root(), "options-test-");
  const fs::path config = folder.path() / "config";
  std::ofstream(config) << "# a comment\nquota = 1M\nmode = none\nhold\n";
  OptionTable t = table();
  t.environment_prefix("VMITEST_").config_file(config);
  setenv("VMITEST_QUOTA", "2M", 1);
  CHECK(parse(t, {}).size("quota") == 2 * MiB);
  CHECK(parse(t, {"--quota", "3M"}).size("quota") == 3 * MiB);
  CHECK(parse(t, {}).text("mode") == "none");
  CHECK(parse(t, {}).flag("hold"));
  unsetenv("VMITEST_QUOTA");
  CHECK(parse(t, {}).size("quota") == 1 * MiB);
  std::ofstream(config) << "nosuch = 1\n";
  CHECK_THROWS_WITH(parse(t, {}), Catch::Contains("line 1") && Catch::Contains("nosuch"));
}

TEST_CASE("help shows every option with its default and choices") {
  const std::string help = table().help();
  for (const char* text :
       {"--quota SIZE", "[256M]", "--mode auto|none", "-i, --image IMG", "Things:", "--help"}) {
    CHECK_THAT(help, Catch::Contains(text));
  }
}

// SPDX-License-Identifier: Apache-2.0
// vmicache as its users meet it: words in, text and exit status out.
#include "cachegen/store/store.hpp"
#include "tests/cache/images.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::testing;

namespace {

RunResult vmicache(Argv words, const std::map<std::string, std::string>& environment = {}) {
  words.insert(words.begin(), VMICACHE_PROGRAM);
  return run(words, soon(), environment);
}

int status(const RunResult& result) {
  return WIFEXITED(result.wait_status) ? WEXITSTATUS(result.wait_status) : -1;
}

}  // namespace

TEST_CASE("every command explains itself") {
  CHECK_THAT(vmicache({"--help"}).out, Catch::Contains("verify") && Catch::Contains("gc"));
  CHECK_THAT(vmicache({"--version"}).out, Catch::StartsWith("vmicache 0."));
  for (const char* command : {"build", "info", "verify", "trace", "ls", "gc"}) {
    CAPTURE(command);
    const RunResult help = vmicache({command, "--help"});
    CHECK(help.ok());
    CHECK(help.err.empty());
    CHECK_THAT(help.out,
               Catch::StartsWith("Usage: vmicache " + std::string(command)) && Catch::Contains("--json"));
    CHECK(vmicache({command, "--version"}).ok());
    const RunResult bad = vmicache({command, "--nosuch"});
    CHECK(status(bad) == 2);
    CHECK(bad.out.empty());
    CHECK_THAT(bad.err, Catch::Contains("--nosuch") &&
                            Catch::Contains("vmicache " + std::string(command) + " --help"));
  }
}

TEST_CASE("words that mean nothing are usage errors") {
  CHECK(status(vmicache({})) == 2);
  CHECK_THAT(vmicache({"frobnicate"}).err, Catch::Contains("'frobnicate'"));
  CHECK(status(vmicache({"frobnicate"})) == 2);
  CHECK(status(vmicache({"info"})) == 2);
  CHECK(status(vmicache({"verify"})) == 2);
  CHECK(status(vmicache({"info", "a", "b"})) == 2);
  CHECK_THAT(vmicache({"gc", "--max-bytes", "much"}).err,
             Catch::Contains("--max-bytes") && Catch::Contains("'much'"));
  CHECK(status(vmicache({"--completion", "fish"})) == 2);
}

TEST_CASE("completion scripts are sound shell and know the commands") {
  const TempFolder folder(temp_root(), "command-test-");
  const std::string script = vmicache({"--completion", "bash"}).out;
  CHECK_THAT(script, Catch::Contains("verify") && Catch::Contains("--max-bytes"));
  write_text_atomically(folder.path() / "c", script);
  CHECK(run({"bash", "-n", (folder.path() / "c").string()}, soon()).ok());
  CHECK_THAT(vmicache({"--completion", "zsh"}).out, Catch::StartsWith("#compdef vmicache"));
}

TEST_CASE("info shows what the cache holds, for people and for scripts") {
  const Fixture f;
  f.write(f.request({{0, MiB, 0}}, 8 * MiB));
  const RunResult text = vmicache({"info", f.cache_path.string()});
  CHECK(text.ok());
  CHECK_THAT(text.out, Catch::Contains(f.image_path.string() + ", raw, 4 MiB") &&
                           Catch::Contains("1 MiB (1048576 bytes)") &&
                           Catch::Contains("8 MiB (8388608 bytes)") && Catch::Contains("runs = 2"));
  const auto json = nlohmann::json::parse(vmicache({"info", "--json", f.cache_path.string()}).out);
  CHECK(json["cached_bytes"] == MiB);
  CHECK(json["quota"] == 8 * MiB);
  CHECK_THAT(text.out, Catch::Contains(json["digest"].get<std::string>()));

  const RunResult refused = vmicache({"info", f.image_path.string()});
  CHECK(status(refused) == 3);
  CHECK_THAT(refused.err, Catch::Contains(f.image_path.string()) && Catch::Contains("no boot cache"));
}

TEST_CASE("verify says what it found and ends with the status that belongs to it") {
  const Fixture f;
  f.write(f.request({{0, MiB, 0}}));
  const RunResult good = vmicache({"verify", f.cache_path.string(), "--image", f.image_path.string()});
  CHECK(status(good) == 0);
  CHECK_THAT(good.out, Catch::Contains("ok") && Catch::Contains("1 MiB compared with the image"));
  CHECK(status(vmicache({"verify", "--sample", f.cache_path.string(), "--image", f.image_path.string()})) ==
        0);

  flip_byte(f.cache_path, 300000);
  const RunResult damaged = vmicache({"verify", f.cache_path.string()});
  CHECK(status(damaged) == 1);
  CHECK_THAT(damaged.out, Catch::Contains("cached data are damaged") && Catch::Contains("[data]"));
  const RunResult as_json = vmicache({"verify", "--json", f.cache_path.string()});
  CHECK(status(as_json) == 1);
  CHECK(as_json.err.empty());
  CHECK(nlohmann::json::parse(as_json.out)["findings"][0]["fault"] == "data");

  CHECK(status(vmicache({"verify", f.image_path.string()})) == 3);
  CHECK_THAT(vmicache({"verify", f.image_path.string()}).out, Catch::Contains("[not_a_cache]"));
  CHECK(status(vmicache({"verify", "/no/such/cache"})) == 3);
  const RunResult no_image = vmicache({"verify", f.cache_path.string(), "--image", "/no/such/image"});
  CHECK(status(no_image) == 3);
  CHECK_THAT(no_image.err, Catch::Contains("'/no/such/image'"));
}

TEST_CASE("ls and gc show and empty the store") {
  const Fixture f;
  f.write(f.request({{0, MiB, 0}}));
  const fs::path folder = f.folder.path() / "store";
  const std::map<std::string, std::string> environment = {{"VMILAUNCH_CACHE_DIR", folder.string()}};
  CHECK_THAT(vmicache({"ls"}, environment).out, Catch::Contains("no caches"));
  Store store(folder);
  const fs::path path = store.find_or_build(
      {.image = f.image(), .parameters = {}},
      [&](const fs::path& output) { fs::copy_file(f.cache_path, output); }, soon());

  const RunResult table = vmicache({"ls"}, environment);
  CHECK_THAT(table.out, Catch::Contains("LAST USE") && Catch::Contains(path.stem().string()) &&
                            Catch::Contains(f.image_path.string()));
  const auto list = nlohmann::json::parse(vmicache({"ls", "--json", "--cache-dir", folder.string()}).out);
  REQUIRE(list.size() == 1);
  CHECK(list[0]["path"] == path.string());
  CHECK(list[0]["file_bytes"] == fs::file_size(path));
  CHECK(list[0]["cached_bytes"] == MiB);

  CHECK_THAT(vmicache({"gc"}, environment).out, Catch::Contains("evicted 0 bytes"));
  const auto evicted = nlohmann::json::parse(vmicache({"gc", "--max-bytes", "0", "--json"}, environment).out);
  CHECK(evicted["evicted"][0]["path"] == path.string());
  CHECK(evicted["kept_bytes"] == 0);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("output that cannot be written is an error") {
  const Fd full = open_file("/dev/full", O_WRONLY);
  Child child = spawn({VMICACHE_PROGRAM, "--help"},
                      {.stdout_fd = full.get(), .stderr_fd = open_file("/dev/null", O_WRONLY).get()});
  CHECK(WEXITSTATUS(child.wait(soon()).value()) == 4);
}

// SPDX-License-Identifier: Apache-2.0
#include "slurm/spank/config.hpp"

#include <vector>

#include <catch2/catch.hpp>

using namespace vmi::spank;

namespace {

Config parse(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return parse_config(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace

TEST_CASE("the plugin's arguments are taken, the last of a kind") {
  const Config config =
      parse({"store=/a", "store=/b", "timeout=9s", "required=yes", "epilog=none", "node_dir=/x/%n"});
  CHECK(config.error.empty());
  CHECK(config.store == "/b");
  CHECK(config.timeout == std::chrono::seconds(9));
  CHECK(config.required);
  CHECK(config.epilog.empty());
  CHECK(config.node_dir == "/x/%n");
}

TEST_CASE("without arguments the plugin finds its programs from where it lies") {
  const Config config = parse({});
  CHECK(config.error.empty());
  CHECK_FALSE(config.required);
  CHECK(config.vmilaunch.ends_with("/bin/vmilaunch"));
  CHECK(config.vmilaunch.starts_with("/"));
  CHECK(config.epilog.ends_with("/vmilaunch/slurm/epilog.sh"));
}

TEST_CASE("an argument that makes no sense is named") {
  for (const std::string argument :
       {"timeout=0", "timeout=601", "timeout=1h", "required=perhaps", "store=here",
        "vmilaunch=", "node_dir=/x/%q", "node_dir=/x/%", "nonsense"}) {
    CAPTURE(argument);
    const std::string error = parse({"store=/a", argument}).error;
    CHECK_THAT(error, Catch::Contains("'" + argument + "'") && Catch::Contains("plugstack.conf") &&
                          Catch::Contains("administrator"));
  }
}

TEST_CASE("a node folder may name node, user and job") {
  CHECK(expand("/x/%n/%u-%j%%", "n7", 1000, 42) == "/x/n7/1000-42%");
  CHECK(expand("", "n7", 1000, 42).empty());
}

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/image_node.hpp"

#include "cachegen/support/error.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using nlohmann::json;

TEST_CASE("a path is a file, whatever characters it has") {
  CHECK(image_node("/images/a b,c:d.qcow2") ==
        json({{"driver", "file"}, {"filename", "/images/a b,c:d.qcow2"}}));
  CHECK(image_node("/x/nbd://y")["driver"] == "file");
}

TEST_CASE("NBD URLs over TCP and Unix sockets") {
  CHECK(image_node("nbd://store/vm1") ==
        json({{"driver", "nbd"},
              {"server", {{"type", "inet"}, {"host", "store"}, {"port", "10809"}}},
              {"export", "vm1"}}));
  CHECK(image_node("nbd://[fe80::1]:99") ==
        json({{"driver", "nbd"}, {"server", {{"type", "inet"}, {"host", "fe80::1"}, {"port", "99"}}}}));
  CHECK(image_node("nbd+unix:///an%20export?socket=/run/s.sock") ==
        json({{"driver", "nbd"},
              {"server", {{"type", "unix"}, {"path", "/run/s.sock"}}},
              {"export", "an export"}}));
  CHECK(image_node("nbd+unix://?socket=/s") ==
        json({{"driver", "nbd"}, {"server", {{"type", "unix"}, {"path", "/s"}}}}));
}

TEST_CASE("URLs that curl opens are handed on whole") {
  CHECK(image_node("https://u:p@host/a?b=c") ==
        json({{"driver", "https"}, {"url", "https://u:p@host/a?b=c"}}));
}

TEST_CASE("NFS and ssh URLs are taken apart") {
  CHECK(image_node("nfs://server/export/disk.img") ==
        json({{"driver", "nfs"},
              {"server", {{"type", "inet"}, {"host", "server"}}},
              {"path", "/export/disk.img"}}));
  CHECK(image_node("ssh://me@host:2222/disk") == json({{"driver", "ssh"},
                                                       {"server", {{"host", "host"}, {"port", "2222"}}},
                                                       {"path", "/disk"},
                                                       {"user", "me"}}));
}

TEST_CASE("anything else can be written as QEMU's own node object") {
  CHECK(image_node(R"(json:{"driver":"rbd","pool":"p","image":"i"})") ==
        json({{"driver", "rbd"}, {"pool", "p"}, {"image", "i"}}));
}

TEST_CASE("malformed image URLs are refused with the reason") {
  CHECK_THROWS_WITH(image_node("gluster://h/v"), Catch::Contains("'gluster'") && Catch::Contains("nbd+unix"));
  CHECK_THROWS_WITH(image_node("rbd:pool/image"), Catch::Contains("'rbd'"));
  CHECK_THROWS_WITH(image_node("nbd:host:99"), Catch::Contains("'//'"));
  CHECK_THROWS_WITH(image_node("nbd+unix:///x"), Catch::Contains("socket="));
  CHECK_THROWS_WITH(image_node("nbd:///x"), Catch::Contains("no host"));
  CHECK_THROWS_WITH(image_node("json:{oops"), Catch::Contains("json:{oops"));
  CHECK_THROWS_WITH(image_node("json:{}"), Catch::Contains("driver"));
}

TEST_CASE("percent escapes are decoded, broken ones are kept") {
  CHECK(percent_decoded("a%2Fb%20") == "a/b ");
  CHECK(percent_decoded("100%") == "100%");
  CHECK(percent_decoded("%zz%4") == "%zz%4");
}

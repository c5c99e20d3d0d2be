// SPDX-License-Identifier: Apache-2.0
// One place for the block graph, shared by profile and launch: a cache only fits the reads that its overlay
// layout makes below itself. The overlay ignores flushes, since it never outlives its VM.
#include "cachegen/guest/block_chain.hpp"

#include "cachegen/guest/image_node.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>

namespace vmi {
namespace {

using nlohmann::json;

json file_node(const std::string& filename, const std::string& name, Aio aio, bool lock) {
  json node = {{"driver", "file"}, {"filename", filename}, {"node-name", name}};
  if (aio == Aio::io_uring) node["aio"] = "io_uring";
  if (!lock) node["locking"] = "off";
  return node;
}

void add_base(const ChainSpec& chain, std::vector<json>& nodes) {
  json file = image_node(chain.image_url);
  if (file["driver"] == chain.image_format &&
      file.contains("file")) {  // json:{...} that gives the format level itself
    file["node-name"] = kBaseNode;
    file["read-only"] = true;
    nodes.push_back(std::move(file));
    return;
  }
  const std::string file_name = std::string(kBaseNode) + "-file";
  file["node-name"] = file_name;
  file["read-only"] = true;
  if (file["driver"] == "file" && !chain.lock_base) file["locking"] = "off";
  nodes.push_back(std::move(file));
  nodes.push_back(
      {{"driver", chain.image_format}, {"node-name", kBaseNode}, {"read-only", true}, {"file", file_name}});
}

void add_cache(const ChainSpec& chain, std::vector<json>& nodes) {
  std::string file_name = std::string(kCacheNode) + "-file";
  json file = image_node(chain.cache_path);
  const bool is_file = file["driver"] == "file";
  if (is_file) file = file_node(chain.cache_path, file_name, chain.aio, chain.lock_cache);
  file["node-name"] = file_name;
  file["read-only"] = !chain.cache_writable;
  // A cache that fills is kept only after a clean end; syncing it while it fills would hold up its reads.
  if (chain.cache_writable) file["cache"] = {{"no-flush", true}};
  nodes.push_back(std::move(file));
  if (is_file && chain.page_cache && !chain.cache_writable) {
    const std::string pages_name = std::string(kCacheNode) + "-pages";
    nodes.push_back({{"driver", "vmipagecache"},
                     {"node-name", pages_name},
                     {"read-only", true},
                     {"file", std::exchange(file_name, pages_name)}});
  }
  nodes.push_back({{"driver", "qcow2"},
                   {"node-name", kCacheNode},
                   {"read-only", !chain.cache_writable},
                   {"file", file_name},
                   {"backing", kBaseNode}});
}

/// Returns the node that the overlay reads through.
std::string add_filter(const ChainSpec& chain, const std::string& below, std::vector<json>& nodes) {
  json filter = {{"node-name", kFilterNode}, {"file", below}};
  if (chain.driver == Driver::vmicache) {
    filter["driver"] = "vmicache";
    filter["fill"] = chain.cache_writable;
    if (chain.cache_writable) filter["quota"] = chain.quota;
    if (!chain.read_trace.empty()) filter["trace"] = chain.read_trace.string();
  } else if (chain.driver == Driver::copy_on_read && chain.cache_writable) {
    filter["driver"] = "copy-on-read";
  } else {
    return below;
  }
  // A filter takes read-only from what it is asked, not from the node below it.
  filter["read-only"] = !chain.cache_writable;
  nodes.push_back(std::move(filter));
  return kFilterNode;
}

}  // namespace

std::vector<json> blockdev_chain(const ChainSpec& chain) {
  std::vector<json> nodes;
  add_base(chain, nodes);
  if (!chain.cache_path.empty()) add_cache(chain, nodes);
  const std::string below = add_filter(chain, chain.cache_path.empty() ? kBaseNode : kCacheNode, nodes);
  const std::string file_name = std::string(kOverlayNode) + "-file";
  const json no_flush = {{"no-flush", true}};
  json file = file_node(chain.overlay.string(), file_name, chain.aio, true);
  file["cache"] = no_flush;
  nodes.push_back(std::move(file));
  nodes.push_back({{"driver", "qcow2"},
                   {"node-name", kOverlayNode},
                   {"file", file_name},
                   {"backing", below},
                   {"cache", no_flush}});
  return nodes;
}

Driver resolve_driver(Driver wanted, const QemuFacts& qemu, bool cold) {
  if (wanted == Driver::vmicache && !qemu.has_vmicache) {
    throw Error(ExitStatus::environment,
                "QEMU '" + qemu.path.string() + "' (" + qemu.version +
                    ") has no vmicache driver; use --driver qcow2 or the cache-enabled QEMU");
  }
  if (wanted == Driver::qcow2 && cold) {
    throw Error(
        ExitStatus::usage,
        "--driver qcow2 reads caches and cannot fill one; for --cache cold use vmicache or copy-on-read");
  }
  if (wanted != Driver::automatic) return wanted;
  if (qemu.has_vmicache) return Driver::vmicache;
  return cold ? Driver::copy_on_read : Driver::qcow2;
}

bool can_lock(const std::string& url_or_path) {
  const Fd file(open(url_or_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return true;
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 100;  // the first of the bytes that QEMU locks (block/file-posix.c, RAW_LOCK_PERM_BASE)
  lock.l_len = 1;
  if (fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return true;
  return errno == EAGAIN || errno == EACCES;  // somebody holds it: locks work
}

}  // namespace vmi

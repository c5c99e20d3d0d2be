// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/aio.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// The disk of a VM: overlay <- cache <- base, with a filter between overlay and cache where the driver has
/// one.
struct ChainSpec {
  fs::path overlay;               ///< the VM's own qcow2 file, without backing file name (the graph names it)
  std::string cache_path;         ///< boot cache, or its URL when it is not writable; empty: none
  bool cache_writable = false;    ///< this VM fills the cache; not with Driver::qcow2
  Bytes quota = 0;                ///< of a cache that Driver::vmicache fills, for its file
  fs::path read_trace;            ///< Driver::vmicache: what is read below the overlay goes to this file
                                  ///< (docs/trace-format.md); empty: nowhere
  std::string image_url;          ///< path or URL, see image_node.hpp
  std::string image_format;       ///< "raw", "qcow2", ...; as `qemu-img info` names it
  Driver driver = Driver::qcow2;  ///< resolved, never automatic, when there is a cache
  Aio aio = Aio::threads;         ///< of overlay and cache, which lie on the node; resolved, never automatic
  /// Reads of a cache file that is not written are copied from the page cache where they are there, by QEMU's
  /// vmipagecache.
  bool page_cache = false;
  /// QEMU's image locks on the cache and the base. Off where the file system has none; see can_lock().
  bool lock_cache = true;
  bool lock_base = true;
};

/// Node names in the graph. Each stands above a "<name>-file" node (ChainSpec::page_cache: with
/// "<name>-pages" between them).
inline constexpr const char* kOverlayNode = "overlay";
inline constexpr const char* kCacheNode = "cache";
inline constexpr const char* kBaseNode = "base";
/// Below the overlay: Driver::vmicache always, above the base where there is no cache; Driver::copy_on_read
/// where it fills one.
inline constexpr const char* kFilterNode = "filter";

/// The graph as -blockdev node objects in the order in which QEMU must get them; the last is kOverlayNode,
/// which the disk uses. The base is read-only and shared. Throws Error(usage) for an image URL that cannot be
/// opened.
std::vector<nlohmann::json> blockdev_chain(const ChainSpec& chain);

/// automatic becomes vmicache where QEMU has it, else qcow2, or copy_on_read for a `cold` cache.
/// An explicit vmicache that QEMU lacks is Error(environment); an explicit qcow2 for a cold cache, which it
/// cannot fill, is Error(usage).
Driver resolve_driver(Driver wanted, const QemuFacts& qemu, bool cold);

/// Whether QEMU's image locking (OFD locks) works on this file. On file systems without it QEMU would refuse
/// the file. True for URLs and for files that cannot be opened, whose own errors say more.
bool can_lock(const std::string& url_or_path);

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vmi {

/// A request of the guest to its disk.
struct GuestRequest {
  enum class Op { read, write } op = Op::read;
  std::int64_t submit_us = 0;  ///< wall clock (gettimeofday), as QEMU logs it
  static constexpr std::int64_t kUnderWay = INT64_MIN;
  std::int64_t complete_us = kUnderWay;  ///< kUnderWay: still, when the trace ended
  Bytes offset = 0;
  Bytes bytes = 0;
};

/// A read that reached the image below the overlay, whoever caused it: the firmware, a guest's read, or a
/// guest's write of a part of a cluster.
struct BaseRead {
  std::int64_t time_us = 0;  ///< wall clock
  Bytes offset = 0;
  Bytes bytes = 0;
};

/// What QEMU must trace (-trace enable=...) for BootTrace: the guest's requests, and unless something else
/// tells them, the reads of all block nodes.
std::vector<std::string> boot_trace_events(bool node_reads);

/// A read of this place and size, made on the base's node by the monitor before the guest runs, shows under
/// which address the base's node appears in the trace.
struct TraceMarker {
  Bytes offset = 0;
  Bytes bytes = 0;
};
/// One that fits into an image and that nobody else would make.
TraceMarker trace_marker(Bytes image_bytes);

/// Reads QEMU's trace as its log backend writes it with timestamps, piece by piece:
///   13000@1795384610.517171:bdrv_co_preadv_part bs 0x55d7a1580460 offset 1024 bytes 32768 flags 0x0
/// bdrv_co_preadv_part is logged for every node of the block graph, with the node's address only. Parents are
/// logged before their children, so the first one with the marker's place and size is the base's own. Of
/// several disks of the guest the one that it asks first counts, since it boots from that.
class BootTrace {
 public:
  explicit BootTrace(TraceMarker marker) : marker_(marker) {}

  /// More of the log, cut anywhere. Throws Error(environment) for a known event in a form that is not
  /// understood.
  void feed(std::string_view text);

  bool found_base() const { return base_ != 0; }
  const std::vector<BaseRead>& base_reads() const { return base_reads_; }
  const std::vector<GuestRequest>& requests() const { return requests_; }

 private:
  struct NodeRead {
    std::uint64_t node;
    BaseRead read;
  };
  void accept_line(std::string_view line);
  void accept_node_read(std::uint64_t node, BaseRead read);

  TraceMarker marker_;
  std::string unfinished_;
  std::uint64_t base_ = 0;
  std::uint64_t disk_ = 0;               ///< the device whose requests count: the first that was asked
  std::vector<NodeRead> before_marker_;  ///< reads of all nodes while the base's address is unknown
  std::vector<BaseRead> base_reads_;
  std::vector<GuestRequest> requests_;
  std::unordered_map<std::uint64_t, std::size_t> open_requests_;  ///< by QEMU's address of the request
};

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/boot_trace.hpp"

#include "cachegen/support/error.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

constexpr TraceMarker kMarker{.offset = 3584, .bytes = 6656};

/// As QEMU 7.2 wrote it: the device reads the partition table through overlay (...430) and base (...460) from
/// the base's file
/// (...c80), the monitor reads the marker, the guest reads and writes.
const std::string kTrace =
    "13000@1795384610.442260:bdrv_co_preadv_part bs 0x55d7a1579c80 offset 0 bytes 112 flags 0x0\n"
    "13000@1795384610.455437:bdrv_co_preadv_part bs 0x55d7a15a0430 offset 0 bytes 512 flags 0x0\n"
    "13000@1795384610.455456:bdrv_co_preadv_part bs 0x55d7a1580460 offset 0 bytes 512 flags 0x0\n"
    "13000@1795384610.455577:bdrv_co_preadv_part bs 0x55d7a1579c80 offset 327680 bytes 512 flags 0x0\n"
    "13000@1795384610.466947:bdrv_co_preadv_part bs 0x55d7a1580460 offset 3584 bytes 6656 flags 0x0\n"
    "13000@1795384610.466965:bdrv_co_preadv_part bs 0x55d7a1579c80 offset 331264 bytes 6656 flags 0x0\n"
    "13000@1795384610.515878:virtio_blk_handle_read vdev 0x55d7a20a99c0 req 0x55d7a13a56c0 sector 8 nsectors "
    "2\n"
    "13000@1795384610.515964:bdrv_co_preadv_part bs 0x55d7a15a0430 offset 4096 bytes 1024 flags 0x8\n"
    "13000@1795384610.515971:bdrv_co_preadv_part bs 0x55d7a1580460 offset 4096 bytes 1024 flags 0x0\n"
    "13000@1795384610.516044:virtio_blk_req_complete vdev 0x55d7a20a99c0 req 0x55d7a13a56c0 status 0\n"
    "13000@1795384610.516698:virtio_blk_handle_write vdev 0x55d7a20a99c0 req 0x55d7a13a56c0 sector 1 "
    "nsectors 1\n"
    "13000@1795384610.516755:bdrv_co_preadv_part bs 0x55d7a1580460 offset 0 bytes 2048 flags 0x0\n";

std::vector<std::pair<Bytes, Bytes>> places(const BootTrace& trace) {
  std::vector<std::pair<Bytes, Bytes>> result;
  for (const BaseRead& read : trace.base_reads()) result.emplace_back(read.offset, read.bytes);
  return result;
}

}  // namespace

TEST_CASE("the marker tells the base from the other nodes, and is itself no read of the boot") {
  BootTrace trace(kMarker);
  trace.feed(kTrace);
  CHECK(trace.found_base());
  // The partition table before the marker, the guest's read, and what its partial write made the overlay
  // copy.
  CHECK(places(trace) == std::vector<std::pair<Bytes, Bytes>>{{0, 512}, {4096, 1024}, {0, 2048}});
  CHECK(trace.base_reads()[1].time_us == 1795384610515971);
}

TEST_CASE("guest requests carry when they were submitted and completed") {
  BootTrace trace(kMarker);
  trace.feed(kTrace);
  REQUIRE(trace.requests().size() == 2);
  const GuestRequest& read = trace.requests()[0];
  CHECK(read.op == GuestRequest::Op::read);
  CHECK(read.offset == 4096);
  CHECK(read.bytes == 1024);
  CHECK(read.complete_us - read.submit_us == 166);
  const GuestRequest& write = trace.requests()[1];
  CHECK(write.op == GuestRequest::Op::write);
  CHECK(write.complete_us == GuestRequest::kUnderWay);  // the trace ends before it does
}

TEST_CASE("a request's address may be used again once it has completed") {
  BootTrace trace(kMarker);
  trace.feed(
      "1@10.000001:virtio_blk_handle_read vdev 0x1 req 0x2 sector 0 nsectors 1\n"
      "1@10.000002:virtio_blk_req_complete vdev 0x1 req 0x2 status 0\n"
      "1@10.000003:virtio_blk_handle_read vdev 0x1 req 0x2 sector 9 nsectors 1\n"
      "1@10.000009:virtio_blk_req_complete vdev 0x1 req 0x2 status 0\n");
  CHECK(trace.requests()[0].complete_us == 10'000'002);
  CHECK(trace.requests()[1].complete_us == 10'000'009);
}

TEST_CASE("requests to another disk than the one that the guest boots from are passed over") {
  BootTrace trace(kMarker);
  trace.feed(
      "1@10.000001:virtio_blk_handle_read vdev 0x1 req 0x2 sector 0 nsectors 1\n"
      "1@10.000002:virtio_blk_handle_read vdev 0x9 req 0x3 sector 5 nsectors 1\n"
      "1@10.000003:virtio_blk_req_complete vdev 0x9 req 0x3 status 0\n"
      "1@10.000004:virtio_blk_req_complete vdev 0x1 req 0x2 status 0\n");
  REQUIRE(trace.requests().size() == 1);
  CHECK(trace.requests()[0].complete_us == 10'000'004);
}

TEST_CASE("the log may come in any pieces") {
  BootTrace whole(kMarker);
  whole.feed(kTrace);
  for (const std::size_t size : {1U, 7U, 64U}) {
    BootTrace pieces(kMarker);
    for (std::size_t at = 0; at < kTrace.size(); at += size)
      pieces.feed(std::string_view(kTrace).substr(at, size));
    CHECK(places(pieces) == places(whole));
    CHECK(pieces.requests().size() == whole.requests().size());
  }
}

TEST_CASE("other lines in the log are passed over") {
  BootTrace trace(kMarker);
  trace.feed(
      "qemu: warning: something @ noon: really\nx\n\n1@10.000001:virtio_blk_data_plane_start dataplane "
      "0x1\n");
  CHECK(trace.base_reads().empty());
  CHECK_FALSE(trace.found_base());
}

TEST_CASE("a completion of what was no read or write is passed over") {
  BootTrace trace(kMarker);
  trace.feed("1@10.000001:virtio_blk_req_complete vdev 0x1 req 0x2 status 0\n");
  CHECK(trace.requests().empty());
}

TEST_CASE("a known event in an unknown form is an error, not a hole in the working set") {
  for (const char* line : {"1@10.000001:bdrv_co_preadv_part bs 0x1 at 0 bytes 1\n",
                           "1@10.000001:bdrv_co_preadv_part bs 0x1 offset -5 bytes 1\n",
                           "1@10.1:bdrv_co_preadv_part bs 0x1 offset 0 bytes 1 flags 0\n",
                           "1@10.000001:virtio_blk_handle_read vdev 0x1 req 0x2 sector\n"}) {
    BootTrace trace(kMarker);
    CHECK_THROWS_WITH(trace.feed(line), Catch::Contains("not understood"));
  }
}

TEST_CASE("the marker fits into the image") {
  CHECK(trace_marker(1 * GiB).bytes == 13 * 512);
  for (const Bytes size : {Bytes{1024}, Bytes{5000}, Bytes{10 * KiB}}) {
    const TraceMarker marker = trace_marker(size);
    CHECK(marker.bytes >= 512);
    CHECK(marker.offset + marker.bytes <= size);
    CHECK(marker.offset > 0);  // unlike the partition table
  }
  CHECK_THROWS_WITH(trace_marker(512), Catch::Contains("too small"));
}

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/boot_trace.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <charconv>

namespace vmi {
namespace {

constexpr Bytes kSector = 512;

/// Takes apart one line; every step throws when the line is not as expected.
class Scanner {
 public:
  explicit Scanner(std::string_view line) : line_(line), rest_(line) {}

  std::string_view word_until(char end) {
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) fail();
    const std::string_view word = rest_.substr(0, at);
    rest_.remove_prefix(at + 1);
    return word;
  }
  /// The number behind `name` and a space, and the space behind it.
  std::uint64_t number(std::string_view name) {
    if (!rest_.starts_with(name) || !rest_.substr(name.size()).starts_with(' ')) fail();
    rest_.remove_prefix(name.size() + 1);
    const int base = rest_.starts_with("0x") ? 16 : 10;
    if (base == 16) rest_.remove_prefix(2);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
    if (error != std::errc()) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (rest_.starts_with(' ')) rest_.remove_prefix(1);
    return value;
  }
  [[noreturn]] void fail() const {
    throw Error(ExitStatus::environment, "QEMU's trace has a line that is not understood: '" +
                                             std::string(line_.substr(0, 200)) + "'");
  }

 private:
  std::string_view line_;
  std::string_view rest_;
};

/// "1795384610.517171" in microseconds.
std::int64_t parse_time(std::string_view text, const Scanner& scanner) {
  std::int64_t seconds = 0;
  std::int64_t micros = 0;
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos || text.size() - point - 1 != 6) scanner.fail();
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), text.data() + point, seconds).ptr != text.data() + point ||
      std::from_chars(text.data() + point + 1, end, micros).ptr != end) {
    scanner.fail();
  }
  return seconds * 1'000'000 + micros;
}

constexpr std::string_view kNodeRead = "bdrv_co_preadv_part";
constexpr std::string_view kGuestRead = "virtio_blk_handle_read";
constexpr std::string_view kGuestWrite = "virtio_blk_handle_write";
constexpr std::string_view kComplete = "virtio_blk_req_complete";

}  // namespace

std::vector<std::string> boot_trace_events(bool node_reads) {
  std::vector<std::string> events{std::string(kGuestRead), std::string(kGuestWrite), std::string(kComplete)};
  if (node_reads) events.emplace_back(kNodeRead);
  return events;
}

TraceMarker trace_marker(Bytes image_bytes) {
  // Before the guest runs, only the device's start-up reads anything: the partition table, sector 0.
  const TraceMarker usual{.offset = 7 * kSector, .bytes = 13 * kSector};
  if (image_bytes >= usual.offset + usual.bytes) return usual;
  if (image_bytes < 2 * kSector) {
    throw Error(ExitStatus::unusable,
                "an image of " + format_size(image_bytes) + " is too small to boot from");
  }
  return {.offset = kSector, .bytes = round_down(image_bytes, kSector) - kSector};
}

void BootTrace::feed(std::string_view text) {
  unfinished_ += text;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = unfinished_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    accept_line(std::string_view(unfinished_).substr(begin, end - begin));
  }
  unfinished_.erase(0, begin);
}

void BootTrace::accept_line(std::string_view line) {
  const std::size_t at = line.find('@');
  const std::size_t colon = line.find(':');
  if (at == std::string_view::npos || colon == std::string_view::npos || colon < at)
    return;  // not a traced event
  Scanner scanner(line);
  scanner.word_until('@');
  const std::string_view time = scanner.word_until(':');
  const std::string_view name = line.substr(colon + 1, line.find(' ', colon) - colon - 1);
  if (name != kNodeRead && name != kGuestRead && name != kGuestWrite && name != kComplete) return;
  scanner.word_until(' ');
  const std::int64_t time_us = parse_time(time, scanner);
  if (name == kNodeRead) {
    const std::uint64_t node = scanner.number("bs");
    const Bytes offset = scanner.number("offset");
    accept_node_read(node, {.time_us = time_us, .offset = offset, .bytes = scanner.number("bytes")});
    return;
  }
  const std::uint64_t device = scanner.number("vdev");
  const std::uint64_t request = scanner.number("req");
  if (name == kComplete) {
    const auto open = open_requests_.find(request);
    if (open == open_requests_.end()) return;  // a flush or the like
    requests_[open->second].complete_us = time_us;
    open_requests_.erase(open);
    return;
  }
  const Bytes offset = scanner.number("sector") * kSector;
  const Bytes bytes = scanner.number("nsectors") * kSector;
  if (disk_ == 0) disk_ = device;
  if (device != disk_) return;
  const auto op = name == kGuestRead ? GuestRequest::Op::read : GuestRequest::Op::write;
  open_requests_[request] = requests_.size();
  requests_.push_back({.op = op, .submit_us = time_us, .offset = offset, .bytes = bytes});
}

void BootTrace::accept_node_read(std::uint64_t node, BaseRead read) {
  if (base_ != 0) {
    if (node == base_) base_reads_.push_back(read);
    return;
  }
  if (read.offset != marker_.offset || read.bytes != marker_.bytes) {
    before_marker_.push_back({node, read});
    return;
  }
  base_ = node;
  for (const NodeRead& earlier : before_marker_) {
    if (earlier.node == base_) base_reads_.push_back(earlier.read);
  }
  before_marker_.clear();
}

}  // namespace vmi

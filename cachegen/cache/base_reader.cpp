// SPDX-License-Identifier: Apache-2.0
// All requests are asynchronous, up to kInFlight of them, and poll() drives them: so every wait has a limit,
// and a base behind a network is read at its bandwidth rather than at one round trip per extent.
#include "cachegen/cache/base_reader.hpp"

#include "cachegen/cache/nbd_library.hpp"
#include "cachegen/support/interrupt.hpp"
#include "cachegen/support/process.hpp"
#include "cachegen/support/socket.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <deque>

#include <fcntl.h>

namespace vmi {
namespace {

constexpr std::size_t kInFlight = 16;
/// NBD_CMD_BLOCK_STATUS takes 32 bits of length.
constexpr Bytes kMostStatus = 2 * GiB;

struct NbdCloser {
  void operator()(nbd_handle* handle) const { nbd().close(handle); }
};
using Nbd = std::unique_ptr<nbd_handle, NbdCloser>;

/// One request on its way. libnbd holds pointers into it until it completes, so it must not move.
struct Request {
  ByteRange range;  ///< within the image
  std::int64_t cookie = -1;
  std::vector<std::byte> buffer;
  std::vector<ByteRange> zeros;
  Bytes described = 0;  ///< block status: how much of the range was answered
};

/// libnbd's extent callback: entries are pairs of length and flags from `offset` on.
int take_extents(void* user, const char*, std::uint64_t offset, std::uint32_t* entries, std::size_t count,
                 int*) {
  auto& request = *static_cast<Request*>(user);
  Bytes at = offset;
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    const Bytes end = std::min<Bytes>(at + entries[i], request.range.end());
    if ((entries[i + 1] & LIBNBD_STATE_ZERO) != 0 && end > at) request.zeros.push_back({at, end - at});
    at = std::max(at, end);
  }
  request.described = at - request.range.offset;
  return 0;
}

void append_merged(std::vector<ByteRange>& ranges, ByteRange range) {
  if (range.bytes == 0) return;
  if (!ranges.empty() && ranges.back().end() == range.offset) {
    ranges.back().bytes += range.bytes;
  } else {
    ranges.push_back(range);
  }
}

}  // namespace

class BaseReader::Impl {
 public:
  Impl(const ImageInfo& image, std::chrono::seconds stall)
      : image_(image), stall_(stall), folder_(temp_root(), "vmicache-base-") {
    start_server();
    connect();
  }

  const ImageInfo& image() const { return image_; }

  void read_all(std::span<const ByteRange> ranges, const Take& take) {
    std::deque<std::unique_ptr<Request>> queue;
    const Drain drain{*this, queue};
    std::vector<std::unique_ptr<Request>> spare;
    std::size_t next = 0;
    for (std::size_t done = 0; done < ranges.size(); ++done) {
      while (next < ranges.size() && queue.size() < kInFlight) {
        if (spare.empty()) spare.push_back(std::make_unique<Request>());
        queue.push_back(std::move(spare.back()));
        spare.pop_back();
        submit_read(*queue.back(), ranges[next++]);
      }
      finish(*queue.front());
      std::unique_ptr<Request> request = std::move(queue.front());
      queue.pop_front();
      if (!take(done, request->buffer)) {
        for (; !queue.empty(); queue.pop_front()) finish(*queue.front());
        return;
      }
      spare.push_back(std::move(request));
    }
  }

  std::vector<ByteRange> zero_ranges(std::span<const ByteRange> ranges) {
    std::vector<ByteRange> zeros;
    std::deque<std::unique_ptr<Request>> queue;
    const Drain drain{*this, queue};
    std::size_t next = 0;
    Bytes next_offset = ranges.empty() ? 0 : ranges[0].offset;
    const auto submit_next = [&] {
      const Bytes end = std::min(ranges[next].end(), image_.virtual_bytes);
      if (next_offset < end) {
        queue.push_back(std::make_unique<Request>());
        submit_status(*queue.back(), {next_offset, std::min(end - next_offset, kMostStatus)});
        next_offset = queue.back()->range.end();
      }
      if (next_offset >= end && ++next < ranges.size()) next_offset = ranges[next].offset;
    };
    while (next < ranges.size() || !queue.empty()) {
      while (next < ranges.size() && queue.size() < kInFlight) submit_next();
      if (queue.empty()) break;
      Request& front = *queue.front();
      finish(front);
      for (const ByteRange& zero : front.zeros) append_merged(zeros, zero);
      if (front.described == 0) fail("it does not say what it has allocated");
      if (front.described < front.range.bytes) {  // a server may answer for less than was asked
        submit_status(front, {front.range.offset + front.described, front.range.bytes - front.described});
      } else {
        queue.pop_front();
      }
    }
    if (!ranges.empty() && ranges.back().end() > image_.virtual_bytes) {
      const Bytes from = std::max(image_.virtual_bytes, ranges.back().offset);
      append_merged(zeros, {from, ranges.back().end() - from});
    }
    return zeros;
  }

 private:
  /// Before buffers go, libnbd must have let go of them: on an exception the connection is closed first.
  struct Drain {
    Impl& impl;
    std::deque<std::unique_ptr<Request>>& queue;
    ~Drain() {
      if (!queue.empty()) impl.nbd_.reset();
    }
  };

  [[noreturn]] void fail(const std::string& why, ExitStatus status = ExitStatus::environment) const {
    throw Error(status, "cannot read image '" + image_.url + "': " + why);
  }

  std::string server_words() const {
    std::string text = read_text(folder_.path() / "stderr");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const std::string prefix = "qemu-nbd: ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }

  [[noreturn]] void fail_to_open(const std::string& ours, ExitStatus status) {
    const bool ended = server_.wait(Deadline::after(std::chrono::seconds(5))).has_value();
    const std::string words = server_words();
    if (ended && !words.empty()) fail(words, ExitStatus::unusable);
    fail(ours, status);
  }

  void start_server() {
    const Fd log = open_file(folder_.path() / "stderr", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const fs::path socket = folder_.path() / "nbd";
    check_socket_path(socket);
    // Without --persistent it ends with our connection, whatever we die of.
    server_ = spawn({"qemu-nbd", "--read-only", "--shared=1", "--format=" + image_.format,
                     "--socket=" + socket.string(), image_.url},
                    {.stderr_fd = log.get(), .death_signal = SIGKILL});
  }

  void connect() {
    Fd fd;
    try {
      fd = connect_unix(folder_.path() / "nbd", Deadline::after(stall_), &server_.pidfd());
    } catch (const Error& error) {
      fail_to_open(error.what(), error.status());
    }
    nbd_.reset(nbd().create());
    if (!nbd_ || nbd().add_meta_context(nbd_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
      fail(nbd().get_error());
    // qemu-nbd listens before it opens the image: when that fails, it hangs up on us and ends.
    if (nbd().connect_socket(nbd_.get(), fd.release()) != 0)
      fail_to_open(nbd().get_error(), ExitStatus::unusable);
    nbd().set_pread_initialize(nbd_.get(), false);
    const std::int64_t size = nbd().get_size(nbd_.get());
    if (size < 0 || static_cast<Bytes>(size) != image_.virtual_bytes) {
      fail("its size changed from " + std::to_string(image_.virtual_bytes) + " to " + std::to_string(size) +
           " bytes");
    }
    has_status_ = nbd().can_meta_context(nbd_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
  }

  nbd_handle* handle() {
    if (!nbd_) fail("the connection was given up after an earlier failure");
    return nbd_.get();
  }

  void submit_read(Request& request, ByteRange range) {
    if (range.bytes > kMostRange) throw std::logic_error("a range of read_all() is too large");
    const Bytes inside =
        range.offset < image_.virtual_bytes ? std::min(range.bytes, image_.virtual_bytes - range.offset) : 0;
    request.range = {range.offset, inside};
    request.buffer.resize(range.bytes);
    std::memset(request.buffer.data() + inside, 0, range.bytes - inside);
    request.cookie = -1;
    if (inside == 0) return;
    request.cookie =
        nbd().aio_pread(handle(), request.buffer.data(), inside, range.offset, NBD_NULL_COMPLETION, 0);
    if (request.cookie < 0) fail(nbd().get_error());
  }

  void submit_status(Request& request, ByteRange range) {
    request.range = range;
    request.zeros.clear();
    request.described = 0;
    request.cookie = -1;
    if (!has_status_) {
      request.described = range.bytes;  // nothing is known to be zero
      return;
    }
    const nbd_extent_callback callback{.callback = take_extents, .user_data = &request, .free = nullptr};
    request.cookie =
        nbd().aio_block_status(handle(), range.bytes, range.offset, callback, NBD_NULL_COMPLETION, 0);
    if (request.cookie < 0) fail(nbd().get_error());
  }

  /// Waits until that request is done.
  void finish(const Request& request) {
    if (request.cookie < 0) return;
    Deadline deadline = Deadline::after(stall_);
    while (true) {
      const int done = nbd().aio_command_completed(handle(), static_cast<std::uint64_t>(request.cookie));
      if (done > 0) return;
      if (done < 0) fail("at byte " + std::to_string(request.range.offset) + ": " + nbd().get_error());
      throw_if_interrupted();
      const int polled = nbd().poll(nbd_.get(), deadline.poll_ms(1000));
      if (polled < 0 && nbd().get_errno() != EINTR) fail(nbd().get_error());
      if (polled > 0) deadline = Deadline::after(stall_);
      if (deadline.passed()) fail("no answer within " + format_duration(stall_), ExitStatus::timed_out);
    }
  }

  ImageInfo image_;
  std::chrono::seconds stall_;
  TempFolder folder_;
  Child server_;
  Nbd nbd_;
  bool has_status_ = false;
};

BaseReader::BaseReader(const ImageInfo& image, std::chrono::seconds stall)
    : impl_(std::make_unique<Impl>(image, stall)) {
}
BaseReader::~BaseReader() = default;
BaseReader::BaseReader(BaseReader&&) noexcept = default;
BaseReader& BaseReader::operator=(BaseReader&&) noexcept = default;

const ImageInfo& BaseReader::image() const {
  return impl_->image();
}

void BaseReader::read(Bytes offset, std::span<std::byte> into) {
  std::vector<ByteRange> ranges;
  for (Bytes at = 0; at < into.size(); at += kMostRange)
    ranges.push_back({offset + at, std::min<Bytes>(kMostRange, into.size() - at)});
  Bytes at = 0;
  impl_->read_all(ranges, [&](std::size_t, std::span<const std::byte> bytes) {
    std::memcpy(into.data() + at, bytes.data(), bytes.size());
    at += bytes.size();
    return true;
  });
}

void BaseReader::read_all(std::span<const ByteRange> ranges, const Take& take) {
  impl_->read_all(ranges, take);
}
std::vector<ByteRange> BaseReader::zero_ranges(std::span<const ByteRange> ranges) {
  return impl_->zero_ranges(ranges);
}

}  // namespace vmi

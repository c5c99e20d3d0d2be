// SPDX-License-Identifier: Apache-2.0
#include "launcher/team/target.hpp"

#include "launcher/team/agreed.hpp"

#include <system_error>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace vmi {
namespace {

[[noreturn]] void throw_no_space(const fs::path& folder, const Payload& payload, Bytes needed,
                                 Bytes available) {
  throw Error(ExitStatus::environment, "not enough space in '" + folder.string() + "' on " + host_name() +
                                           " for '" + payload.name + "': " + format_size(needed) +
                                           " needed, " + format_size(available) +
                                           " available; free some, or name another folder with --node-dir");
}

/// A write past the limit would end the process by SIGXFSZ.
void check_file_size_limit(const fs::path& path, const Payload& payload) {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur >= payload.size)
    return;
  throw Error(ExitStatus::environment, "cannot write '" + path.string() + "' on " + host_name() + ": " +
                                           format_size(payload.size) + " needed, but files are limited to " +
                                           format_size(limit.rlim_cur) + "; raise the limit (ulimit -f)");
}

}  // namespace

Target::Target(fs::path path, const Payload& payload) : path_(std::move(path)) {
  std::error_code ignored;  // open_file reports what matters
  fs::create_directories(path_.parent_path(), ignored);
  check_file_size_limit(path_, payload);
  file_ = open_file(path_, O_RDWR | O_CREAT | O_EXCL, 0644);
  try {
    reserve(payload);
  } catch (...) {
    unlink(path_.c_str());
    throw;
  }
}

Target::~Target() {
  if (!published_) unlink(path_.c_str());
}

void Target::reserve(const Payload& payload) {
  const fs::path folder = path_.parent_path();
  const Bytes needed = payload.bytes_to_write();
  const Bytes available = free_bytes(folder);
  if (needed > available) throw_no_space(folder, payload, needed, available);
  if (ftruncate(file_.get(), static_cast<off_t>(payload.size)) != 0) {
    throw_errno(ExitStatus::environment,
                "cannot make '" + path_.string() + "' " + format_size(payload.size) + " long");
  }
  for (std::size_t chunk = 0; chunk < payload.chunks();) {
    const std::size_t first = chunk;
    while (chunk < payload.chunks() && !payload.is_zero(chunk)) ++chunk;
    if (chunk == first) {
      ++chunk;
      continue;
    }
    const Bytes begin = payload.chunk_offset(first);
    const Bytes end = payload.chunk_offset(chunk - 1) + payload.chunk_bytes(chunk - 1);
    int code = 0;
    do {
      code = fallocate(file_.get(), 0, static_cast<off_t>(begin), static_cast<off_t>(end - begin));
    } while (code != 0 && errno == EINTR);
    if (code == 0) continue;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
      return;  // the free space was enough when it was asked for, above
    if (errno == ENOSPC || errno == EDQUOT) throw_no_space(folder, payload, needed, available);
    throw_errno(ExitStatus::environment,
                "cannot reserve " + format_size(needed) + " for '" + path_.string() + "'");
  }
}

void Target::write(Bytes offset, std::span<const std::byte> bytes) {
  try {
    pwrite_all(file_, bytes, offset, path_);
  } catch (const Error& error) {
    throw Error(error.status(), std::string(error.what()) + " (at byte " + std::to_string(offset) + ", on " +
                                    host_name() + ", " + format_size(free_bytes(path_.parent_path())) +
                                    " available there; free some, or name another folder with --node-dir)");
  }
}

void Target::publish(const fs::path& final_name) {
  if (fsync(file_.get()) != 0) throw_errno(ExitStatus::environment, "cannot sync '" + path_.string() + "'");
  rename_durably(path_, final_name);
  path_ = final_name;
  published_ = true;
}

}  // namespace vmi

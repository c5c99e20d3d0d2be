// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

namespace vmi {

/// The longest path a Unix socket may have (unix(7)), without the closing NUL.
inline constexpr std::size_t kMaxSocketPath = 107;

/// Throws Error(environment) that names the path, its length and the limit when it is too long.
void check_socket_path(const fs::path& path);

/// Connects a stream socket, trying again until the deadline while nobody listens yet.
/// `owner`, when given, is a pidfd: the wait ends at once when that process ends.
Fd connect_unix(const fs::path& path, Deadline deadline, const Fd* owner = nullptr);

/// Waits until `fd` has `events` (POLLIN, POLLOUT); false when the deadline passed first.
bool wait_fd(int fd, short events, Deadline deadline);

/// Writes all of `text`; throws Error(timed_out) that says what was waited for, Error(environment) when the
/// peer has gone.
void write_all(const Fd& fd, std::string_view text, Deadline deadline, std::string_view peer);

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vmi {

/// What a command's exit status means; the man pages list the same. Codes above 125 belong to signals.
enum class ExitStatus : int {
  ok = 0,
  vm_failed = 1,        ///< some VM failed (vmilaunch), or a check found a difference (vmicache verify)
  usage = 2,            ///< bad option or argument
  unusable = 3,         ///< image or cache unusable
  environment = 4,      ///< QEMU, libvirt, KVM, disk space, allocation too small
  timed_out = 124,      ///< a deadline passed
  launch_failed = 125,  ///< with CMD: the launch itself failed
  interrupted = 130,    ///< SIGINT
  terminated = 143,     ///< SIGTERM
};

/// The one exception of this project. The message names the thing, the reason and the remedy.
/// Thrown anywhere, caught once in each `main`, which prints it and returns `status()`.
class Error : public std::runtime_error {
 public:
  Error(ExitStatus status, const std::string& message) : std::runtime_error(message), status_(status) {}
  ExitStatus status() const { return status_; }

  /// The same failure seen from further out: "context: message".
  Error in(std::string_view context) const { return {status_, std::string(context) + ": " + what()}; }

 private:
  ExitStatus status_;
};

/// Throws Error("what: strerror(error_number)").
[[noreturn]] void throw_errno(ExitStatus status, std::string_view what, int error_number = errno);

/// "Permission denied" and the like; thread-safe.
std::string errno_text(int error_number);

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/aio.hpp"

#include <cerrno>
#include <cstring>

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr unsigned kEntries = 128;  // MAX_ENTRIES of QEMU's block/io_uring.c

}  // namespace

std::string io_uring_problem() {
  io_uring_params parameters{};
  const Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, kEntries, &parameters)));
  if (!ring) return std::string("the kernel refuses it (") + std::strerror(errno) + ")";
  if ((parameters.features & IORING_FEAT_NATIVE_WORKERS) == 0) return "the kernel is older than 5.12";
  return {};
}

Aio resolve_aio(Aio wanted, const QemuFacts& qemu, const std::string& problem) {
  if (wanted == Aio::io_uring && !problem.empty()) {
    throw Error(ExitStatus::environment, "cannot use io_uring: " + problem + "; --aio threads does without");
  }
  if (wanted != Aio::automatic) return wanted;
  return qemu.has_vmicache && problem.empty() ? Aio::io_uring : Aio::threads;
}

}  // namespace vmi

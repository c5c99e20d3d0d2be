// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"

namespace vmi {

/// How QEMU reads and writes files (aio= of its block driver "file").
enum class Aio { automatic, threads, io_uring };

template <>
inline constexpr NameTable<Aio, 3> kNames<Aio>{
    "kind of file I/O", {{{Aio::automatic, "auto"}, {Aio::threads, "threads"}, {Aio::io_uring, "io_uring"}}}};

/// Why this process may not use io_uring as QEMU does; empty: it may. Kernels before 5.12 charge rings to the
/// user's locked memory, which is too little for many VMs, and count as not offering it.
std::string io_uring_problem();

/// automatic becomes io_uring where the kernel offers it and QEMU is known to have it (the cache-enabled one
/// is always built with it), else threads. An explicit io_uring needs the kernel alone, else
/// Error(environment) with `problem`.
Aio resolve_aio(Aio wanted, const QemuFacts& qemu, const std::string& problem);

}  // namespace vmi

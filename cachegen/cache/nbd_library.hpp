// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libnbd.h>

namespace vmi {

/// libnbd's functions that are used here. The library is loaded when they are first asked for, and not
/// linked: with gnutls and the others that it takes along it costs each process 3 ms of CPU time, the ranks
/// too, most of which never read an image.
struct NbdLibrary {
  decltype(&::nbd_create) create;
  decltype(&::nbd_close) close;
  decltype(&::nbd_get_error) get_error;
  decltype(&::nbd_get_errno) get_errno;
  decltype(&::nbd_add_meta_context) add_meta_context;
  decltype(&::nbd_can_meta_context) can_meta_context;
  decltype(&::nbd_connect_socket) connect_socket;
  decltype(&::nbd_set_pread_initialize) set_pread_initialize;
  decltype(&::nbd_get_size) get_size;
  decltype(&::nbd_aio_pread) aio_pread;
  decltype(&::nbd_aio_block_status) aio_block_status;
  decltype(&::nbd_aio_command_completed) aio_command_completed;
  decltype(&::nbd_poll) poll;
};

/// Throws Error(environment) when the library cannot be loaded.
const NbdLibrary& nbd();

}  // namespace vmi

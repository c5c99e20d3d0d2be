// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/nbd_library.hpp"

#include "cachegen/support/shared_library.hpp"

namespace vmi {
namespace {

NbdLibrary load_all() {
  const SharedLibrary library("libnbd.so.0", "libnbd", "install it (Debian: libnbd0)");
  NbdLibrary all{};
  library.find("nbd_create", all.create);
  library.find("nbd_close", all.close);
  library.find("nbd_get_error", all.get_error);
  library.find("nbd_get_errno", all.get_errno);
  library.find("nbd_add_meta_context", all.add_meta_context);
  library.find("nbd_can_meta_context", all.can_meta_context);
  library.find("nbd_connect_socket", all.connect_socket);
  library.find("nbd_set_pread_initialize", all.set_pread_initialize);
  library.find("nbd_get_size", all.get_size);
  library.find("nbd_aio_pread", all.aio_pread);
  library.find("nbd_aio_block_status", all.aio_block_status);
  library.find("nbd_aio_command_completed", all.aio_command_completed);
  library.find("nbd_poll", all.poll);
  return all;
}

}  // namespace

const NbdLibrary& nbd() {
  static const NbdLibrary all = load_all();
  return all;
}

}  // namespace vmi

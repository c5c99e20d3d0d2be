// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"
#include "cachegen/support/file.hpp"

#include <map>
#include <string>

namespace vmi::supervisor {

// The folder under which libvirt's in-process driver keeps everything (qemu:///embed?root=FOLDER).

/// Makes the folder and its etc/qemu.conf. What is set there and why is said in docs/adr/0002.
void write_libvirt_root(const fs::path& root);

/// Environment variables by which libvirt is told where to put what is not in its root, and its warnings
/// (about tainted domains and the like, which are for a file and not for the user). To be set before any
/// thread starts.
std::map<std::string, std::string> libvirt_environment(const fs::path& root);

/// What libvirt learnt about an emulator by probing it (seconds), kept per machine and emulator in
/// ${XDG_CACHE_HOME:-$HOME/.cache}/vmilaunch/libvirt-probe. libvirt itself checks that what it reads there is
/// still true. A home that cannot be written to only costs the time.
class ProbeCache {
 public:
  explicit ProbeCache(const QemuFacts& qemu);
  bool known() const;
  /// Copies what is known to the root, before libvirt looks there.
  void seed(const fs::path& root) const;
  /// Keeps what libvirt has learnt since.
  void keep(const fs::path& root) const;

 private:
  fs::path folder_;  ///< empty: nowhere to keep anything
};

}  // namespace vmi::supervisor

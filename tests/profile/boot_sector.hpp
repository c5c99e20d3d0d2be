// SPDX-License-Identifier: Apache-2.0
// Guests that are there in no time, and a folder that shows what is left behind.
#pragma once

#include "cachegen/support/file.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace vmi {

/// TMPDIR is an empty folder while this lives, so that a test sees what a boot leaves behind.
class EmptyTemp {
 public:
  EmptyTemp() { setenv("TMPDIR", folder_.path().c_str(), 1); }
  ~EmptyTemp() { old_.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", old_.c_str(), 1); }
  bool is_empty() const { return fs::is_empty(folder_.path()); }
  const fs::path& path() const { return folder_.path(); }

 private:
  std::string old_ = std::getenv("TMPDIR") != nullptr ? std::getenv("TMPDIR") : "";
  TempFolder folder_{temp_root(), "vmi-test-"};
};

/// A disk whose boot sector does `code` and nothing else.
inline fs::path boot_sector(const fs::path& folder, const std::vector<unsigned char>& code) {
  std::string sector(1 * MiB, '\0');
  std::copy(code.begin(), code.end(), sector.begin());
  sector[510] = '\x55';
  sector[511] = '\xaa';
  fs::path path = folder / "disk.raw";
  write_text_atomically(path, sector);
  return path;
}

inline const std::vector<unsigned char> kHang = {0xfa, 0xf4, 0xeb, 0xfd};         // cli; hlt; jmp to the hlt
inline const std::vector<unsigned char> kReset = {0xea, 0x00, 0x00, 0xff, 0xff};  // jmp ffff:0000
/// Powers machine pc off through ACPI: port 0x604, once SeaBIOS has set it up.
inline const std::vector<unsigned char> kPowerOff = {0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4};
/// Prints 'R' on the first serial port, then hangs.
inline const std::vector<unsigned char> kSayR = {0xba, 0xf8, 0x03, 0xb0, 'R', 0xee, 0xfa, 0xf4, 0xeb, 0xfd};

}  // namespace vmi

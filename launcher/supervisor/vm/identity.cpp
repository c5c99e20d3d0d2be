// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/identity.hpp"

#include "cachegen/guest/seed.hpp"

namespace vmi::supervisor {
namespace {

std::string base64(const std::string& text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t have = std::min<std::size_t>(3, text.size() - i);
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < have ? static_cast<unsigned char>(text[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) result += k <= have ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return result;
}

}  // namespace

std::string kernel_args_of(const VmSpec& spec) {
  return spec.hostname.empty() ? "" : "systemd.hostname=" + spec.hostname;
}

std::vector<std::string> credentials_of(const VmSpec& spec) {
  if (spec.ssh_key.empty()) return {};
  // In base64, since a key holds blanks and must end its line.
  std::string line = spec.ssh_key;
  if (line.back() != '\n') line += '\n';
  return {"io.systemd.credential.binary:ssh.authorized_keys.root=" + base64(line)};
}

void write_seed(const VmSpec& spec, const fs::path& path) {
  const std::string name = spec.hostname.empty() ? spec.name : spec.hostname;
  write_text_atomically(path, seed_image({.instance_id = spec.name,
                                          .hostname = name,
                                          .user_data = read_user_data(spec.guest.user_data)}));
}

}  // namespace vmi::supervisor

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qemu_version.hpp"

#include "cachegen/support/folder.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/process.hpp"

#include <array>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

bool is_binary(const Fd& file) {
  constexpr std::string_view kElf = "\177ELF";
  std::array<char, kElf.size()> begin{};
  return read(file.get(), begin.data(), begin.size()) == static_cast<ssize_t>(begin.size()) &&
         std::string_view(begin.data(), begin.size()) == kElf;
}

std::string time_text(const timespec& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

/// Where the text is kept; empty: nowhere.
fs::path kept_at(const fs::path& program) {
  const fs::path cache = user_cache_folder();
  const Fd file(open(program.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (cache.empty() || !file || fstat(file.get(), &info) != 0 || !is_binary(file)) return {};
  const std::string text = fs::absolute(program).string() + "\n" + std::to_string(info.st_dev) + "\n" +
                           std::to_string(info.st_ino) + "\n" + std::to_string(info.st_size) + "\n" +
                           time_text(info.st_mtim) + "\n" + time_text(info.st_ctim);
  return cache / "qemu-says" / hash128_hex(std::as_bytes(std::span(text)));
}

/// Options are read in their order: a QEMU without seccomp stumbles over the first.
std::string ask(const fs::path& program, Deadline deadline) {
  try {
    return run_checked({program.string(), "-sandbox", "on", "--version"}, deadline);
  } catch (const Error&) {
    return run_checked({program.string(), "--version"}, deadline) + std::string(kNoSandbox) + "\n";
  }
}

}  // namespace

std::string version_text(const fs::path& program, Deadline deadline) {
  const fs::path kept = kept_at(program);
  std::error_code missing;
  if (!kept.empty() && fs::file_size(kept, missing) > 0 && !missing) return read_text(kept);
  std::string text = ask(program, deadline);
  if (kept.empty()) return text;
  try {
    fs::create_directories(kept.parent_path());
    write_text_atomically(kept, text, 0600);
  } catch (const std::exception& error) {
    log_debug("QEMU's version cannot be kept: " + std::string(error.what()));
  }
  return text;
}

}  // namespace vmi

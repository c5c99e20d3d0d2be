// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_store.hpp"

#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

void make_private_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    throw_errno(ExitStatus::environment,
                "cannot make the node folder '" + folder.string() + "'; name another with --node-dir");
  }
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      access(folder.c_str(), W_OK | X_OK) != 0) {
    throw Error(ExitStatus::environment,
                "node folder '" + folder.string() +
                    "' is not a folder that can be written; name another with --node-dir");
  }
}

}  // namespace

NodeStore::NodeStore(const fs::path& node_dir) : folder_(node_dir / "cache") {
  make_private_folder(node_dir);
  make_private_folder(folder_);
  struct stat info {};
  if (stat(folder_.c_str(), &info) == 0 && info.st_uid != getuid()) {
    throw Error(ExitStatus::environment, "node folder '" + folder_.string() + "' belongs to user " +
                                             std::to_string(info.st_uid) +
                                             ", not to you; name another with --node-dir");
  }
}

bool NodeStore::holds(const std::string& digest, Bytes size) const {
  const fs::path path = path_of(digest);
  std::error_code error;
  if (!fs::exists(path, error)) return false;
  const Fd file = open_file(path, O_RDONLY);
  if (fs::file_size(path) == size && digest_of(chunk_hashes(file, size)) == digest) return true;
  log_warning("'" + path.string() + "' is damaged; it is removed and received again");
  fs::remove(path, error);
  return false;
}

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// The caches that a node keeps for one user's later launches, within a budget of bytes:
/// docs/adr/0007-node-pool.md.
///
/// Below --node-dir, in a folder `cache` of that user alone, lie whole files: DIGEST, a copy whose content
/// its name says, and filled-HASH, which a VM filled (supervisor/cold_cache.hpp). NAME.used beside each notes
/// what was last found in it; its mtime is the cache's last use, and a
/// launch that uses the cache has it locked, shared. The folder itself is locked while names in it change
/// hands. Locks are flock(2)'s: the kernel drops those of whoever dies. Where the file system has no locks,
/// nothing is evicted and nothing more is kept.
class NodePool {
 public:
  /// Makes the folder. Throws Error(environment) when that fails, or when the folder is not this user's
  /// alone. No budget: default_budget().
  NodePool(const fs::path& node_dir, std::optional<Bytes> budget);

  /// A quarter of the file system of `folder`, 4 GiB at the most.
  static Bytes default_budget(const fs::path& folder);

  const fs::path& folder() const { return folder_; }
  Bytes budget() const { return budget_; }
  fs::path path_of(const std::string& name) const { return folder_ / name; }

  /// Whether a whole copy is here, which is then not evicted while this object lives. One whose content does
  /// not match its digest is removed.
  bool holds(const std::string& digest, Bytes size);
  /// The same of a filled cache, by what was noted of it when it was kept.
  bool holds_filled(const std::string& name);

  /// Evicts what was used least recently until a file of so many bytes fits the budget and the file system.
  /// A file larger than the budget is never kept: for it, only the file system counts.
  void make_room(Bytes bytes);

  /// What a new file could occupy: what is free, and what would make way.
  Bytes room() const;

  /// Takes in `file` under `name`: makes room, and `publish` gives it that path. Returns false, and publishes
  /// nothing, when it does not fit beside what running launches use. What publish() throws is passed on.
  using Publish = std::function<void(const fs::path& final_name)>;
  bool keep(const fs::path& file, const std::string& name, const Publish& publish);

  /// Ends this launch's uses, and evicts what is above the budget. Returns whether that was anything.
  bool close();

  /// Whether a cache lies here under that name; its content is not looked at.
  bool has(const std::string& name) const;

 private:
  struct Entry;
  std::vector<Entry> entries() const;
  std::optional<Fd> lock() const;
  fs::path used_path(const std::string& name) const;
  void use(const std::string& name);
  struct Note;
  Note note_of(const std::string& name) const;
  void write_note(const std::string& name, const Note& note);
  bool in_use(const std::string& name) const;
  bool check_content(const std::string& name, Bytes size, const std::string& digest);
  bool has_content(const std::string& name, const Fd& file, Bytes size, const std::string& digest);
  /// How much a call of evict_for() leaves in the pool, `incoming` included, and whether it has evicted
  /// anything.
  struct Room {
    Bytes bytes = 0;
    bool evicted = false;
  };
  Room evict_for(const std::string& incoming, Bytes bytes, Bytes free_wanted);
  void sweep() const;

  fs::path folder_;
  Bytes budget_;
  std::map<std::string, Fd> uses_;  ///< NAME.used, locked
};

}  // namespace vmi

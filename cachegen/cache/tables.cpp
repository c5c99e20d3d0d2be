// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/tables.hpp"

#include "cachegen/cache/bytes.hpp"

#include <algorithm>

namespace vmi {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ExitStatus::unusable, why);
}

void check_header(const qcow2::Header& header, Bytes file_bytes) {
  if (header.incompatible != 0)
    refuse("it uses qcow2 features that a boot cache has not (incompatible bits " +
           std::to_string(header.incompatible) + ")");
  if (header.crypt_method != 0) refuse("it is encrypted, which no boot cache is");
  const Bytes l1_bytes = Bytes{header.l1_entries} * 8;
  if (l1_bytes > qcow2::kMostL1Bytes ||
      header.l1_entries < qcow2::l1_entries(header.virtual_bytes, header.cluster_bytes())) {
    refuse("its L1 table has " + std::to_string(header.l1_entries) + " entries, which does not fit its size");
  }
  if (header.l1_offset % header.cluster_bytes() != 0 || header.l1_offset > file_bytes ||
      l1_bytes > file_bytes - header.l1_offset) {
    refuse("its L1 table lies outside the file");
  }
}

class TableReader {
 public:
  TableReader(const Fd& file, const fs::path& path, Bytes file_bytes, const qcow2::Header& header)
      : file_(file),
        path_(path),
        file_bytes_(file_bytes),
        header_(header),
        cluster_(header.cluster_bytes()) {}

  std::vector<CachedExtent> read() {
    check_header(header_, file_bytes_);
    // A piece at a time: the table of a huge image is long, and almost all of it is zero.
    std::vector<std::byte> piece(64 * KiB);
    for (Bytes done = 0; done < Bytes{header_.l1_entries} * 8; done += piece.size()) {
      piece.resize(std::min<Bytes>(piece.size(), Bytes{header_.l1_entries} * 8 - done));
      pread_all(file_, piece, header_.l1_offset + done, path_);
      if (all_zero(piece)) continue;
      for (Bytes i = 0; i < piece.size() / 8; ++i) read_l2(done / 8 + i, load_be64(&piece[i * 8]));
    }
    return std::move(extents_);
  }

 private:
  /// A cluster with at least `need` bytes inside the file; `what` names the entry that points at it.
  Bytes checked_offset(std::uint64_t entry, const std::string& what, Bytes need) const {
    const Bytes offset = entry & qcow2::kOffsetMask;
    if (offset == 0 || offset % cluster_ != 0 || offset > file_bytes_ || need > file_bytes_ - offset) {
      refuse(what + " points to byte " + std::to_string(offset) + ", where there is no cluster");
    }
    return offset;
  }

  void read_l2(Bytes table, std::uint64_t l1_entry) {
    if (l1_entry == 0) return;
    const std::string name = "L1 entry " + std::to_string(table);
    if ((l1_entry & ~(qcow2::kOffsetMask | qcow2::kCopied)) != 0) refuse(name + " has reserved bits set");
    std::vector<std::byte> bytes(cluster_);
    pread_all(file_, bytes, checked_offset(l1_entry, name, cluster_), path_);
    for (Bytes i = 0; i < qcow2::l2_entries(cluster_); ++i) {
      if (const std::uint64_t entry = load_be64(&bytes[i * 8]); entry != 0)
        take_entry(table * qcow2::l2_entries(cluster_) + i, entry);
    }
  }

  void take_entry(std::uint64_t cluster, std::uint64_t entry) {
    const Bytes offset = cluster * cluster_;
    const std::string name = "the entry for image byte " + std::to_string(offset);
    if (offset >= header_.virtual_bytes) refuse(name + " lies behind the image's end");
    if ((entry & qcow2::kCompressed) != 0) refuse(name + " is compressed, which no boot cache is");
    if ((entry & ~(qcow2::kOffsetMask | qcow2::kCopied | qcow2::kZero)) != 0)
      refuse(name + " has reserved bits set");
    std::optional<Bytes> place;
    // QEMU leaves the last cluster short when the image ends inside it.
    if ((entry & qcow2::kZero) == 0)
      place = checked_offset(entry, name, std::min(cluster_, header_.virtual_bytes - offset));
    if (!extents_.empty()) {
      CachedExtent& last = extents_.back();
      const bool goes_on = last.offset + last.bytes == offset &&
                           last.file_offset.has_value() == place.has_value() &&
                           (!place || *last.file_offset + last.bytes == *place);
      if (goes_on) {
        last.bytes += cluster_;
        return;
      }
    }
    extents_.push_back({offset, cluster_, place});
  }

  const Fd& file_;
  const fs::path& path_;
  Bytes file_bytes_;
  const qcow2::Header& header_;
  Bytes cluster_;
  std::vector<CachedExtent> extents_;
};

}  // namespace

std::vector<CachedExtent> read_tables(const Fd& file, const fs::path& path, Bytes file_bytes,
                                      const qcow2::Header& header) {
  return TableReader(file, path, file_bytes, header).read();
}

}  // namespace vmi

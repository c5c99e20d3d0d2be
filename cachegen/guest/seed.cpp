// SPDX-License-Identifier: Apache-2.0
// FAT12 as Microsoft's "FAT: General Overview of On-Disk Format" (1.03) has it. One boot sector, one table,
// one sector of root folder, then clusters of 4 KiB, each file's in a row. Every name here is longer than
// FAT's 8.3, so each file has an entry that holds its long name before its own.
#include "cachegen/guest/seed.hpp"

#include <array>
#include <cstdint>
#include <string_view>

#include <unistd.h>

namespace vmi {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kSectorsPerCluster = 8;
constexpr std::size_t kClusterBytes = kSectorsPerCluster * kSector;
constexpr std::size_t kEntryBytes = 32;
constexpr std::size_t kRootEntries = kSector / kEntryBytes;
constexpr std::size_t kMostClusters = 4084;  // more would be FAT16
constexpr std::size_t kFirstCluster = 2;
constexpr unsigned kEndOfChain = 0xfff;
constexpr char kVolumeLabel = 0x08;
constexpr char kLongName = 0x0f;
constexpr unsigned kDate = 1 << 5 | 1;  // 1 January 1980
constexpr std::string_view kLabel = "CIDATA     ";

static_assert(kMostUserData / kClusterBytes + 4 < kMostClusters && 2 * kMostUserData < 0x10000 * kSector);

void put(std::string& image, std::size_t offset, std::string_view text) {
  image.replace(offset, text.size(), text);
}

/// Little-endian.
void put_number(std::string& image, std::size_t offset, std::size_t bytes, std::uint64_t value) {
  for (std::size_t i = 0; i < bytes; ++i) image[offset + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

std::size_t clusters_of(std::size_t bytes) {
  return (bytes + kClusterBytes - 1) / kClusterBytes;
}

struct SeedFile {
  std::string_view name;        ///< at most 13 characters: one entry holds it
  std::string_view short_name;  ///< 11 characters
  std::string_view content;
};

void put_boot_sector(std::string& image, std::size_t table_sectors) {
  put(image, 0, "\xeb\x3c\x90vmi     ");
  put_number(image, 11, 2, kSector);
  put_number(image, 13, 1, kSectorsPerCluster);
  put_number(image, 14, 2, 1);  // reserved sectors: this one
  put_number(image, 16, 1, 1);  // tables
  put_number(image, 17, 2, kRootEntries);
  put_number(image, 19, 2, image.size() / kSector);
  put_number(image, 21, 1, 0xf8);  // a fixed disk
  put_number(image, 22, 2, table_sectors);
  put_number(image, 24, 2, 63);  // a geometry, which nobody asks for
  put_number(image, 26, 2, 255);
  put_number(image, 36, 1, 0x80);
  put_number(image, 38, 1, 0x29);        // the next three are there
  put_number(image, 39, 4, 0x564d4931);  // the volume's number
  put(image, 43, kLabel);
  put(image, 54, "FAT12   ");
  put_number(image, 510, 2, 0xaa55);
}

void put_table_entry(std::string& image, std::size_t cluster, unsigned value) {
  const std::size_t offset = kSector + cluster * 3 / 2;
  const auto pair = static_cast<unsigned>(static_cast<unsigned char>(image[offset]) |
                                          static_cast<unsigned char>(image[offset + 1]) << 8);
  put_number(image, offset, 2, cluster % 2 == 0 ? (pair & 0xf000) | value : (pair & 0x000f) | value << 4);
}

void put_label(std::string& image, std::size_t entry) {
  put(image, entry, kLabel);
  image[entry + 11] = kVolumeLabel;
  put_number(image, entry + 24, 2, kDate);
}

void put_long_name(std::string& image, std::size_t entry, const SeedFile& file) {
  unsigned sum = 0;
  for (const char c : file.short_name)
    sum = ((sum & 1) << 7 | (sum & 0xff) >> 1) + static_cast<unsigned char>(c);
  put_number(image, entry, 1, 0x41);  // the first and last of its entries
  image[entry + 11] = kLongName;
  put_number(image, entry + 13, 1, sum & 0xff);
  constexpr std::array<std::size_t, 13> kPlaces = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
  for (std::size_t i = 0; i < kPlaces.size(); ++i) {
    const std::uint64_t unit = i < file.name.size()    ? static_cast<unsigned char>(file.name[i])
                               : i == file.name.size() ? 0
                                                       : 0xffff;
    put_number(image, entry + kPlaces.at(i), 2, unit);
  }
}

void put_entry(std::string& image, std::size_t entry, const SeedFile& file, std::size_t first_cluster) {
  put(image, entry, file.short_name);
  put_number(image, entry + 16, 2, kDate);
  put_number(image, entry + 18, 2, kDate);
  put_number(image, entry + 24, 2, kDate);
  put_number(image, entry + 26, 2, file.content.empty() ? 0 : first_cluster);
  put_number(image, entry + 28, 4, file.content.size());
}

void check_size(Bytes size) {
  if (size <= kMostUserData) return;
  throw Error(ExitStatus::usage, "--user-data: " + format_size(size) + " are more than the " +
                                     format_size(kMostUserData) +
                                     " that a seed takes; let the guests fetch what is large");
}

}  // namespace

std::string seed_image(const Seed& seed) {
  check_size(seed.user_data.size());
  const std::string meta = "instance-id: " + seed.instance_id + "\nlocal-hostname: " + seed.hostname + "\n";
  const std::array files = {SeedFile{"meta-data", "META-D~1   ", meta},
                            SeedFile{"user-data", "USER-D~1   ", seed.user_data}};
  std::size_t clusters = 1;  // none at all would be strange
  for (const SeedFile& file : files) clusters += clusters_of(file.content.size());
  const std::size_t table_sectors = ((kFirstCluster + clusters) * 3 / 2 + kSector) / kSector;
  const std::size_t root = (1 + table_sectors) * kSector;
  const std::size_t data = root + kSector;

  std::string image(data + clusters * kClusterBytes, '\0');
  put_boot_sector(image, table_sectors);
  put_table_entry(image, 0, 0xff8);
  put_table_entry(image, 1, kEndOfChain);
  put_label(image, root);
  std::size_t entry = root + kEntryBytes;
  std::size_t cluster = kFirstCluster;
  for (const SeedFile& file : files) {
    put_long_name(image, entry, file);
    put_entry(image, entry + kEntryBytes, file, cluster);
    entry += 2 * kEntryBytes;
    put(image, data + (cluster - kFirstCluster) * kClusterBytes, file.content);
    for (std::size_t left = clusters_of(file.content.size()); left > 0; --left, ++cluster)
      put_table_entry(image, cluster, left == 1 ? kEndOfChain : static_cast<unsigned>(cluster + 1));
  }
  return image;
}

std::string read_user_data(const fs::path& path) {
  std::error_code error;
  const Bytes size = fs::file_size(path, error);
  if (error || access(path.c_str(), R_OK) != 0) {
    throw Error(ExitStatus::usage, "--user-data: cannot read '" + path.string() +
                                       "': " + (error ? error.message() : errno_text(errno)));
  }
  check_size(size);
  return read_text(path);
}

}  // namespace vmi

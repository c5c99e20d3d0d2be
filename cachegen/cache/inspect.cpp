// SPDX-License-Identifier: Apache-2.0
// A boot cache can be recognised from both ends: by the extension in its header, and by the footer in its
// last bytes. So damage to either is told from a file that never was a cache, and a file cut short from one
// whose header lies.
#include "cachegen/cache/inspect.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/cache/range_hash.hpp"
#include "cachegen/support/hash.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

namespace vmi {
namespace {

/// More than header, our extensions, QEMU's own and the longest name need.
constexpr Bytes kBeginning = 64 * KiB;
/// A trailer holds 8 bytes per 256 KiB of file and a few per extent; 1 GiB of it belongs to no cache.
constexpr Bytes kMostTrailer = 1 * GiB;
/// Autoclear bits that QEMU knows and keeps: bitmaps, raw external data.
constexpr std::uint64_t kAutoclearOfQemu = 3;

void read_header(Inspection& result, std::string& why) {
  std::vector<std::byte> beginning(std::min(kBeginning, result.file_bytes));
  pread_all(result.file, beginning, 0, result.path);
  try {
    result.first = qcow2::decode(beginning);
    const qcow2::Extension* extension = result.first->find(kCacheExtensionType);
    if (extension == nullptr) {
      why = "it is a qcow2 file without a boot cache's header extension";
    } else {
      result.extension = CacheExtension::decode(extension->data);
      result.sealed = (result.first->header.autoclear & kAutoclearSealed) != 0;
    }
  } catch (const Error& error) {
    why = error.what();
  }
}

std::optional<Footer> read_footer(const Inspection& result) {
  if (result.file_bytes < kFooterBytes) return std::nullopt;
  std::array<std::byte, kFooterBytes> bytes{};
  pread_all(result.file, bytes, result.file_bytes - kFooterBytes, result.path);
  std::optional<Footer> footer = decode_footer(bytes);
  if (footer && (footer->trailer_bytes > result.file_bytes ||
                 footer->trailer_offset != result.file_bytes - footer->trailer_bytes))
    footer.reset();
  return footer;
}

/// The trailer at that place, or why there is none.
std::optional<Trailer> read_trailer(const Inspection& result, Bytes offset, Bytes bytes, std::string& why) {
  if (bytes > kMostTrailer || offset > result.file_bytes || bytes > result.file_bytes - offset) {
    why = "it lies outside the file";
    return std::nullopt;
  }
  std::vector<std::byte> buffer(bytes);
  pread_all(result.file, buffer, offset, result.path);
  try {
    return Trailer::decode(buffer, offset);
  } catch (const Error& error) {
    why = error.what();
    return std::nullopt;
  }
}

/// The header's checksum, with the bit set that QEMU may have cleared.
bool header_is_as_made(const Inspection& result) {
  const RegionSum& sum = result.trailer->regions[0];
  if (sum.region != Region::header || sum.offset != 0 || sum.bytes < qcow2::kLeastCluster ||
      sum.bytes > std::min(result.file_bytes, qcow2::kMostCluster))
    return false;
  std::vector<std::byte> bytes(sum.bytes);
  pread_all(result.file, bytes, 0, result.path);
  std::byte* autoclear = &bytes[qcow2::kAutoclearOffset];
  store_be64(autoclear, load_be64(autoclear) | kAutoclearSealed);
  return hash_bytes(bytes) == sum.hash;
}

void add(Inspection& result, Fault fault, std::string text) {
  result.findings.push_back({fault, std::move(text)});
}

void judge_sealed(Inspection& result, const std::optional<Footer>& footer) {
  const CacheExtension& extension = *result.extension;
  const Bytes expected = extension.trailer_offset + extension.trailer_bytes;
  std::string why;
  const bool agrees = footer && footer->trailer_offset == extension.trailer_offset &&
                      footer->trailer_bytes == extension.trailer_bytes;
  if (footer && !agrees) {
    result.trailer = read_trailer(result, footer->trailer_offset, footer->trailer_bytes, why);
    if (result.trailer)
      return add(result, Fault::header,
                 "its header is damaged: it says that the trailer lies elsewhere than it does");
  }
  if (result.file_bytes < expected) {
    return add(result, Fault::truncated,
               "it is cut short: it has " + std::to_string(result.file_bytes) + " bytes of " +
                   std::to_string(expected));
  }
  result.trailer = read_trailer(result, extension.trailer_offset, extension.trailer_bytes, why);
  if (!result.trailer) return add(result, Fault::trailer, "its trailer is damaged: " + why);
  if (result.file_bytes > expected) {
    add(result, Fault::extra_bytes,
        "it has " + std::to_string(result.file_bytes - expected) + " bytes behind its end at " +
            std::to_string(expected));
  }
  if (!header_is_as_made(result))
    add(result, Fault::header, "its header is damaged: its checksum does not match");
}

void judge_unsealed(Inspection& result, const std::optional<Footer>& footer) {
  std::string why;
  if (footer) result.trailer = read_trailer(result, footer->trailer_offset, footer->trailer_bytes, why);
  if ((result.first->header.autoclear & ~kAutoclearOfQemu) != 0) {
    return add(result, Fault::header, "its header is damaged: it has feature bits that nobody sets");
  }
  add(result, Fault::written,
      result.trailer && header_is_as_made(result)
          ? "a QEMU opened it for writing since it was made (the bit that vouches for its trailer is clear; "
            "the header is unchanged otherwise)"
          : "a QEMU wrote into it since it was made (the bit that vouches for its trailer is clear)");
}

}  // namespace

bool Inspection::has(Fault fault) const {
  return std::ranges::any_of(findings, [fault](const Finding& finding) { return finding.fault == fault; });
}

Inspection inspect_cache(const fs::path& path) {
  Inspection result;
  result.path = path;
  // Without blocking: a FIFO is refused below rather than waited for.
  result.file = open_file(path, O_RDONLY | O_NONBLOCK, 0, ExitStatus::unusable);
  struct stat info {};
  if (fstat(result.file.get(), &info) != 0)
    throw_errno(ExitStatus::environment, "cannot look at '" + path.string() + "'");
  if (!S_ISREG(info.st_mode)) throw Error(ExitStatus::unusable, "'" + path.string() + "' is not a file");
  result.file_bytes = static_cast<Bytes>(info.st_size);

  std::string why;
  read_header(result, why);
  const std::optional<Footer> footer = read_footer(result);
  if (result.extension) {
    result.sealed ? judge_sealed(result, footer) : judge_unsealed(result, footer);
    return result;
  }
  std::string ignored;
  if (footer) result.trailer = read_trailer(result, footer->trailer_offset, footer->trailer_bytes, ignored);
  if (result.trailer) {
    add(result, Fault::header, "its header is damaged: " + why);
  } else {
    add(result, Fault::not_a_cache, "it is no boot cache: " + why);
  }
  return result;
}

bool is_boot_cache(const fs::path& path) {
  const Inspection inspection = inspect_cache(path);
  return !inspection.has(Fault::not_a_cache);
}

}  // namespace vmi

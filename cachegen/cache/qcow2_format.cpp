// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/qcow2_format.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <bit>

namespace vmi::qcow2 {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ExitStatus::unusable, why);
}

Header decode_header(ByteReader& in) {
  if (in.left() < 4 || in.u32() != kMagic)
    refuse("it is not a qcow2 file (its first four bytes are not 'QFI\\xfb')");
  Header h;
  h.version = in.u32();
  if (h.version != 3) refuse("its qcow2 version is " + std::to_string(h.version) + " and not 3");
  h.backing_name_offset = in.u64();
  h.backing_name_length = in.u32();
  h.cluster_bits = in.u32();
  if (h.cluster_bits < 9 || h.cluster_bits > 21)
    refuse("its cluster size is 2^" + std::to_string(h.cluster_bits) + ", outside 512 bytes to 2 MiB");
  h.virtual_bytes = in.u64();
  h.crypt_method = in.u32();
  h.l1_entries = in.u32();
  h.l1_offset = in.u64();
  h.refcount_table_offset = in.u64();
  h.refcount_table_clusters = in.u32();
  h.snapshots = in.u32();
  h.snapshots_offset = in.u64();
  h.incompatible = in.u64();
  h.compatible = in.u64();
  h.autoclear = in.u64();
  h.refcount_order = in.u32();
  h.header_length = in.u32();
  if (h.header_length < 104 || h.header_length % 8 != 0 || h.header_length > h.cluster_bytes()) {
    refuse("its header length is " + std::to_string(h.header_length));
  }
  if (h.refcount_order > 6) refuse("its refcount order is " + std::to_string(h.refcount_order));
  return h;
}

std::vector<Extension> decode_extensions(ByteReader& in) {
  std::vector<Extension> extensions;
  while (true) {
    const std::uint32_t type = in.u32();
    const std::uint32_t length = in.u32();
    if (type == kExtensionEnd) return extensions;
    const auto data = in.raw(length);
    extensions.push_back({type, {data.begin(), data.end()}});
    in.skip(round_up(length, 8) - length);
  }
}

}  // namespace

const Extension* FirstCluster::find(std::uint32_t type) const {
  const auto found = std::ranges::find(extensions, type, &Extension::type);
  return found == extensions.end() ? nullptr : &*found;
}

std::size_t first_cluster_need(const FirstCluster& first) {
  std::size_t need = kHeaderLength + 8 + first.backing_name.size();  // with the end mark of the extensions
  for (const Extension& extension : first.extensions) need += 8 + round_up(extension.data.size(), 8);
  return need;
}

std::vector<std::byte> encode(const FirstCluster& first) {
  const Header& h = first.header;
  const std::size_t need = first_cluster_need(first);
  if (first.backing_name.size() > kMostBackingName) {
    refuse("the backing file's name has " + std::to_string(first.backing_name.size()) +
           " characters and may have " + std::to_string(kMostBackingName));
  }
  if (need > h.cluster_bytes()) {
    refuse("header and backing file name need " + std::to_string(need) + " bytes and a cluster has " +
           std::to_string(h.cluster_bytes()) + "; use larger clusters or a shorter path");
  }
  ByteWriter out;
  out.u32(kMagic);
  out.u32(h.version);
  out.u64(first.backing_name.empty() ? 0 : need - first.backing_name.size());
  out.u32(static_cast<std::uint32_t>(first.backing_name.size()));
  out.u32(h.cluster_bits);
  out.u64(h.virtual_bytes);
  out.u32(h.crypt_method);
  out.u32(h.l1_entries);
  out.u64(h.l1_offset);
  out.u64(h.refcount_table_offset);
  out.u32(h.refcount_table_clusters);
  out.u32(h.snapshots);
  out.u64(h.snapshots_offset);
  out.u64(h.incompatible);
  out.u64(h.compatible);
  out.u64(h.autoclear);
  out.u32(h.refcount_order);
  out.u32(kHeaderLength);
  out.zeros(8);  // compression type 0 (zlib; nothing here is compressed) and padding
  for (const Extension& extension : first.extensions) {
    out.u32(extension.type);
    out.u32(static_cast<std::uint32_t>(extension.data.size()));
    out.raw(extension.data);
    out.pad_to(8);
  }
  out.u32(kExtensionEnd);
  out.u32(0);
  out.text(first.backing_name);
  out.pad_to(h.cluster_bytes());
  return out.take();
}

FirstCluster decode(std::span<const std::byte> beginning) {
  FirstCluster first;
  ByteReader in(beginning, "its qcow2 header");
  first.header = decode_header(in);
  const Header& h = first.header;

  ByteReader cluster(beginning.first(std::min<std::size_t>(beginning.size(), h.cluster_bytes())),
                     "its first cluster");
  cluster.skip(h.header_length);
  first.extensions = decode_extensions(cluster);

  if (h.backing_name_length > kMostBackingName)
    refuse("its backing file's name has " + std::to_string(h.backing_name_length) + " characters");
  if (h.backing_name_length > 0) {
    ByteReader name(beginning.first(std::min<std::size_t>(beginning.size(), h.cluster_bytes())),
                    "its backing file's name");
    if (h.backing_name_offset > h.cluster_bytes())
      refuse("its backing file's name lies outside the first cluster");
    name.skip(h.backing_name_offset);
    first.backing_name = name.text(h.backing_name_length);
  }
  return first;
}

std::uint32_t cluster_bits_of(Bytes cluster_bytes) {
  if (!std::has_single_bit(cluster_bytes) || cluster_bytes < kLeastCluster || cluster_bytes > kMostCluster) {
    throw Error(ExitStatus::usage, "a cluster of " + std::to_string(cluster_bytes) +
                                       " bytes is not possible; it must be a power of two from 512 to 2M");
  }
  return static_cast<std::uint32_t>(std::countr_zero(cluster_bytes));
}

}  // namespace vmi::qcow2

// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/trailer.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/support/error.hpp"
#include "cachegen/support/hash.hpp"

namespace vmi {
namespace {

constexpr std::string_view kTrailerMagic = "VMICTAIL";
constexpr std::string_view kFooterMagic = "VMICFOOT";
constexpr std::size_t kFactsDigestBytes = 32;

enum Section : std::uint32_t { kBase = 1, kFacts = 2, kRegions = 3, kChunks = 4, kOrder = 5 };
constexpr std::uint32_t kSections = 5;
constexpr std::size_t kTrailerHeadBytes = 16;
constexpr std::size_t kSectionHeadBytes = 16;
constexpr std::size_t kRegionBytes = 32;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ExitStatus::unusable, why);
}

/// A run is said relative to the one before it, so that the numbers stay small.
struct RunCode {
  std::uint64_t step;
  std::uint64_t count_and_zero;
  std::uint64_t wait;
  std::size_t bytes() const { return varint_bytes(step) + varint_bytes(count_and_zero) + varint_bytes(wait); }
};

RunCode code_of(const OrderRun& run, const OrderRun& before) {
  return {zigzag(static_cast<std::int64_t>(run.cluster - before.end())), run.count << 1 | (run.zero ? 1 : 0),
          zigzag(run.first_access_us - before.first_access_us)};
}

void put_section(ByteWriter& out, Section type, std::span<const std::byte> payload) {
  out.u32(type);
  out.u32(0);
  out.u64(payload.size());
  out.raw(payload);
  out.pad_to(8);
}

void put_regions(ByteWriter& out, const RegionSums& regions) {
  for (const RegionSum& sum : regions) {
    out.u32(static_cast<std::uint32_t>(sum.region));
    out.u32(0);
    out.u64(sum.offset);
    out.u64(sum.bytes);
    out.u64(sum.hash);
  }
}

RegionSums get_regions(ByteReader in) {
  RegionSums regions;
  for (RegionSum& sum : regions) {
    const std::uint32_t kind = in.u32();
    if (kind < 1 || kind > static_cast<std::uint32_t>(Region::data))
      refuse("it has a checksum of an unknown region");
    sum.region = static_cast<Region>(kind);
    in.skip(4);
    sum.offset = in.u64();
    sum.bytes = in.u64();
    sum.hash = in.u64();
  }
  return regions;
}

void put_order(ByteWriter& out, const std::vector<OrderRun>& order) {
  out.varint(order.size());
  OrderRun before;
  for (const OrderRun& run : order) {
    const RunCode code = code_of(run, before);
    out.varint(code.step);
    out.varint(code.count_and_zero);
    out.varint(code.wait);
    before = run;
  }
}

std::vector<OrderRun> get_order(ByteReader in) {
  // 2^54 clusters of 512 bytes are more than any image has: below it, nothing here can overflow.
  constexpr std::uint64_t kMostClusters = 1ULL << 54;
  const std::uint64_t runs = in.varint();
  if (runs > in.left()) refuse("its order is cut short");
  std::vector<OrderRun> order;
  order.reserve(runs);
  OrderRun before;
  for (std::uint64_t i = 0; i < runs; ++i) {
    OrderRun run;
    run.cluster = before.end() + static_cast<std::uint64_t>(unzigzag(in.varint()));
    const std::uint64_t count_and_zero = in.varint();
    run.count = count_and_zero >> 1;
    run.zero = (count_and_zero & 1) != 0;
    run.first_access_us = static_cast<std::int64_t>(static_cast<std::uint64_t>(before.first_access_us) +
                                                    static_cast<std::uint64_t>(unzigzag(in.varint())));
    if (run.count == 0 || run.count > kMostClusters || run.cluster > kMostClusters)
      refuse("its order holds an impossible run");
    order.push_back(run);
    before = run;
  }
  return order;
}

nlohmann::json parse_json(std::span<const std::byte> payload) {
  const auto* text = reinterpret_cast<const char*>(payload.data());
  return nlohmann::json::parse(text, text + payload.size());
}

}  // namespace

std::string facts_digest_of(const nlohmann::json& facts) {
  return hash128_hex(bytes_of(facts.dump()));
}

std::vector<std::byte> CacheExtension::encode() const {
  ByteWriter out;
  out.u32(kCacheFormatVersion);
  out.u32(0);
  out.u64(quota);
  out.u64(trailer_offset);
  out.u64(trailer_bytes);
  out.text(facts_digest);
  out.zeros(kFactsDigestBytes - facts_digest.size());
  return out.take();
}

CacheExtension CacheExtension::decode(std::span<const std::byte> bytes) {
  ByteReader in(bytes, "its boot cache extension");
  const std::uint32_t version = in.u32();
  if (version != kCacheFormatVersion) {
    refuse("its boot cache format is " + std::to_string(version) + " and this program knows " +
           std::to_string(kCacheFormatVersion));
  }
  in.skip(4);
  CacheExtension extension;
  extension.quota = in.u64();
  extension.trailer_offset = in.u64();
  extension.trailer_bytes = in.u64();
  extension.facts_digest = in.text(kFactsDigestBytes);
  return extension;
}

std::vector<std::byte> Trailer::encode(Bytes offset) const {
  ByteWriter out;
  out.text(kTrailerMagic);
  out.u32(kCacheFormatVersion);
  out.u32(kSections);
  put_section(out, kBase, bytes_of(base.to_json().dump()));
  put_section(out, kFacts, bytes_of(facts.dump()));
  ByteWriter payload;
  put_regions(payload, regions);
  put_section(out, kRegions, payload.take());
  for (const std::uint64_t hash : chunk_hashes) payload.u64(hash);
  put_section(out, kChunks, payload.take());
  put_order(payload, order);
  put_section(out, kOrder, payload.take());

  const std::uint64_t body_hash = hash64(out.bytes());
  const std::size_t footer = out.size();
  out.u64(offset);
  out.u64(footer + kFooterBytes);
  out.u64(body_hash);
  out.text(kFooterMagic);
  out.u64(hash64(std::span(out.bytes()).subspan(footer)));
  return out.take();
}

std::optional<Footer> decode_footer(std::span<const std::byte, kFooterBytes> bytes) {
  ByteReader in(bytes, "its footer");
  Footer footer;
  footer.trailer_offset = in.u64();
  footer.trailer_bytes = in.u64();
  in.skip(8);
  if (in.text(kFooterMagic.size()) != kFooterMagic || in.u64() != hash64(bytes.first(kFooterBytes - 8)))
    return std::nullopt;
  return footer;
}

Trailer Trailer::decode(std::span<const std::byte> bytes, Bytes offset) {
  if (bytes.size() < kTrailerHeadBytes + kFooterBytes) refuse("it is cut short");
  const std::span<const std::byte> body = bytes.first(bytes.size() - kFooterBytes);
  const auto tail = bytes.last<kFooterBytes>();
  const std::optional<Footer> footer = decode_footer(tail);
  if (!footer) refuse("its footer is damaged");
  if (footer->trailer_offset != offset || footer->trailer_bytes != bytes.size())
    refuse("its footer belongs to another place");
  if (load_be64(tail.data() + 16) != hash64(body)) refuse("its checksum does not match");

  ByteReader in(body, "it");
  if (in.text(kTrailerMagic.size()) != kTrailerMagic)
    refuse("it does not begin with '" + std::string(kTrailerMagic) + "'");
  if (in.u32() != kCacheFormatVersion) refuse("its version is unknown");
  const std::uint32_t sections = in.u32();
  Trailer trailer;
  std::uint32_t seen = 0;
  try {
    for (std::uint32_t i = 0; i < sections; ++i) {
      const std::uint32_t type = in.u32();
      in.skip(4);
      const std::uint64_t length = in.u64();
      const std::span<const std::byte> payload = in.raw(length);
      in.skip(round_up(length, 8) - length);
      if (type < 32) seen |= 1U << type;
      if (type == kBase) trailer.base = BaseIdentity::from_json(parse_json(payload));
      if (type == kFacts) trailer.facts = parse_json(payload);
      if (type == kRegions) trailer.regions = get_regions({payload, "its table of checksums"});
      if (type == kOrder) trailer.order = get_order({payload, "its order"});
      if (type == kChunks) {
        ByteReader hashes(payload, "its checksums");
        while (hashes.left() > 0) trailer.chunk_hashes.push_back(hashes.u64());
      }
    }
  } catch (const nlohmann::json::exception& error) {
    refuse(std::string("it is not understood: ") + error.what());
  }
  constexpr std::uint32_t kAll = 1U << kBase | 1U << kFacts | 1U << kRegions | 1U << kChunks | 1U << kOrder;
  if ((seen & kAll) != kAll) refuse("a section is missing");
  return trailer;
}

TrailerSize::TrailerSize(const BaseIdentity& base, const nlohmann::json& facts)
    : fixed_bytes_(kTrailerHeadBytes + kSections * kSectionHeadBytes +
                   round_up(base.to_json().dump().size(), 8) + round_up(facts.dump().size(), 8) +
                   std::tuple_size_v<RegionSums> * kRegionBytes + kFooterBytes) {
}

void TrailerSize::add(std::uint64_t cluster, bool zero, std::int64_t first_access_us) {
  if (!order_.empty()) {
    OrderRun& last = order_.back();
    if (cluster == last.end() && zero == last.zero && first_access_us == last.first_access_us) {
      ++last.count;
      return;
    }
    closed_runs_bytes_ += code_of(last, order_.size() > 1 ? order_[order_.size() - 2] : OrderRun{}).bytes();
  }
  order_.push_back({cluster, 1, zero, first_access_us});
}

void TrailerSize::rewind(const Mark& mark) {
  closed_runs_bytes_ = mark.closed_runs_bytes;
  if (order_.size() > mark.runs) {
    order_.pop_back();
  } else {
    --order_.back().count;
  }
}

Bytes TrailerSize::bytes(Bytes trailer_offset) const {
  std::size_t order = varint_bytes(order_.size()) + closed_runs_bytes_;
  if (!order_.empty())
    order += code_of(order_.back(), order_.size() > 1 ? order_[order_.size() - 2] : OrderRun{}).bytes();
  return fixed_bytes_ + trailer_offset / kDigestChunk * 8 + round_up(order, 8);
}

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#include "launcher/team/payload.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

namespace vmi {
namespace {

std::uint64_t hash_of_zeros(Bytes bytes) {
  const std::vector<std::byte> zeros(bytes);
  return hash64(zeros);
}

}  // namespace

Bytes Payload::chunk_bytes(std::size_t chunk) const {
  return std::min(kDigestChunk, size - chunk_offset(chunk));
}

std::size_t Payload::chunk_at(std::size_t position) const {
  constexpr std::size_t kPlaces = 32;
  const std::size_t metadata =
      std::min<std::size_t>(round_up(metadata_bytes, kDigestChunk) / kDigestChunk, chunks());
  if (position < metadata) return position;
  // The first `longer` places have a chunk more than the others; those go last.
  const std::size_t turn = position - metadata;
  const std::size_t rounds = (chunks() - metadata) / kPlaces;
  const std::size_t longer = (chunks() - metadata) % kPlaces;
  const bool last = turn >= rounds * kPlaces;
  const std::size_t round = last ? rounds : turn / kPlaces;
  const std::size_t place = last ? turn - rounds * kPlaces : turn % kPlaces;
  return metadata + place * rounds + std::min(place, longer) + round;
}

bool Payload::is_zero(std::size_t chunk) const {
  static const std::uint64_t whole = hash_of_zeros(kDigestChunk);
  const Bytes bytes = chunk_bytes(chunk);
  return hashes[chunk] == (bytes == kDigestChunk ? whole : hash_of_zeros(bytes));
}

Bytes Payload::bytes_to_write() const {
  Bytes bytes = 0;
  for (std::size_t chunk = 0; chunk < chunks(); ++chunk) {
    if (!is_zero(chunk)) bytes += chunk_bytes(chunk);
  }
  return bytes;
}

std::string Payload::describe_chunk(std::size_t chunk) const {
  const Bytes offset = chunk_offset(chunk);
  return "chunk " + std::to_string(chunk) + " (bytes " + std::to_string(offset) + " to " +
         std::to_string(offset + chunk_bytes(chunk)) + ") of '" + name + "'";
}

void Payload::check() const {
  if (hashes.size() != (size + kDigestChunk - 1) / kDigestChunk || digest_of(hashes) != digest ||
      metadata_bytes > size) {
    throw Error(ExitStatus::unusable,
                "'" + name + "' does not match its own description (size, chunk hashes, digest); rebuild it");
  }
}

std::string Payload::to_bytes() const {
  const nlohmann::json facts = {
      {"name", name}, {"size", size}, {"metadata_bytes", metadata_bytes}, {"digest", digest}};
  std::string bytes = facts.dump() + "\n";
  bytes.append(reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof hashes[0]);
  return bytes;
}

Payload Payload::from_bytes(const std::string& bytes) {
  const std::size_t end = bytes.find('\n');
  const auto facts = nlohmann::json::parse(bytes.substr(0, end));
  Payload payload;
  payload.name = facts.at("name");
  payload.size = facts.at("size");
  payload.metadata_bytes = facts.at("metadata_bytes");
  payload.digest = facts.at("digest");
  payload.hashes.resize((bytes.size() - end - 1) / sizeof payload.hashes[0]);
  std::memcpy(payload.hashes.data(), bytes.data() + end + 1,
              payload.hashes.size() * sizeof payload.hashes[0]);
  return payload;
}

}  // namespace vmi

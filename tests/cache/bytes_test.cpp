// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/bytes.hpp"

#include "cachegen/support/error.hpp"

#include <limits>

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("numbers are written big-endian and read back") {
  ByteWriter out;
  out.u16(0x0102);
  out.u32(0x03040506);
  out.u64(0x0708090a0b0c0d0e);
  CHECK(out.bytes()[0] == std::byte{1});
  CHECK(out.bytes()[13] == std::byte{0x0e});
  ByteReader in(out.bytes(), "it");
  CHECK(in.u16() == 0x0102);
  CHECK(in.u32() == 0x03040506);
  CHECK(in.u64() == 0x0708090a0b0c0d0e);
  CHECK(in.left() == 0);
}

TEST_CASE("varints of every length are read back and counted rightly") {
  for (int bits = 0; bits < 64; ++bits) {
    for (const std::uint64_t value : {(std::uint64_t{1} << bits) - 1, std::uint64_t{1} << bits,
                                      std::numeric_limits<std::uint64_t>::max() >> (63 - bits)}) {
      CAPTURE(value);
      ByteWriter out;
      out.varint(value);
      CHECK(out.size() == varint_bytes(value));
      CHECK(ByteReader(out.bytes(), "it").varint() == value);
    }
  }
}

TEST_CASE("small numbers of either sign are small as zigzag") {
  CHECK(zigzag(0) == 0);
  CHECK(zigzag(-1) == 1);
  CHECK(zigzag(1) == 2);
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-5}, std::numeric_limits<std::int64_t>::max(),
        std::numeric_limits<std::int64_t>::min()}) {
    CHECK(unzigzag(zigzag(value)) == value);
  }
}

TEST_CASE("reading past the end is an error that names what is cut short") {
  const std::byte three[3] = {};
  CHECK_THROWS_WITH(ByteReader(three, "the thing").u32(), "the thing is cut short");
  const std::byte endless[11] = {std::byte{0x80}, std::byte{0x80}, std::byte{0x80}, std::byte{0x80},
                                 std::byte{0x80}, std::byte{0x80}, std::byte{0x80}, std::byte{0x80},
                                 std::byte{0x80}, std::byte{0x80}, std::byte{0x80}};
  CHECK_THROWS_AS(ByteReader(endless, "it").varint(), Error);
  CHECK_THROWS_AS(ByteReader(std::span(endless).first(4), "it").varint(), Error);
}

TEST_CASE("zeros are recognised wherever the other byte is") {
  std::vector<std::byte> bytes(513);
  CHECK(all_zero(bytes));
  CHECK(all_zero({}));
  for (const std::size_t at : {0U, 1U, 256U, 512U}) {
    bytes[at] = std::byte{1};
    CHECK_FALSE(all_zero(bytes));
    bytes[at] = std::byte{0};
  }
}

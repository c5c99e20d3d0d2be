// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supply/arrivals.hpp"
#include "launcher/supply/supply.hpp"

#include <deque>
#include <memory>

namespace vmi {

/// Sends each image's payload, which find() has named, from rank 0's node to the nodes that boot VMs of it
/// and do not hold it, and keeps it in their pools. A node's VMs begin as soon as the payload's metadata is
/// there, on the unpublished file; they run only once all ranks agreed on every byte.
class DeliveringSupply : public CacheSupply {
 public:
  explicit DeliveringSupply(const SupplySetting& setting);

  Bytes bytes_to_come(const ImagePlan& image) const override;
  std::optional<Error> bring(const Begin& begin) override;
  void serve(const ImagePlan& image, VmSpec& vm) const override;
  void keep() override;
  void note() const override;

 protected:
  const SupplySetting& setting() const { return at_; }
  /// The payload as this rank's VMs open it; empty before it was brought.
  const fs::path& local(const ImagePlan& image) const;

  // The two halves of bring().

  /// Sees whether the payloads fit, and has them offered. Returns whether any node wants their data.
  bool offer_all(const Begin& begin);
  /// Moves the data of all, and tells rank 0 of it. Returns what failed on this rank.
  std::optional<Error> move_all(bool wanted, const Begin& begin);

 private:
  struct Delivery {
    const ImagePlan& image;
    std::unique_ptr<Transfer> transfer;  ///< on leaders
    fs::path local;
    bool made_file = false;  ///< the transfer has written a file that may be kept
    bool told = false;       ///< the leader has told its node's ranks where the file is
  };

  bool boots_here(const Delivery& delivery) const;
  bool leads() const { return at_.rank.layout().leader; }
  void offer(Delivery& delivery, bool refused, Rank::Time time, const Begin& begin);
  void transfer(Delivery& delivery, Rank::Time time, const Begin& begin);
  void note_arrival(const Delivery& delivery, const TransferResult& result);
  void tell_node(Delivery& delivery, std::string path, Rank::Time time);
  void say_progress(Bytes done, Bytes total);

  SupplySetting at_;
  std::deque<Delivery> deliveries_;  ///< in the order of the images
  Arrivals arrivals_;
};

}  // namespace vmi

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"
#include "launcher/team/agreed.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmi {

/// Ends a stage that may have failed on some rank: when one failed, every rank throws as AgreedError the
/// failure of the lowest failing rank (its status; "rank 3 on node7: stage: message", without the rank when
/// there is only one), else all return. Every rank of `comm` calls it. One small allreduce when all is well.
void agree(const Comm& comm, const std::optional<Error>& mine, const Waiter& waiter, std::string_view stage);

/// The same for a stage in which each rank may raise flags, too, bits of one number: returns those that any
/// raised. One small allreduce.
std::uint32_t agree_on(const Comm& comm, const std::optional<Error>& mine, std::uint32_t flags,
                       const Waiter& waiter, std::string_view stage);

/// Tells all ranks what rank 0 says, or its failure: then every rank throws that, as agree() does. `mine` and
/// `text` count on rank 0 alone. One broadcast.
void tell(const Comm& comm, const std::optional<Error>& mine, std::string& text, const Waiter& waiter,
          std::string_view stage);

/// "rank 3 on node7", as messages about one rank begin.
std::string rank_name(const Comm& comm);

}  // namespace vmi

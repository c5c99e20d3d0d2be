// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/mailbox.hpp"

namespace vmi {

Mailbox::Mailbox(const Comm& world) : comm_(Comm::borrowed(world.get())), rank_(comm_.rank()) {
}

void Mailbox::post(std::string text) {
  if (rank_ == 0) {
    own_.push_back({0, std::move(text)});
    return;
  }
  auto memory = std::make_shared<std::string>(std::move(text));
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Isend(memory->data(), static_cast<int>(memory->size()), MPI_CHAR, 0, kMailTag, comm_.get(),
                      &request),
            "cannot send to rank 0");
  outgoing_.emplace_back(request, std::move(memory));
}

void Mailbox::start_receives() {
  while (true) {
    int arrived = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kMailTag, comm_.get(), &arrived, &message, &status),
              "cannot look for messages");
    if (arrived == 0) return;
    int size = 0;
    MPI_Get_count(&status, MPI_CHAR, &size);
    auto text = std::make_shared<std::string>(static_cast<std::size_t>(size), '\0');
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Imrecv(text->data(), size, MPI_CHAR, &message, &request), "cannot receive a message");
    incoming_.push_back({status.MPI_SOURCE, text, Request(request, text)});
  }
}

std::optional<Mailbox::Letter> Mailbox::poll() {
  outgoing_.remove_if([](Request& request) { return request.test(); });
  if (rank_ == 0) start_receives();
  if (!own_.empty()) {
    Letter letter = std::move(own_.front());
    own_.pop_front();
    return letter;
  }
  // In order of arrival: a letter that takes longer holds the later ones back.
  if (incoming_.empty() || !incoming_.front().request.test()) return std::nullopt;
  Letter letter{incoming_.front().rank, std::move(*incoming_.front().text)};
  incoming_.pop_front();
  return letter;
}

bool Mailbox::all_sent() {
  outgoing_.remove_if([](Request& request) { return request.test(); });
  return outgoing_.empty();
}

}  // namespace vmi

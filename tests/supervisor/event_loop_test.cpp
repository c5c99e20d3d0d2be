// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/event_loop.hpp"

#include "launcher/supervisor/vm/file_watch.hpp"
#include "launcher/supervisor/worker_pool.hpp"
#include "tests/eventually.hpp"

#include <array>
#include <atomic>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

using namespace vmi;
using namespace vmi::supervisor;
using namespace std::chrono_literals;

TEST_CASE("timers fire in the order of their times, dropped ones never") {
  EventLoop loop;
  std::string order;
  const auto late = loop.at(Deadline::after(20ms), [&] { order += "late"; });
  const auto soon = loop.at(Deadline::after(1ms), [&] { order += "soon "; });
  auto never = loop.at(Deadline::after(2ms), [&] { order += "never "; });
  never.drop();
  CHECK(loop.run_until([&] { return order.ends_with("late"); }, Deadline::after(10s)));
  CHECK(order == "soon late");
}

TEST_CASE("a callback may drop its own handle and the handle of another that is due") {
  EventLoop loop;
  std::array<int, 2> fds{};
  REQUIRE(pipe(fds.data()) == 0);
  const Fd reader(fds[0]), writer(fds[1]);
  const Fd twin(dup(reader.get()));
  int calls = 0;
  EventLoop::Handle first, second;
  const auto both = [&] {
    ++calls;
    first.drop();
    second.drop();
  };
  first = loop.watch(reader.get(), EPOLLIN, both);
  second = loop.watch(twin.get(), EPOLLIN, both);
  REQUIRE(write(writer.get(), "x", 1) == 1);
  bool over = false;
  const auto timer = loop.at(Deadline::after(20ms), [&] { over = true; });
  CHECK(loop.run_until([&] { return over; }, Deadline::after(10s)));
  CHECK(calls == 1);
}

TEST_CASE("what other threads post runs on the loop's thread") {
  EventLoop loop;
  WorkerPool pool(2);
  const std::thread::id here = std::this_thread::get_id();
  int seen = 0;
  for (int i = 0; i < 100; ++i) {
    pool.submit([&] {
      loop.post([&] {
        if (std::this_thread::get_id() == here) ++seen;
      });
    });
  }
  CHECK(loop.run_until([&] { return seen == 100; }, Deadline::after(10s)));
}

TEST_CASE("a pool that is closed forgets what waits and tells of what still runs") {
  WorkerPool pool(1);
  std::mutex gate;
  std::unique_lock lock(gate);
  std::atomic<bool> begun = false, forgotten_ran = false;
  pool.submit([&] {
    begun = true;
    const std::lock_guard wait(gate);
  });
  pool.submit([&] { forgotten_ran = true; });
  REQUIRE(testing::eventually([&] { return begun.load(); }));
  CHECK_FALSE(pool.close(Deadline::after(1ms)));
  lock.unlock();
  CHECK(pool.close(Deadline::after(10s)));
  CHECK_FALSE(forgotten_ran);
}

TEST_CASE("a file's watcher hears of what was written before and after it came") {
  const TempFolder folder(temp_root(), "file-watch-test-");
  write_text_atomically(folder.path() / "log", "before");
  EventLoop loop;
  FileWatch files(loop);
  int calls = 0;
  auto watch = files.watch(folder.path() / "log", [&] { ++calls; });
  CHECK(loop.run_until([&] { return calls == 1; }, Deadline::after(10s)));
  const Fd log = open_file(folder.path() / "log", O_WRONLY | O_APPEND);
  REQUIRE(write(log.get(), "after", 5) == 5);
  CHECK(loop.run_until([&] { return calls == 2; }, Deadline::after(10s)));
}

TEST_CASE("what may block is refused where a loop is served, and nowhere else") {
  EventLoop loop;
  std::string problem;
  loop.post([&] {
    try {
      assert_may_block("reading a disk");
    } catch (const std::logic_error& error) {
      problem = error.what();
    }
    loop.quit();
  });
  std::string elsewhere = "nothing";
  std::thread other([&] {
    assert_may_block("reading a disk");
    elsewhere = "read";
  });
  loop.run();
  other.join();
  CHECK_THAT(problem, Catch::Contains("reading a disk"));
  CHECK(elsewhere == "read");
  CHECK_NOTHROW(assert_may_block("reading a disk"));  // the loop has ended
}

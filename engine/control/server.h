// The control socket: a unix stream socket (0660) that takes a line and answers a line. What the lines mean is the
// caller's affair.
//
// Main thread only, which waits for fd() with everything else it waits for and then calls serve(): that never blocks,
// whatever a client does or fails to do. Bounded: clients, the length of a line, what an answer may have waiting (a
// client that does not read is not read from), the time without a line.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "engine/base/unique_fd.h"

namespace engine::control {

class Server {
 public:
  static constexpr std::size_t kMaxClients = 16;
  static constexpr std::size_t kMaxLine_bytes = 64u << 10;
  static constexpr std::size_t kMaxWaiting_bytes = 256u << 10;
  static constexpr std::uint64_t kIdle_ns = 600'000'000'000;

  using Answer = std::function<std::string(std::string_view line)>;  // without the newlines; must not throw

  // A socket file that nobody listens at is replaced, any other file and a living engine's are not. Throws
  // SetupError(bad_usage).
  Server(const std::string& path, Answer answer);
  ~Server();  // takes the file away, if it is still this one
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Readable (poll) when there is something to do.
  int fd() const noexcept { return epoll_.get(); }
  void serve(std::uint64_t now_ns) noexcept;

  std::size_t clients() const noexcept { return clients_.size(); }

 private:
  struct Client {
    UniqueFd fd;
    std::string in;
    std::string out;
    std::uint64_t heard_ns = 0;
    bool ends = false;  // once what waits has been written
  };
  using Place = std::list<Client>::iterator;

  void accept_all(std::uint64_t now_ns);
  void turn_away(UniqueFd fd) noexcept;
  bool exchange(Client& client, std::uint64_t now_ns);  // false: it is over
  bool read_some(Client& client, std::uint64_t now_ns);
  void answer_lines(Client& client);
  bool write_waiting(Client& client) noexcept;
  void watch(Client& client) noexcept;
  void close_idle(std::uint64_t now_ns);
  void set_alarm(std::uint64_t now_ns) noexcept;

  std::string path_;
  Answer answer_;
  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd alarm_;  // a timerfd, for the client that has been silent longest
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::list<Client> clients_;
};

}  // namespace engine::control

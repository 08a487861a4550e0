#include "engine/control/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "engine/base/error.h"

namespace engine::control {
namespace {

constexpr std::size_t kRead_bytes = 16u << 10;
constexpr std::string_view kTooMany = R"({"ok":false,"error":"there are 16 clients already; close one"})";
constexpr std::string_view kTooLong = R"({"ok":false,"error":"the line is longer than 64 KiB; send shorter ones"})";

[[noreturn]] void refuse(const std::string& path, std::string_view reason, std::string_view remedy = {}) {
  throw SetupError(ExitCode::bad_usage, "--control " + path, reason, remedy);
}

[[noreturn]] void fail(const std::string& path, std::string_view call) {
  throw SetupError(ExitCode::runtime_failure, "--control " + path, std::string(call) + ": " + std::strerror(errno));
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    refuse(path, "is longer than a socket's path can be",
           "give one of at most " + std::to_string(sizeof address.sun_path - 1) + " bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A process that died leaves its socket behind; one that lives answers.
void make_way(const std::string& path, const sockaddr_un& address) {
  struct stat known {};
  if (lstat(path.c_str(), &known) != 0) return;
  if (!S_ISSOCK(known.st_mode)) refuse(path, "exists and is no socket", "give another path");
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) fail(path, "socket");
  const int result = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == 0 || errno != ECONNREFUSED)
    refuse(path, result == 0 || errno == EAGAIN ? "another process listens there" : std::strerror(errno),
           "give another path, or end that process");
  if (unlink(path.c_str()) != 0) refuse(path, std::string("is a dead socket: ") + std::strerror(errno), "remove it");
}

UniqueFd listen_at(const std::string& path) {
  const sockaddr_un address = address_of(path);
  make_way(path, address);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) fail(path, "socket");
  // The mode must be right from the first moment, so a chmod afterwards would not do.
  const mode_t before = umask(0117);
  const int result = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(before);
  if (result != 0) refuse(path, std::strerror(error), "give a path that can be written");
  if (listen(fd.get(), static_cast<int>(Server::kMaxClients)) != 0) fail(path, "listen");
  return fd;
}

void add_to(int epoll, int fd, void* what) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = what;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

Server::Server(const std::string& path, Answer answer)
    : path_(path), answer_(std::move(answer)), listener_(listen_at(path)) {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  alarm_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.valid() || !alarm_.valid()) fail(path, "epoll_create");
  struct stat made {};
  if (lstat(path.c_str(), &made) != 0) fail(path, "stat");
  device_ = made.st_dev;
  inode_ = made.st_ino;
  add_to(epoll_.get(), listener_.get(), &listener_);
  add_to(epoll_.get(), alarm_.get(), &alarm_);
}

Server::~Server() {
  struct stat now {};
  if (lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_) unlink(path_.c_str());
}

void Server::serve(std::uint64_t now_ns) noexcept {
  std::array<epoll_event, kMaxClients + 2> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  try {
    for (int i = 0; i < count; ++i) {
      void* const what = events[static_cast<std::size_t>(i)].data.ptr;
      if (what == &listener_) {
        accept_all(now_ns);
      } else if (what == &alarm_) {
        close_idle(now_ns);
      } else {
        const Place place = std::ranges::find_if(clients_, [&](const Client& one) { return &one == what; });
        if (place != clients_.end() && !exchange(*place, now_ns)) clients_.erase(place);
      }
    }
    set_alarm(now_ns);
  } catch (const std::bad_alloc&) {
    clients_.clear();  // they may ask again
  }
}

void Server::accept_all(std::uint64_t now_ns) {
  for (;;) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    if (clients_.size() == kMaxClients) {
      turn_away(std::move(fd));
      continue;
    }
    clients_.push_back({std::move(fd), {}, {}, now_ns});
    add_to(epoll_.get(), clients_.back().fd.get(), &clients_.back());
  }
}

void Server::turn_away(UniqueFd fd) noexcept {
  std::array<char, kTooMany.size() + 1> line;
  std::ranges::copy(kTooMany, line.begin());
  line.back() = '\n';
  [[maybe_unused]] const ssize_t sent = send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

bool Server::exchange(Client& client, std::uint64_t now_ns) {
  if (!write_waiting(client)) return false;
  const auto may_answer = [&] { return !client.ends && client.out.size() < kMaxWaiting_bytes; };
  const auto has_line = [&] { return client.in.find('\n') != client.in.npos; };
  if (may_answer() && !has_line() && !read_some(client, now_ns)) return false;
  do {
    answer_lines(client);
    if (!write_waiting(client)) return false;
  } while (may_answer() && has_line());
  if (client.ends && client.out.empty()) return false;
  watch(client);
  return true;
}

bool Server::read_some(Client& client, std::uint64_t now_ns) {
  std::array<char, kRead_bytes> buffer;
  const ssize_t got = recv(client.fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  // The rest of a line whose end was shut down is no command.
  if (got == 0) {
    client.ends = true;
    client.in.clear();
    return true;
  }
  client.in.append(buffer.data(), static_cast<std::size_t>(got));
  client.heard_ns = now_ns;
  return true;
}

// As many as there is room for the answers of: the rest when the client has read some.
void Server::answer_lines(Client& client) {
  std::size_t begin = 0;
  while (!client.ends && client.out.size() < kMaxWaiting_bytes) {
    const std::size_t end = client.in.find('\n', begin);
    const std::size_t length = (end == client.in.npos ? client.in.size() : end) - begin;
    if (length > kMaxLine_bytes) {
      client.out.append(kTooLong).push_back('\n');
      client.ends = true;
      break;
    }
    if (end == client.in.npos) break;
    client.out.append(answer_(std::string_view(client.in).substr(begin, length))).push_back('\n');
    begin = end + 1;
  }
  client.in.erase(0, begin);
}

bool Server::write_waiting(Client& client) noexcept {
  while (!client.out.empty()) {
    const ssize_t sent = send(client.fd.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    client.out.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

// For room while answers wait, for more to read unless too many do.
void Server::watch(Client& client) noexcept {
  epoll_event event{};
  const bool full = client.ends || client.out.size() >= kMaxWaiting_bytes;
  event.events =
      (client.out.empty() ? 0u : static_cast<unsigned>(EPOLLOUT)) | (full ? 0u : static_cast<unsigned>(EPOLLIN));
  event.data.ptr = &client;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd.get(), &event);
}

void Server::close_idle(std::uint64_t now_ns) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(alarm_.get(), &count, sizeof count);
  std::erase_if(clients_, [&](const Client& one) { return now_ns - one.heard_ns >= kIdle_ns; });
}

void Server::set_alarm(std::uint64_t now_ns) noexcept {
  itimerspec when{};
  if (!clients_.empty()) {
    std::uint64_t heard_ns = now_ns;
    for (const Client& one : clients_) heard_ns = std::min(heard_ns, one.heard_ns);
    const std::uint64_t left_ns = heard_ns + kIdle_ns > now_ns ? heard_ns + kIdle_ns - now_ns : 1;
    when.it_value.tv_sec = static_cast<time_t>(left_ns / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(left_ns % 1'000'000'000);
  }
  timerfd_settime(alarm_.get(), 0, &when, nullptr);
}

}  // namespace engine::control

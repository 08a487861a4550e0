// The control socket against clients that do what they should not: it never waits for one, and serves the others.
#include "engine/control/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace {

using engine::UniqueFd;
using engine::control::Server;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : path_(::testing::TempDir() + "control_" + std::to_string(getpid()) + ".sock") {
    unlink(path_.c_str());
  }
  ~ServerTest() override {
    server_.reset();
    unlink(path_.c_str());
  }

  void open() {
    server_.emplace(path_, [this](std::string_view line) {
      ++lines_;
      return answer_.empty() ? "<" + std::string(line) + ">" : answer_;
    });
  }
  UniqueFd client() const {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // Serves until there is nothing more to do.
  void serve(std::uint64_t now_ns = 0) {
    for (int rounds = 0; rounds < 10'000; ++rounds) {
      pollfd wait{server_->fd(), POLLIN, 0};
      if (poll(&wait, 1, 0) == 0) return;
      server_->serve(now_ns);
    }
    FAIL() << "it is never done";
  }
  static bool put(const UniqueFd& fd, std::string_view text) {
    return send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  static std::string get(const UniqueFd& fd) {
    std::string all(1u << 20, '\0');
    const ssize_t size = recv(fd.get(), all.data(), all.size(), 0);
    if (size < 0) return errno == EAGAIN ? "nothing" : strerror(errno);
    all.resize(static_cast<std::size_t>(size));
    return all.empty() ? "end" : all;
  }
  std::string refusal() {
    try {
      open();
    } catch (const engine::SetupError& error) {
      EXPECT_EQ(error.code(), engine::ExitCode::bad_usage);
      return error.what();
    }
    return "none";
  }

  std::string path_;
  std::string answer_;  // empty: the line
  int lines_ = 0;
  std::optional<Server> server_;
};

TEST_F(ServerTest, AnswersEachLineInItsTurn) {
  open();
  const UniqueFd one = client(), two = client();
  ASSERT_TRUE(put(one, "a\nb\nhalf"));
  ASSERT_TRUE(put(two, "x\n"));
  serve();
  EXPECT_EQ(get(one), "<a>\n<b>\n");
  EXPECT_EQ(get(two), "<x>\n");
  ASSERT_TRUE(put(one, " a line\n"));
  serve();
  EXPECT_EQ(get(one), "<half a line>\n");
}

TEST_F(ServerTest, AClientThatHasShutDownItsSideStillGetsItsAnswers) {
  open();
  const UniqueFd one = client();
  ASSERT_TRUE(put(one, "a\nrest"));
  shutdown(one.get(), SHUT_WR);
  serve();
  EXPECT_EQ(get(one), "<a>\n");
  EXPECT_EQ(get(one), "end");
  EXPECT_EQ(server_->clients(), 0u);
  EXPECT_EQ(lines_, 1);
}

TEST_F(ServerTest, TheFileIsTheGroupsAndGoesWithIt) {
  open();
  struct stat made {};
  ASSERT_EQ(stat(path_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0660u);
  server_.reset();
  EXPECT_NE(stat(path_.c_str(), &made), 0);
}

TEST_F(ServerTest, ADeadOnesFileIsReplacedAndALivingOnesIsNot) {
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  open();
  const std::string why = [this] {
    try {
      const Server second(path_, [](std::string_view) { return std::string(); });
    } catch (const engine::SetupError& error) {
      return std::string(error.what());
    }
    return std::string("none");
  }();
  EXPECT_EQ(why, "--control " + path_ + ": another process listens there; give another path, or end that process");
  const UniqueFd one = client();
  ASSERT_TRUE(put(one, "a\n"));
  serve();
  EXPECT_EQ(get(one), "<a>\n");
}

TEST_F(ServerTest, RefusesPathsThatAreNoPlaceForIt) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(refusal(), "--control " + path_ + ": exists and is no socket; give another path");
  unlink(path_.c_str());
  path_ = "/nonexistent/control.sock";
  EXPECT_EQ(refusal(), "--control " + path_ + ": No such file or directory; give a path that can be written");
  path_ = "/tmp/" + std::string(200, 'x');
  EXPECT_NE(refusal().find("is longer than a socket's path can be; give one of at most 107 bytes"), std::string::npos);
}

TEST_F(ServerTest, TheSeventeenthClientIsTurnedAway) {
  open();
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < Server::kMaxClients; ++i) {
    clients.push_back(client());
    serve();
  }
  const UniqueFd late = client();
  serve();
  EXPECT_EQ(get(late), "{\"ok\":false,\"error\":\"there are 16 clients already; close one\"}\n");
  EXPECT_EQ(get(late), "end");
  clients.pop_back();
  serve();
  const UniqueFd again = client();
  ASSERT_TRUE(put(again, "a\n"));
  serve();
  EXPECT_EQ(get(again), "<a>\n");
}

TEST_F(ServerTest, ALineWithoutEndIsCutOff) {
  open();
  const UniqueFd one = client();
  const std::string piece(8192, 'x');
  for (int i = 0; i < 9; ++i) {
    put(one, piece);
    serve();
  }
  EXPECT_EQ(get(one), "{\"ok\":false,\"error\":\"the line is longer than 64 KiB; send shorter ones\"}\n");
  EXPECT_EQ(server_->clients(), 0u);
  EXPECT_EQ(lines_, 0);
}

TEST_F(ServerTest, WhoDoesNotReadIsNotAnsweredAndLosesNothing) {
  open();
  answer_ = std::string(1000, 'a');
  const UniqueFd slow = client(), quick = client();
  int sent = 0;
  for (bool room = true; room && sent < 100'000; sent += room ? 100 : 0) {
    std::string lines;
    for (int i = 0; i < 100; ++i) lines += "x\n";
    room = put(slow, lines);
    serve();
  }
  ASSERT_LT(sent, 100'000) << "it took everything, and keeps the answers";
  EXPECT_LT(lines_, sent);
  ASSERT_TRUE(put(quick, "x\n"));
  serve();
  EXPECT_EQ(get(quick), answer_ + "\n");
  std::size_t got = 0;
  for (std::string text; text != "nothing"; serve()) {
    text = get(slow);
    if (text != "nothing") got += text.size();
  }
  EXPECT_EQ(got / 1001, static_cast<std::size_t>(lines_ - 1));
  EXPECT_GE(lines_ - 1, sent);
}

// The alarm is a real clock's, the time that it is then is ours.
TEST_F(ServerTest, ASilentClientIsClosed) {
  open();
  const UniqueFd silent = client();
  serve(0);
  const UniqueFd talking = client();
  ASSERT_TRUE(put(talking, "a\n"));
  for (int look = 0; look < 3; ++look) server_->serve(Server::kIdle_ns - 1);
  EXPECT_EQ(get(talking), "<a>\n");
  EXPECT_EQ(server_->clients(), 2u);
  pollfd wait{server_->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 10'000), 1) << "the alarm goes";
  serve(Server::kIdle_ns);
  EXPECT_EQ(server_->clients(), 1u);
  EXPECT_EQ(get(silent), "end");
}

TEST_F(ServerTest, ClientsThatVanishLeaveNothing) {
  open();
  answer_ = std::string(100'000, 'a');
  for (int round = 0; round < 200; ++round) {
    const UniqueFd one = client();
    put(one, "x\nx\nx\nx\n");
    if (round % 2 == 0) serve();
  }
  serve();
  EXPECT_EQ(server_->clients(), 0u);
}

}  // namespace

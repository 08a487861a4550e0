// Signals: one asks for the end, a second SIGINT takes it, SIGHUP and SIGPIPE end nothing.
#include "engine/cli/signals.h"

#include <fcntl.h>
#include <poll.h>

#include <fstream>

#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using namespace std::chrono_literals;
using cli_test::in_child;

constexpr auto patience = 5s;

TEST(Signals, SigintAndSigtermAskForTheEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(in_child([signal] {
                const Log log(LogLevel::error);
                const Signals signals(log);
                std::string answer = signals.stop_requested() ? "early " : "";
                kill(getpid(), signal);
                answer += signals.wait_for(patience) ? "asked " : "not asked ";
                pollfd ready{signals.stop_fd(), POLLIN, 0};
                return answer + (poll(&ready, 1, 0) == 1 ? "readable" : "not readable");
              }),
              "asked readable");
  }
}

TEST(Signals, ARequestFromInsideIsTheSame) {
  const Log log(LogLevel::error);
  Signals signals(log);
  EXPECT_FALSE(signals.wait_for(0ms));
  signals.request_stop();
  EXPECT_TRUE(signals.wait_for(patience));
  EXPECT_TRUE(signals.stop_requested());
}

TEST(Signals, ASecondSigintEndsTheProcessWith130EvenIfItHangs) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(cli_test::child_limit_s);
    const Log log(LogLevel::error);
    const Signals signals(log, [&] { [[maybe_unused]] const auto n = write(ends[1], "tidied", 6); });
    kill(getpid(), SIGINT);
    if (!signals.wait_for(patience)) _exit(1);
    kill(getpid(), SIGINT);
    while (true) pause();  // a main thread that does not end by itself
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  close(ends[1]);
  char buffer[16] = {};
  EXPECT_EQ(read(ends[0], buffer, sizeof buffer), 6);
  EXPECT_STREQ(buffer, "tidied");
  close(ends[0]);
}

TEST(Signals, ARepeatedSigtermStillEndsCleanly) {
  EXPECT_EQ(in_child([] {
              const Log log(LogLevel::error);
              const Signals signals(log);
              for (int i = 0; i < 3; ++i) kill(getpid(), SIGTERM);
              return std::string(signals.wait_for(patience) ? "asked" : "not asked");
            }),
            "asked");
}

TEST(Signals, SighupAsksForAReloadAndSigpipeForNothing) {
  EXPECT_EQ(in_child([&] {
              const Log log(LogLevel::info);
              const Signals signals(log);
              kill(getpid(), SIGPIPE);
              kill(getpid(), SIGHUP);
              pollfd ready{signals.reload_fd(), POLLIN, 0};
              if (poll(&ready, 1, 5000) != 1) return std::string("no reload");
              return std::string(signals.stop_requested() ? "stopped" : "reload");
            }),
            "reload");
}

TEST(Signals, GoBackToWhatTheyWere) {
  EXPECT_EQ(in_child([] {
              {
                const Log log(LogLevel::error);
                const Signals signals(log);
              }
              sigset_t mask;
              pthread_sigmask(SIG_SETMASK, nullptr, &mask);
              struct sigaction pipe_action {};
              sigaction(SIGPIPE, nullptr, &pipe_action);
              return std::string(sigismember(&mask, SIGINT) ? "blocked" : "open") +
                     (pipe_action.sa_handler == SIG_DFL ? " default" : " other");
            }),
            "open default");
}

}  // namespace

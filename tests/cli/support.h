// What the tests of the command line share: argument vectors, expected errors, work in a child process.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace cli_test {

// argv without the program's name; the strings live as long as the object.
class Args {
 public:
  Args(std::initializer_list<const char*> words) : words_(words.begin(), words.end()) {
    for (std::string& word : words_) pointers_.push_back(word.data());
  }
  operator std::span<char* const>() const { return pointers_; }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

struct Refusal {
  engine::ExitCode code = engine::ExitCode::done;
  std::string line;  // empty: nothing was refused
};

template <class Action>
Refusal refusal_of(Action&& action) {
  try {
    action();
  } catch (const engine::SetupError& error) {
    return {error.code(), error.what()};
  }
  return {};
}

// A child that hangs is a failure, not a test run without end.
constexpr unsigned child_limit_s = 30;

// What `work` returns, run in a process of its own: for what cannot be undone (privileges, namespaces, signals).
inline std::string in_child(const std::function<std::string()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return "pipe failed";
  const pid_t child = fork();
  if (child == 0) {
    alarm(child_limit_s);
    close(ends[0]);
    std::string answer;
    try {
      answer = work();
    } catch (const std::exception& error) {
      answer = std::string("exception: ") + error.what();
    }
    const bool whole = write(ends[1], answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
    _exit(whole ? 0 : 1);
  }
  close(ends[1]);
  std::string answer;
  char buffer[4096];
  ssize_t size = 0;
  while ((size = read(ends[0], buffer, sizeof buffer)) > 0) answer.append(buffer, static_cast<std::size_t>(size));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) answer.append(" [child ended badly]");
  return answer;
}

}  // namespace cli_test

// The option table: parsing, validation, help and defaults from one place.
#include "engine/cli/options.h"

#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::Args;
using cli_test::refusal_of;
using engine::ExitCode;

enum class Colour { red, green };

struct Sample {
  bool loud = false;
  std::string name = "anna";
  std::uint32_t queues = 0;
  double seconds = 0;
  std::size_t memory_bytes = 64u << 20;
  Colour colour = Colour::green;
  std::vector<std::string> words;
  std::vector<std::string> files;
};

OptionTable table_of(Sample& s) {
  return OptionTable(
      "sample",
      {{.name = "loud", .letter = 'l', .help = "make noise", .value = flag(s.loud), .section = "First"},
       {.name = "name", .letter = 'n', .value_name = "NAME", .help = "whose", .value = text(s.name)},
       {.name = "queues", .value_name = "N", .help = "how many", .value = number(s.queues, 1, 128, "all")},
       {.name = "seconds", .value_name = "S", .help = "how long", .value = real(s.seconds, 0.5, 60)},
       {.name = "memory", .value_name = "SIZE", .help = "cap", .value = size_in_bytes(s.memory_bytes, 1024, 1u << 30)},
       {.name = "colour",
        .value_name = "C",
        .help = "red or green",
        .value = choice(s.colour, {{"red", Colour::red}, {"green", Colour::green}}),
        .section = "Second"},
       {.name = "words", .value_name = "A,B", .help = "several", .value = list(s.words)},
       {.name = "file", .value_name = "F", .help = "again and again", .value = repeated(s.files)}});
}

std::string refused(const Args& args) {
  Sample s;
  OptionTable table = table_of(s);
  const auto refusal = refusal_of([&] { table.parse(args); });
  EXPECT_EQ(refusal.code, refusal.line.empty() ? ExitCode::done : ExitCode::bad_usage);
  return refusal.line;
}

TEST(Options, TakeTheirValueFromTheNextWordOrAfterAnEqualsSign) {
  Sample s;
  OptionTable table = table_of(s);
  table.parse(Args{"--queues", "8", "--name=o=k", "--loud", "--seconds", "1.5", "--memory=2KiB", "--colour", "red"});
  EXPECT_EQ(s.queues, 8u);
  EXPECT_EQ(s.name, "o=k");
  EXPECT_TRUE(s.loud);
  EXPECT_EQ(s.seconds, 1.5);
  EXPECT_EQ(s.memory_bytes, 2048u);
  EXPECT_EQ(s.colour, Colour::red);
}

TEST(Options, HaveShortFormsThatJoin) {
  Sample s;
  OptionTable table = table_of(s);
  table.parse(Args{"-lnbob"});
  EXPECT_TRUE(s.loud);
  EXPECT_EQ(s.name, "bob");
  EXPECT_EQ(refused({"-x"}), "-x: unknown option; 'sample --help' lists them");
  EXPECT_EQ(refused({"-n"}), "-n: needs a value; give -n NAME");
}

TEST(Options, ListsSplitAtCommasAndRepeatedOnesKeepThem) {
  Sample s;
  OptionTable table = table_of(s);
  table.parse(Args{"--words", "a,b", "--words", "c", "--file", "x,y", "--file", "z"});
  EXPECT_EQ(s.words, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(s.files, (std::vector<std::string>{"x,y", "z"}));
  EXPECT_EQ(table.count("file"), 2u);
  EXPECT_EQ(table.last_value("file"), "z");
  EXPECT_EQ(table.count("loud"), 0u);
  EXPECT_EQ(refused({"--words", "a,,b"}), "--words a,,b: has an empty entry; separate entries by single commas");
  EXPECT_NE(refused({"--words", "a,"}), "");
}

TEST(Options, OfFlagsReplaceListsSetBefore) {
  Sample s;
  s.words = {"from", "elsewhere"};
  OptionTable table = table_of(s);
  table.parse(Args{"--words", "a"});
  EXPECT_EQ(s.words, std::vector<std::string>{"a"});
}

TEST(Options, WordsAreTakenOnlyWhereTheyAreWanted) {
  EXPECT_NE(refused(Args{"word"}).find("takes no other arguments"), std::string::npos);
  Sample s;
  OptionTable table = table_of(s);
  std::vector<std::string> words;
  table.take_words(words);
  table.parse(Args{"one", "--name", "two", "three", "-l", "-"});
  EXPECT_EQ(words, (std::vector<std::string>{"one", "three", "-"}));
  EXPECT_EQ(s.name, "two");
  EXPECT_TRUE(s.loud);
}

TEST(Options, OutOfRangeNamesTheRange) {
  for (const char* bad : {"0", "129", "-1", "8x", "", "1e3", "99999999999999999999", "ALL"}) {
    EXPECT_EQ(refused({"--queues", bad}), std::string("--queues ") + bad + ": must be 1..128 or all");
  }
  for (const char* good : {"1", "128", "all"}) EXPECT_EQ(refused({"--queues", good}), "");
  for (const char* bad : {"nan", "inf", "0.4", "61", "1s", ""}) {
    EXPECT_EQ(refused({"--seconds", bad}), std::string("--seconds ") + bad + ": must be a number in 0.5..60");
  }
}

TEST(Options, SizesKnowBinaryAndDecimalSuffixes) {
  const std::pair<const char*, std::size_t> sizes[] = {{"1024", 1024},    {"1K", 1024},     {"1KiB", 1024},
                                                       {"2kB", 2000},     {"3M", 3u << 20}, {"3MB", 3'000'000},
                                                       {"1GiB", 1u << 30}};
  for (const auto& [text, bytes] : sizes) {
    Sample s;
    table_of(s).parse(Args{"--memory", text});
    EXPECT_EQ(s.memory_bytes, bytes) << text;
  }
  for (const char* bad : {"1023", "2GiB", "1TiB", "MiB", "1 MiB", "-1K", "18446744073709551615G"}) {
    EXPECT_NE(refused({"--memory", bad}), "") << bad;
  }
}

TEST(Options, UnknownOnesAreRefusedWithANearName) {
  EXPECT_EQ(refused({"--quees", "3"}), "--quees: unknown option; did you mean --queues?");
  EXPECT_EQ(refused({"--coluor=red"}), "--coluor: unknown option; did you mean --colour?");
  EXPECT_EQ(refused({"--frobnicate"}), "--frobnicate: unknown option; 'sample --help' lists them");
  EXPECT_EQ(refused({"--colour", "gren"}), "--colour gren: must be red or green; did you mean green?");
}

TEST(Options, AForgottenValueDoesNotSwallowTheNextOption) {
  EXPECT_EQ(refused({"--name", "--loud"}), "--name: needs a value; give --name NAME");
  EXPECT_EQ(refused({"--name"}), "--name: needs a value; give --name NAME");
  EXPECT_EQ(refused({"--name="}), "--name : must not be empty");
  EXPECT_EQ(refused({"--loud=yes"}), "--loud=yes: takes no value; write --loud");
  EXPECT_EQ(refused({"--name", "-"}), "");
}

TEST(Options, OtherArgumentsAreRefusedByName) {
  for (const char* word : {"eth0", "-", "--", ""}) {
    EXPECT_EQ(refused({word}),
              std::string("'") + word +
                  "': is not an option, and sample takes no other arguments; 'sample --help' lists the options");
  }
}

TEST(Options, HelpShowsEveryOptionWithItsRangeAndItsDefault) {
  Sample s;
  const OptionTable table = table_of(s);
  s.name = "changed later";  // the default is what the table was made with
  const std::string help = table.help();
  for (const char* part : {"First:\n", "\nSecond:\n", "  -l, --loud ", "--queues N", "(1..128 or all) [all]",
                           "whose [anna]", "(0.5..60)\n", "[64MiB]", "red or green [green]", "--file F"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << " is not in\n" << help;
  }
}

TEST(Options, SuggestionsStopWhereTheyWouldMislead) {
  const std::string_view words[] = {"queues", "duration", "mode"};
  EXPECT_EQ(closest("qeues", words), "queues");
  EXPECT_EQ(closest("mdoe", words), "mode");
  EXPECT_EQ(closest("watch", words), "");
  EXPECT_EQ(did_you_mean("modee", words, "--"), "did you mean --mode?");
}

}  // namespace

// The example models learn: a few steps of small configurations, whose loss falls.
#include <gtest/gtest.h>

#include <filesystem>

#include "example.h"

namespace {

using kiln::examples::numbers_after;
using kiln::examples::scratch_folder;

constexpr const char* text = KILN_SOURCE_DIR "/CONTRIBUTING.md";
constexpr const char* images = "/usr/share/datasets/fashion-mnist";  // Debian's dataset-fashion-mnist

std::string output_of(const char* program, const std::vector<std::string>& arguments) {
  const auto finished = kiln::examples::run(program, arguments, scratch_folder() + "/cache");
  EXPECT_EQ(finished.status, 0) << finished.output;
  return finished.output;
}

TEST(Gpt, Learns) {
  const std::string output = output_of(KILN_GPT, {text, "--layers", "1", "--heads", "2", "--width", "32", "--window", "16", "--batch", "16",
                                                  "--lr", "0.003", "--steps", "300", "--sample", "20", "--threads", "1"});
  const std::vector<double> losses = numbers_after(output, "  loss ");
  ASSERT_GE(losses.size(), 3U) << output;
  // The logarithm of some 80 different characters, then below that of the commonest ones.
  EXPECT_NEAR(losses.front(), 4.3, 0.3) << output;
  EXPECT_LT(losses.back(), 3.1) << output;
  EXPECT_NE(output.find("flops: "), std::string::npos) << output;
}

TEST(Gpt, SaysWhatIsWrong) {
  const auto finished = kiln::examples::run(KILN_GPT, {text, "--heads", "3", "--width", "32"}, scratch_folder() + "/cache");
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.output.find("MultiheadAttention: 3 heads of a width of 32"), std::string::npos) << finished.output;
}

TEST(Lstm, Learns) {
  const std::string output = output_of(KILN_LSTM, {text, "--layers", "1", "--width", "32", "--window", "16", "--batch", "8", "--lr", "0.02",
                                                   "--steps", "200", "--sample", "20", "--threads", "1"});
  const std::vector<double> losses = numbers_after(output, "  loss ");
  ASSERT_GE(losses.size(), 3U) << output;
  EXPECT_GT(losses.front(), 3.5) << output;
  EXPECT_LT(losses.back(), 3.1) << output;
}

TEST(ResNet, Learns) {
  if (!std::filesystem::exists(images)) GTEST_SKIP() << "Fashion-MNIST is not installed: tools/setup test installs it";
  const std::string output =
      output_of(KILN_RESNET, {"--width", "4", "--batch", "32", "--epochs", "2", "--limit", "1600", "--lr", "0.1", "--threads", "1"});
  const std::vector<double> losses = numbers_after(output, "  loss ");
  ASSERT_GE(losses.size(), 4U) << output;
  EXPECT_LT(losses.back(), 0.75 * losses.front()) << output;
  const std::vector<double> accuracies = numbers_after(output, "test accuracy ");
  ASSERT_EQ(accuracies.size(), 2U) << output;
  // Chance is 10 %. Without running statistics the evaluation would be near it.
  EXPECT_GT(accuracies.back(), 55) << output;
}

}  // namespace

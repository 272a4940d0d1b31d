// The Fashion-MNIST example against numbers that PyTorch computed: batches in file order, so every loss is determined.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "example.h"

namespace {

using kiln::examples::numbers_after;
using kiln::examples::scratch_folder;

constexpr const char* images = "/usr/share/datasets/fashion-mnist";  // Debian's dataset-fashion-mnist

struct Expected {
  std::vector<double> losses;  ///< of the first steps
  double accuracy;             ///< on the test images after one epoch, as a fraction
  double tolerance;
};

void check(const std::string& model, std::vector<std::string> arguments, const Expected& expected) {
  if (!std::filesystem::exists(images)) GTEST_SKIP() << "Fashion-MNIST is not installed: tools/setup test installs it";
  const std::string checkpoint = scratch_folder() + "/" + model + ".safetensors";
  arguments.insert(arguments.end(),
                   {"--model", model, "--epochs", "1", "--save", checkpoint, "--log-steps", std::to_string(expected.losses.size())});
  const auto finished = kiln::examples::run(KILN_FASHION_MNIST, arguments, scratch_folder() + "/cache");
  ASSERT_EQ(finished.status, 0) << finished.output;
  for (std::size_t i = 0; i < expected.losses.size(); ++i) {
    const std::vector<double> loss = numbers_after(finished.output, "step " + std::to_string(i + 1) + " loss");
    ASSERT_EQ(loss.size(), 1U) << finished.output;
    EXPECT_NEAR(loss[0], expected.losses[i], 1e-5) << "step " << i + 1;
  }
  const std::vector<double> accuracy = numbers_after(finished.output, "epoch 1/1  test accuracy");
  ASSERT_EQ(accuracy.size(), 1U) << finished.output;
  EXPECT_NEAR(accuracy[0] / 100, expected.accuracy, expected.tolerance);
  const std::vector<double> restored = numbers_after(finished.output, "read back, its test accuracy is");
  ASSERT_EQ(restored.size(), 1U) << finished.output;
  EXPECT_EQ(restored[0], accuracy[0]);
}

TEST(FashionMnist, Softmax) { check("softmax", {"--batch", "100"}, {{2.302585, 2.194886, 2.010314, 1.911495, 1.738727}, 0.8142, 0.002}); }

TEST(FashionMnist, Mlp) {
  check("mlp", {"--batch", "32", "--init", KILN_SOURCE_DIR "/tests/data/fashion_mnist"},
        {{2.293307, 2.241947, 2.108026, 2.239266, 2.136024}, 0.8377, 0.008});
}

}  // namespace

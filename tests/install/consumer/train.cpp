// The first program of the README, as a project of its own: it must train, and its checkpoint must bring back what was saved.
#include <kiln/kiln.h>

#include <cmath>
#include <iostream>

using namespace kiln;

int main() {
  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", f32, {batch, 1000});
  Tensor y = graph.placeholder("y", f32, {batch, 10});
  Variable w1 = graph.variable("w1", random_normal(f32, {1000, 100}));
  Variable w2 = graph.variable("w2", random_normal(f32, {100, 10}));

  Tensor y_pred = matmul(relu(matmul(x, w1)), w2);
  Tensor loss = reduce_sum(square(y_pred - y));
  std::vector<Tensor> grads = gradients(loss, {w1, w2});
  Operation step = group({assign_sub(w1, 1e-6 * grads[0]), assign_sub(w2, 1e-6 * grads[1])});

  Graph data;
  Session numbers(data);
  std::vector<Array> made = numbers.run({data.random_normal(f32, {64, 1000}), data.random_normal(f32, {64, 10})});
  const Array x_value = made[0], y_value = made[1];

  Session session(graph);
  session.initialize();
  std::vector<Array> out = session.run({loss, step}, {{x, x_value}, {y, y_value}});
  const float first = out[0].item<float>();
  if (out[1].size() != 0) return 1;

  Callable train = session.callable({loss, step}, {x, y});
  std::vector<Array> results(2);
  for (int i = 0; i < 200; ++i) train({x_value, y_value}, results);
  const float last = results[0].item<float>();
  std::cout << "loss " << first << " -> " << last << '\n';
  if (!(std::isfinite(last) && last < first / 100)) return 2;

  session.save("train.safetensors");
  Session again(graph);
  again.restore("train.safetensors");
  return identical(again.value(w1), session.value(w1)) ? 0 : 3;
}

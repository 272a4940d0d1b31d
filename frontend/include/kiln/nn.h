// Neural network modules: functions from tensor to tensor that own their parameters. kiln/nn/module.h says how they work.
//
//   nn::Sequential model(nn::Linear(784, 128), nn::ReLU(), nn::Dropout(0.1), nn::Linear(128, 10));
//   Tensor loss = nn::CrossEntropyLoss()(model(x, {.training = true}), labels);
//   Operation step = Adam({.lr = 1e-3}).minimize(loss, model.parameters());
//   Tensor prediction = argmax(model(x));
#pragma once

#include "kiln/nn/activation.h"
#include "kiln/nn/container.h"
#include "kiln/nn/convolution.h"
#include "kiln/nn/dropout.h"
#include "kiln/nn/linear.h"
#include "kiln/nn/loss.h"
#include "kiln/nn/module.h"
#include "kiln/nn/normalization.h"
#include "kiln/nn/pooling.h"
#include "kiln/nn/recurrent.h"
#include "kiln/nn/reshape.h"
#include "kiln/nn/summary.h"
#include "kiln/nn/transformer.h"

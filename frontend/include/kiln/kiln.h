// Everything for programs that build and run graphs. Programs that only run compiled models include <kiln/runtime.h>.
#pragma once

#include "kiln/array.h"
#include "kiln/control.h"
#include "kiln/custom_call.h"
#include "kiln/data.h"
#include "kiln/dim.h"
#include "kiln/dtype.h"
#include "kiln/error.h"
#include "kiln/gradients.h"
#include "kiln/graph.h"
#include "kiln/initializers.h"
#include "kiln/inspect.h"
#include "kiln/nn.h"
#include "kiln/operators.h"
#include "kiln/optimizers.h"
#include "kiln/session.h"
#include "kiln/shape.h"

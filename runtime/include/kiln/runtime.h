// Everything that a program needs which runs compiled models and brings no compiler: arrays, files, sessions.
#pragma once

#include "kiln/abi.h"
#include "kiln/array.h"
#include "kiln/custom_function.h"
#include "kiln/dtype.h"
#include "kiln/error.h"
#include "kiln/files.h"
#include "kiln/session.h"
#include "kiln/shape.h"

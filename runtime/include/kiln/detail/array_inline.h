// Template members of kiln/array.h.
#pragma once

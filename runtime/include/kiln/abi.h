/* The binary interface between generated code and whoever runs it: the JIT behind a Session, a loaded shared object, a C program.
   C11; no other header of Kiln is needed. Generated code calls nothing but the functions reached from here. */
#ifndef KILN_ABI_H
#define KILN_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_ABI_VERSION 1

/* What an entry returns. */
enum {
  KILN_OK = 0,
  KILN_CHECK_FAILED = 1, /* call->detail is the index of the check */
  KILN_CANCELLED = 2,
  KILN_DEADLINE = 3,
  KILN_OUT_OF_MEMORY = 4,
  KILN_CUSTOM_CALL = 5, /* call->detail is the index of the custom call */
  KILN_OVERFLOW = 6,    /* a size does not fit in 63 bits */
  KILN_PRINT_FAILED = 7 /* the print hook did not return 0 */
};

/* A piece of a parallel loop: iterations begin..end-1. */
typedef void (*kiln_parallel_body)(void* context, int64_t begin, int64_t end);

/* One run. The caller fills everything but `detail`; all pointers stay valid during the call. Buffers are row-major; the arena, variables,
   shadows, constants are 64-byte aligned, inputs and outputs at least to their element size. */
typedef struct kiln_call {
  const void* const* inputs;
  void* const* outputs;
  void** variables;              /* current storage of each variable; entries are swapped with `shadows` at commit */
  void** shadows;                /* second storage of the variables that the program double-buffers, else null */
  const void* const* constants;
  int64_t* symbols;              /* values of the program's symbols: those of the shapes fed, then room for those that the run produces, which the code writes */
  const int64_t* values;         /* what `plan` computed from them */
  unsigned char* arena;          /* values[0] bytes */
  /* Runs body over 0..count-1 in pieces, on any threads; returns when all are done. Null: the code runs serially. */
  void (*parallel_for)(void* pool, int64_t count, kiln_parallel_body body, void* context);
  void* pool;
  /* Memory for tapes without a bound; lives until the run ends. Null result: the run fails with KILN_OUT_OF_MEMORY. */
  void* (*allocate)(void* allocator, size_t bytes);
  void* allocator;
  /* Non-zero result (KILN_CANCELLED, KILN_DEADLINE) stops the run; called between kernels and at loop back-edges, before any commit. Null: never. */
  int32_t (*poll)(void* poll_context);
  void* poll_context;
  /* Calls the user's function `index` of the program: reads inputs, writes every element of outputs, which overlap with nothing. On a result
     other than 0 the run ends with KILN_CUSTOM_CALL. Called before any commit. Null: there are no functions, every call fails. */
  int32_t (*custom_call)(void* custom_call_context, int64_t index, const void* const* inputs, void* const* outputs);
  void* custom_call_context;
  /* Shows a value: print `index` of the program, with the value's extents. On a result other than 0 the run ends with KILN_PRINT_FAILED.
     Called before any commit. Null: nothing is shown. */
  int32_t (*print)(void* print_context, int64_t index, const void* data, const int64_t* extents);
  void* print_context;
  void* program;                 /* for interpreters: the program object */
  int64_t detail;
} kiln_call;

/* Runs the program. On a result other than KILN_OK no variable has changed. */
typedef int32_t (*kiln_entry)(kiln_call* call);

/* Computes the program's dim expressions from its symbols; values[0] is the arena's size. KILN_OK or KILN_OVERFLOW. `program` as in kiln_call.
   Called before a run, with 0 for the symbols that it produces, and again after it where extents of results depend on these: memory for such
   a result must hold as many elements as its bound, which is among the values. */
typedef int32_t (*kiln_plan)(void* program, const int64_t* symbols, int64_t* values);

#ifdef __cplusplus
}
#endif
#endif

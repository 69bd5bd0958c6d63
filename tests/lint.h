/* For `make lint` alone, included before each file: tells the static analyzer what mr_fail returns, which it cannot see from
 * another file; otherwise it takes every failed call for one that may have succeeded without filling its results. */
#include "tracer/error.h"

#define mr_fail(err, status, ...) ((void)(mr_fail)(err, status, __VA_ARGS__), (status))

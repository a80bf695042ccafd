// How a call into llama.cpp becomes a code. For the shim's own files only.
#pragma once

#include "shim.h"

#include <cstdio>
#include <exception>
#include <new>

template <typename Call> inline int32_t guarded(char * err, size_t cap, Call && call) noexcept {
    const char * text = "an exception that is not a std::exception";
    try {
        return call();
    } catch (const std::bad_alloc &) {
        return ENGINE_NO_MEMORY;
    } catch (const std::exception & e) {
        if (cap > 0) {
            snprintf(err, cap, "%s", e.what());
        }
        return ENGINE_FAILED;
    } catch (...) {
        if (cap > 0) {
            snprintf(err, cap, "%s", text);
        }
        return ENGINE_FAILED;
    }
}

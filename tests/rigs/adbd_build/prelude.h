// Included before every source: what Android's own compiler and C library bring along.
#pragma once
#ifdef __cplusplus
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

// Clang's thread annotations mean nothing to g++.
#include <android-base/thread_annotations.h>
#undef THREAD_ANNOTATION_ATTRIBUTE__
#define THREAD_ANNOTATION_ATTRIBUTE__(annotation)

// Owner and mode that Android's file system table gives a pushed file: leave what was asked for.
extern "C" inline void fs_config(const char*, int, const char*, unsigned*, unsigned*, unsigned*,
                                 uint64_t*) {}
#endif

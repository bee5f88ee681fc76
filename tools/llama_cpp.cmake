# Read by CMake right after the project() of llama-cpp-python (CMAKE_PROJECT_INCLUDE): leaves out
# libllama-common, the code of llama.cpp's command-line tools, which no Python code loads.
if (PROJECT_NAME STREQUAL "llama_cpp")
    # Its CMakeLists.txt switches this on in the cache, over any -D; an ordinary variable has
    # precedence over the cache (policies CMP0077 and CMP0126).
    set(LLAMA_BUILD_COMMON OFF)
endif ()

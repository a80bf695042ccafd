/* The types of the header have the sizes, alignments and offsets that hosts with their own declarations were built
 * with (LP64), and the enumerators their published numbers. */

#include <stddef.h>

#include "host.h"

static void structs_have_the_published_layout(void) {
    CHECK_EQ(sizeof(tensor_dimensions), 16);
    CHECK_EQ(_Alignof(tensor_dimensions), 8);
    CHECK_EQ(offsetof(tensor_dimensions, buf), 0);
    CHECK_EQ(offsetof(tensor_dimensions, size), 8);

    CHECK_EQ(sizeof(tensor), 24);
    CHECK_EQ(_Alignof(tensor), 8);
    CHECK_EQ(offsetof(tensor, dimensions), 0);
    CHECK_EQ(offsetof(tensor, type), 8);
    CHECK_EQ(offsetof(tensor, data), 16);

    CHECK_EQ(sizeof(graph_builder), 16);
    CHECK_EQ(_Alignof(graph_builder), 8);
    CHECK_EQ(offsetof(graph_builder, buf), 0);
    CHECK_EQ(offsetof(graph_builder, size), 8);

    CHECK_EQ(sizeof(graph_builder_array), 16);
    CHECK_EQ(_Alignof(graph_builder_array), 8);
    CHECK_EQ(offsetof(graph_builder_array, buf), 0);
    CHECK_EQ(offsetof(graph_builder_array, size), 8);
}

static void handles_and_enums_are_four_bytes(void) {
    CHECK_EQ(sizeof(graph), 4);
    CHECK_EQ(sizeof(graph_execution_context), 4);
    CHECK_EQ(sizeof(wasi_nn_error), 4);
    CHECK_EQ(sizeof(tensor_type), 4);
    CHECK_EQ(sizeof(graph_encoding), 4);
    CHECK_EQ(sizeof(execution_target), 4);
    CHECK_EQ(sizeof(backend_status_type), 4);
    CHECK((wasi_nn_error)-1 > 0);
}

static void enumerators_have_the_published_numbers(void) {
    CHECK_EQ(success, 0);
    CHECK_EQ(invalid_argument, 1);
    CHECK_EQ(invalid_encoding, 2);
    CHECK_EQ(timeout, 3);
    CHECK_EQ(runtime_error, 4);
    CHECK_EQ(unsupported_operation, 5);
    CHECK_EQ(too_large, 6);
    CHECK_EQ(not_found, 7);
    CHECK_EQ(security, 8);
    CHECK_EQ(unknown, 9);
    CHECK_EQ(end_of_sequence, 100);
    CHECK_EQ(context_full, 101);
    CHECK_EQ(prompt_tool_long, 102);
    CHECK_EQ(model_not_found, 103);

    CHECK_EQ(fp16, 0);
    CHECK_EQ(fp32, 1);
    CHECK_EQ(fp64, 2);
    CHECK_EQ(bf16, 3);
    CHECK_EQ(u8, 4);
    CHECK_EQ(i32, 5);
    CHECK_EQ(i64, 6);

    CHECK_EQ(openvino, 0);
    CHECK_EQ(onnx, 1);
    CHECK_EQ(tensorflow, 2);
    CHECK_EQ(pytorch, 3);
    CHECK_EQ(tensorflowlite, 4);
    CHECK_EQ(ggml, 5);
    CHECK_EQ(autodetect, 6);
    CHECK_EQ(unknown_backend, 7);

    CHECK_EQ(cpu, 0);
    CHECK_EQ(gpu, 1);
    CHECK_EQ(tpu, 2);

    CHECK_EQ(BACKEND_STATUS_QUEUE, 0);
    CHECK_EQ(BACKEND_STATUS_MEMORY, 1);
    CHECK_EQ(BACKEND_STATUS_SESSIONS, 2);
    CHECK_EQ(BACKEND_STATUS_PERFORMANCE, 3);
    CHECK_EQ(BACKEND_STATUS_MODEL, 4);
}

int main(void) {
    check_begin();
    RUN(structs_have_the_published_layout);
    RUN(handles_and_enums_are_four_bytes);
    RUN(enumerators_have_the_published_numbers);
    return check_end();
}

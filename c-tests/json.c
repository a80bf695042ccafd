/* A recursive reader over the text itself: nothing is allocated, and positions are pointers into the text. */

#include "json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

static const char *space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') { at++; }
    return at;
}

/* Behind the string that begins at `at`, or NULL. */
static const char *string_end(const char *at) {
    if (*at != '"') { return NULL; }
    for (at++; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20) { return NULL; }
        if (*at != '\\') { continue; }
        at++;
        if (*at == 'u') {
            for (int digit = 0; digit < 4; digit++) {
                if (!isxdigit((unsigned char)*++at)) { return NULL; }
            }
        } else if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *number_end(const char *at) {
    if (*at == '-') { at++; }
    if (!isdigit((unsigned char)*at)) { return NULL; }
    if (*at == '0' && isdigit((unsigned char)at[1])) { return NULL; }
    while (isdigit((unsigned char)*at)) { at++; }
    if (*at == '.') {
        if (!isdigit((unsigned char)*++at)) { return NULL; }
        while (isdigit((unsigned char)*at)) { at++; }
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-') { at++; }
        if (!isdigit((unsigned char)*at)) { return NULL; }
        while (isdigit((unsigned char)*at)) { at++; }
    }
    return at;
}

static const char *value_end(const char *at, int depth);

/* Behind the list of elements or members that begins at `at` with its opening bracket, or NULL. */
static const char *list_end(const char *at, char close, int depth) {
    bool object = close == '}';
    at = space(at + 1);
    if (*at == close) { return at + 1; }
    for (;;) {
        if (object) {
            at = string_end(at);
            if (at == NULL) { return NULL; }
            at = space(at);
            if (*at++ != ':') { return NULL; }
        }
        at = value_end(space(at), depth + 1);
        if (at == NULL) { return NULL; }
        at = space(at);
        if (*at == close) { return at + 1; }
        if (*at++ != ',') { return NULL; }
        at = space(at);
    }
}

static const char *value_end(const char *at, int depth) {
    if (depth > MAX_DEPTH) { return NULL; }
    switch (*at) {
    case '{': return list_end(at, '}', depth);
    case '[': return list_end(at, ']', depth);
    case '"': return string_end(at);
    case 't': return strncmp(at, "true", 4) == 0 ? at + 4 : NULL;
    case 'f': return strncmp(at, "false", 5) == 0 ? at + 5 : NULL;
    case 'n': return strncmp(at, "null", 4) == 0 ? at + 4 : NULL;
    default: return number_end(at);
    }
}

bool json_valid(const char *text) {
    const char *end = value_end(space(text), 0);
    return end != NULL && *space(end) == '\0';
}

/* The value of the member `name` (an index, for an array) of the list at `at`, or NULL. Counts all of them if `name` is
 * NULL. */
static const char *member(const char *at, const char *name, size_t length, int *count) {
    bool object = *at == '{';
    char close = object ? '}' : ']';
    *count = 0;
    if (!object && *at != '[') {
        *count = -1;
        return NULL;
    }
    at = space(at + 1);
    while (*at != close) {
        bool found = false;
        if (object) {
            const char *end = string_end(at);
            found = name != NULL && (size_t)(end - at) == length + 2 && strncmp(at + 1, name, length) == 0;
            at = space(space(end) + 1);
        } else {
            found = name != NULL && atoi(name) == *count;
        }
        if (found) { return at; }
        at = space(value_end(at, 0));
        (*count)++;
        if (*at == ',') { at = space(at + 1); }
    }
    return NULL;
}

static const char *find(const char *text, const char *path) {
    int count;
    if (!json_valid(text)) { return NULL; }
    const char *at = space(text);
    while (*path != '\0' && at != NULL) {
        size_t length = strcspn(path, ".");
        at = member(at, path, length, &count);
        path += length;
        if (*path == '.') { path++; }
    }
    return at;
}

double json_number(const char *text, const char *path) {
    const char *at = find(text, path);
    return at != NULL && number_end(at) != NULL ? strtod(at, NULL) : -1e300;
}

int json_count(const char *text, const char *path) {
    int count;
    const char *at = find(text, path);
    if (at == NULL) { return -1; }
    member(at, NULL, 0, &count);
    return count;
}

/* Writes `code` as UTF-8; bytes written. */
static size_t utf8(unsigned long code, char *out) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

bool json_text(const char *text, const char *path, char *buffer, size_t size) {
    size_t used = 0;
    buffer[0] = '\0';
    const char *at = find(text, path);
    if (at == NULL) { return false; }
    const char *end = value_end(at, 0);
    if ((size_t)(end - at) >= size) { return false; }
    if (*at != '"') {
        memcpy(buffer, at, (size_t)(end - at));
        buffer[end - at] = '\0';
        return true;
    }
    for (at++; at < end - 1; at++) {
        if (*at != '\\') {
            buffer[used++] = *at;
            continue;
        }
        at++;
        if (*at == 'u') {
            char digits[5] = {at[1], at[2], at[3], at[4], '\0'};
            used += utf8(strtoul(digits, NULL, 16), buffer + used);
            at += 4;
        } else {
            const char *plain = strchr("bfnrt", *at);
            buffer[used++] = plain != NULL ? "\b\f\n\r\t"[plain - "bfnrt"] : *at;
        }
    }
    buffer[used] = '\0';
    return true;
}

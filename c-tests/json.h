/* As much JSON as the tests need: is a text one well-formed value, and what stands at a path in it. */

#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

/* True if `text` is exactly one JSON value, with nothing but white space around it. */
bool json_valid(const char *text);

/* The number of the member at `path`, such as "limits.max_sessions"; -1e300 if there is none or it is no number.
 * A path part that is a number selects an element of an array. */
double json_number(const char *text, const char *path);

/* Copies the text of the member at `path` into `buffer`: of a string its content with the escapes resolved, of any
 * other value its JSON. False, and an empty buffer, if there is none or it does not fit. */
bool json_text(const char *text, const char *path, char *buffer, size_t size);

/* Elements of the array, or members of the object, at `path` ("" is the root); -1 if there is none. */
int json_count(const char *text, const char *path);

#endif

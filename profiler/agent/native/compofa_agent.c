/* The native agent: what compofa_agent.py is, for devices without Python.
 *
 *     compofa_agent FOLDER [LIBONNXRUNTIME]
 *
 * It speaks the same protocol (described there) and passes the same tests. Its one runtime is
 * ONNX Runtime, whose C API it finds in the shared library named on the command line, else in
 * libonnxruntime.so beside itself.
 *
 * Of the C library it uses only what has one binary form on every 64-bit Linux, so that one source
 * serves glibc, musl and Android, and the Android build needs no NDK: no stdio streams, no sysconf,
 * no glob. What is not everywhere is looked up at run time.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    VERSION = 1,
    LONGEST_LINE = 1 << 20,
    DEEPEST = 64,
    CHECKED_OUTPUTS = 256,
    MOST_RUNS = 100000,
    MOST_MODELS = 64,
    MOST_PADDING = 1 << 20,
    MOST_THREADS = 1024,
    MOST_DIMENSIONS = 8,
    DIGEST = 64
};
static const double IDLE_S = 300, DEADLINE_S = 600, LONGEST_S = 1e9;

/* Why a request cannot be met; `kind` tells the host whose fault it is. */
struct refusal {
    const char *kind;
    char message[1024];
};

static bool refuse(struct refusal *why, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct refusal *why, const char *kind, const char *format, ...) {
    va_list values;
    va_start(values, format);
    why->kind = kind;
    vsnprintf(why->message, sizeof why->message, format, values);
    va_end(values);
    return false;
}

_Noreturn static void die(const char *message) {
    if (write(2, message, strlen(message)) < 0 || write(2, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

/* Writing JSON: a text that grows. */

struct text {
    char *data;
    size_t size, room;
};

static void append(struct text *text, const char *data, size_t size) {
    if (text->room - text->size < size) {
        size_t room = 2 * (text->size + size) + 256;
        text->data = realloc(text->data, room);
        if (!text->data)
            die("out of memory");
        text->room = room;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static void print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct text *text, const char *format, ...) {
    char part[128];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(part, sizeof part, format, values);
    va_end(values);
    append(text, part, (size_t)size < sizeof part ? (size_t)size : sizeof part - 1);
}

/* A comma, unless what comes next is the first of its object or array. */
static void separate(struct text *text) {
    char last = text->data[text->size - 1];
    if (last != '{' && last != '[')
        append(text, ",", 1);
}

/* Bytes of the UTF-8 sequence at `at`; 0 if there is none (RFC 3629, section 4). */
static size_t sequence(const char *at, const char *end) {
    const unsigned char *s = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (left > 0 && s[0] < 0x80)
        return 1;
    if (left == 0 || s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    size_t size = 2 + (s[0] >= 0xE0) + (s[0] >= 0xF0);
    if (size > left)
        return 0;
    unsigned char least = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char most = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < least || s[1] > most)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

/* `string` in quotes; bytes that are no UTF-8 become the replacement character. */
static void print_string(struct text *text, const char *string) {
    const char *end = string + strlen(string);
    append(text, "\"", 1);
    while (string < end) {
        size_t size = sequence(string, end);
        if (size == 0)
            print(text, "\\ufffd");
        else if (*string == '"' || *string == '\\')
            print(text, "\\%c", *string);
        else if ((unsigned char)*string < 0x20 || *string == 0x7F)
            print(text, "\\u%04x", (unsigned)*string);
        else
            append(text, string, size);
        string += size ? size : 1;
    }
    append(text, "\"", 1);
}

static void print_key(struct text *text, const char *name) {
    separate(text);
    print_string(text, name);
    append(text, ":", 1);
}

/* A member whose value is a string, or null where there is none. */
static void print_member(struct text *text, const char *name, const char *string) {
    print_key(text, name);
    if (string && *string)
        print_string(text, string);
    else
        print(text, "null");
}

/* A float with all the digits that tell it from its neighbours; infinities and NaN as Python
 * writes them. */
static void print_float(struct text *text, float value) {
    separate(text);
    if (isnan(value))
        print(text, "NaN");
    else if (isinf(value))
        print(text, value > 0 ? "Infinity" : "-Infinity");
    else
        print(text, "%.9g", (double)value);
}

/* Reading JSON: a line is checked as a whole, then its parts are looked up where they stand. */

struct json {
    const char *at, *end;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at;
}

static const char *skip_digits(const char *at, const char *end) {
    const char *first = at;
    while (at < end && is_digit(*at))
        at++;
    return at > first ? at : NULL;
}

static const char *skip_number(const char *at, const char *end) {
    at += at < end && *at == '-';
    at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
    if (at && at < end && *at == '.')
        at = skip_digits(at + 1, end);
    if (at && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        at = skip_digits(at, end);
    }
    return at;
}

/* The number that four hexadecimal digits say, or -1. */
static long hexadecimal(const char *at, const char *end) {
    long value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *found;
        char c = at[i] >= 'A' && at[i] <= 'F' ? (char)(at[i] - 'A' + 'a') : at[i];
        if (c == 0 || !(found = strchr(digits, c)))
            return -1;
        value = value * 16 + (found - digits);
    }
    return value;
}

static const char *skip_string(const char *at, const char *end) {
    if (at >= end || *at++ != '"')
        return NULL;
    while (at < end && *at != '"') {
        size_t size = sequence(at, end);
        if (size == 0 || (unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\') {
            if (at + 1 >= end || at[1] == 0 || !strchr("\"\\/bfnrtu", at[1]))
                return NULL;
            size = at[1] == 'u' ? 6 : 2;
            if (size == 6 && hexadecimal(at + 2, end) < 0)
                return NULL;
        }
        at += size;
    }
    return at < end ? at + 1 : NULL;
}

static const char *skip_value(const char *at, const char *end, int depth);

/* Skips what stands between `at`'s bracket and the one that closes it; objects have keys. */
static const char *skip_members(const char *at, const char *end, int depth, char close) {
    at = skip_space(at + 1, end);
    if (at < end && *at == close)
        return at + 1;
    while (at) {
        if (close == '}') {
            at = skip_string(at, end);
            at = at ? skip_space(at, end) : NULL;
            if (!at || at >= end || *at != ':')
                return NULL;
            at = skip_space(at + 1, end);
        }
        at = skip_value(at, end, depth + 1);
        at = at ? skip_space(at, end) : NULL;
        if (!at || at >= end || (*at != ',' && *at != close))
            return NULL;
        if (*at == close)
            return at + 1;
        at = skip_space(at + 1, end);
    }
    return NULL;
}

/* The end of the value that begins at `at`, or NULL if it is not JSON or nested too deep. */
static const char *skip_value(const char *at, const char *end, int depth) {
    static const char *const words[] = {"true", "false", "null"};
    if (at >= end || depth > DEEPEST)
        return NULL;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_members(at, end, depth, *at == '{' ? '}' : ']');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(end - at) >= size && memcmp(at, words[i], size) == 0)
            return at + size;
    }
    return skip_number(at, end);
}

/* Whether the whole line is one JSON value, which `value` then is. */
static bool read_json(const char *line, size_t size, struct json *value) {
    const char *end = line + size;
    value->at = skip_space(line, end);
    value->end = skip_value(value->at, end, 0);
    return value->end && skip_space(value->end, end) == end;
}

/* Writes a code point as UTF-8, half a surrogate pair as the replacement character. */
static size_t encode(unsigned long code, char *to) {
    if (code >= 0xD800 && code < 0xE000)
        code = 0xFFFD;
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    size_t size = 2 + (code >= 0x800) + (code >= 0x10000);
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3F));
    to[0] = (char)((0xF00 >> size & 0xFF) | code);
    return size;
}

/* The code point of the escape at `*at`, which is moved past it. */
static unsigned long unescape(const char **at, const char *end) {
    static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
    const char *s = *at, *found = strchr(names, s[1]);
    *at += s[1] == 'u' ? 6 : 2;
    if (s[1] != 'u')
        return (unsigned char)(found ? codes[found - names] : s[1]);
    unsigned long code = (unsigned long)hexadecimal(s + 2, end);
    bool followed = end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u';
    long low = followed ? hexadecimal(*at + 2, end) : -1;
    if (code < 0xD800 || code >= 0xDC00 || low < 0xDC00 || low >= 0xE000)
        return code;
    *at += 6;
    return 0x10000 + ((code & 0x3FF) << 10 | (unsigned long)(low & 0x3FF));
}

/* Decodes a string without NULs into `to`; false if it is none or does not fit. */
static bool json_string(struct json value, char *to, size_t room) {
    if (*value.at != '"')
        return false;
    const char *at = value.at + 1, *end = value.end - 1;
    size_t size = 0;
    while (at < end) {
        char part[4];
        size_t length = 1;
        if (*at == '\\')
            length = encode(unescape(&at, end), part);
        else
            part[0] = *at++;
        if (part[0] == 0 || size + length >= room)
            return false;
        memcpy(to + size, part, length);
        size += length;
    }
    to[size] = 0;
    return true;
}

/* The first value inside an object or array, or the one after `previous`; false at its end. */
static bool json_next(struct json whole, struct json *key, struct json *value) {
    const char *at = skip_space(value->at ? value->end : whole.at + 1, whole.end);
    if (value->at && *at == ',')
        at = skip_space(at + 1, whole.end);
    if (*at == '}' || *at == ']')
        return false;
    if (*whole.at == '{') {
        key->at = at;
        key->end = skip_string(at, whole.end);
        at = skip_space(skip_space(key->end, whole.end) + 1, whole.end);
    }
    value->at = at;
    value->end = skip_value(at, whole.end, 0);
    return true;
}

/* The member called `name`, the last one if there are several; false if there is none. */
static bool json_member(struct json object, const char *name, struct json *found) {
    struct json key, value = {NULL, NULL};
    bool any = false;
    while (json_next(object, &key, &value)) {
        char text[32];
        if (json_string(key, text, sizeof text) && strcmp(text, name) == 0) {
            *found = value;
            any = true;
        }
    }
    return any;
}

static bool is_number(struct json value) {
    return *value.at == '-' || is_digit(*value.at);
}

static bool json_integer(struct json value, long long *number) {
    const char *digits = value.at + (*value.at == '-');
    if (!is_number(value) || skip_digits(digits, value.end) != value.end)
        return false;
    errno = 0;
    *number = strtoll(value.at, NULL, 10);
    return errno == 0;
}

/* An optional whole number between two others. */
static bool integer_member(struct json object, const char *name, long long least, long long most,
                           long long *number, struct refusal *why) {
    struct json value;
    if (json_member(object, name, &value) &&
        (!json_integer(value, number) || *number < least || *number > most))
        return refuse(why, "request", "%s is not a whole number from %lld to %lld", name, least,
                      most);
    return true;
}

/* An optional number of seconds. */
static bool seconds_member(struct json object, const char *name, double *seconds,
                           struct refusal *why) {
    struct json value;
    if (json_member(object, name, &value)) {
        *seconds = is_number(value) ? strtod(value.at, NULL) : 0;
        if (!(*seconds > 0 && *seconds <= LONGEST_S))
            return refuse(why, "request", "%s is not a number of seconds", name);
    }
    return true;
}

/* SHA-256 (FIPS 180-4). */

struct sha256 {
    uint32_t state[8];
    uint64_t size;
    unsigned char block[64];
};

static uint32_t rotated(uint32_t x, int by) {
    return x >> by | x << (32 - by);
}

static void sha256_begin(struct sha256 *hash) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof initial);
    hash->size = 0;
}

static void sha256_block(struct sha256 *hash, const unsigned char *block) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    uint32_t w[64], *h = hash->state;
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], last = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
        uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
        uint32_t t1 = last + s1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
        uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        last = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d;
    h[4] += e, h[5] += f, h[6] += g, h[7] += last;
}

static void sha256_add(struct sha256 *hash, const void *data, size_t size) {
    const unsigned char *at = data;
    for (size_t used = hash->size % 64; size > 0; used = 0) {
        size_t part = size < 64 - used ? size : 64 - used;
        if (part < 64)
            memcpy(hash->block + used, at, part);
        if (used + part == 64)
            sha256_block(hash, part < 64 ? hash->block : at);
        hash->size += part;
        at += part;
        size -= part;
    }
}

static void sha256_end(struct sha256 *hash, char digest[DIGEST + 1]) {
    uint64_t bits = hash->size * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(hash, "\x80", 1);
    while (hash->size % 64 != 56)
        sha256_add(hash, "", 1);
    sha256_add(hash, length, sizeof length);
    for (int i = 0; i < 8; i++)
        snprintf(digest + 8 * i, 9, "%08x", hash->state[i]);
}

/* The digest of a file's content; false, with errno set, if it cannot be read. */
static bool sha256_file(const char *path, char digest[DIGEST + 1]) {
    struct sha256 hash;
    char part[1 << 16];
    ssize_t size;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    sha256_begin(&hash);
    while ((size = read(file, part, sizeof part)) > 0)
        sha256_add(&hash, part, (size_t)size);
    int error = errno;
    close(file);
    errno = error;
    sha256_end(&hash, digest);
    return size == 0;
}

/* What the system tells of itself. */

enum { SMALL_FILE = 65536 };

/* The content of a small file of the kernel's, stripped; empty where there is none to be had. */
static const char *read_text(const char *path) {
    static char content[SMALL_FILE];
    size_t size = 0;
    ssize_t part;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        while (size < sizeof content - 1 &&
               (part = read(file, content + size, sizeof content - 1 - size)) > 0)
            size += (size_t)part;
        close(file);
    }
    while (size > 0 && strchr("\n ", content[size - 1]))
        size--;
    content[size] = 0;
    return content + strspn(content, "\n ");
}

/* Like read_text, of a file whose name holds a number. */
static const char *read_numbered(const char *format, int number) {
    char path[128];
    snprintf(path, sizeof path, format, number);
    return read_text(path);
}

/* Copies at most `room` - 1 bytes of the line that `from` begins. */
static void copy_line(char *to, size_t room, const char *from) {
    size_t size = strcspn(from, "\n");
    size = size < room ? size : room - 1;
    memcpy(to, from, size);
    to[size] = 0;
}

/* What follows `name`, spaces and `mark` at the beginning of a line of `content`; else NULL. */
static const char *field(const char *content, const char *name, char mark) {
    for (const char *line = content; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, strlen(name)) != 0)
            continue;
        const char *at = line + strlen(name);
        at += strspn(at, " \t");
        if (*at == mark)
            return at + 1 + strspn(at + 1, " \t\"");
    }
    return NULL;
}

/* How many CPUs a list of the kernel's names, such as "0-3,6", and the last of them. */
static int count_cpus(const char *list, int *last) {
    int count = 0;
    *last = -1;
    while (is_digit(*list)) {
        char *end;
        int first = (int)strtol(list, &end, 10);
        *last = *end == '-' ? (int)strtol(end + 1, &end, 10) : first;
        count += *last - first + 1;
        list = end + (*end == ',');
    }
    return count;
}

/* The least of the CPU quotas of this process's control groups, in CPUs, and how many periods they
   stopped it in; both negative where nothing tells. */
struct quota {
    double cpus;
    long long stopped;
};

/* Takes in what a group says of itself, in either version of cgroups. */
static void read_group(struct quota *quota, const char *folder) {
    char path[1200];
    char *end;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    const char *limit = read_text(path);
    double most = is_digit(*limit) ? strtod(limit, &end) : 0;
    double period = most > 0 ? strtod(end, NULL) : 0;
    if (!*limit) {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
        limit = read_text(path);
        most = is_digit(*limit) ? strtod(limit, NULL) : 0;
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        period = strtod(read_text(path), NULL);
    }
    if (most > 0 && period > 0 && (quota->cpus < 0 || most / period < quota->cpus))
        quota->cpus = most / period;
    snprintf(path, sizeof path, "%s/cpu.stat", folder);
    const char *stat = read_text(path);
    const char *at = strstr(stat, "nr_throttled ");
    if (at) {
        long long stopped = strtoll(strchr(at, ' '), NULL, 10);
        quota->stopped = (quota->stopped < 0 ? 0 : quota->stopped) + stopped;
    }
}

/* Takes in a group and all those above it, of which `top` is the folder of the first. */
static void read_groups(struct quota *quota, const char *top, const char *group) {
    char folder[1024];
    int size = snprintf(folder, sizeof folder, "%s%s", top, group);
    if (size < 0 || size >= (int)sizeof folder || strstr(group, "/.."))
        snprintf(folder, sizeof folder, "%s", top);
    for (;;) {
        size_t length = strlen(folder);
        while (length > strlen(top) && folder[length - 1] == '/')
            folder[--length] = 0;
        read_group(quota, folder);
        if (length <= strlen(top))
            return;
        *strrchr(folder, '/') = 0;
    }
}

static struct quota cpu_quota(void) {
    struct quota quota = {-1, -1};
    char groups[4096], line[1024], top[256];
    snprintf(groups, sizeof groups, "%s", read_text("/proc/self/cgroup"));
    for (const char *at = groups; *at; at += *at == '\n') {
        copy_line(line, sizeof line, at);
        at += strcspn(at, "\n");
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        if (!*controllers && strncmp(line, "0:", 2) == 0) {
            read_groups(&quota, "/sys/fs/cgroup", group);
            read_groups(&quota, "/sys/fs/cgroup/unified", group);
            continue;
        }
        char list[300];
        snprintf(list, sizeof list, ",%.256s,", controllers);
        if (!strstr(list, ",cpu,"))
            continue;
        snprintf(top, sizeof top, "/sys/fs/cgroup/%.200s", controllers);
        read_groups(&quota, top, group);
        if (strcmp(controllers, "cpu") != 0)
            read_groups(&quota, "/sys/fs/cgroup/cpu", group);
    }
    return quota;
}

/* A property of Android's; false elsewhere. */
static bool android_property(const char *name, char value[92]) {
    int (*get)(const char *, char *);
    *(void **)&get = dlsym(RTLD_DEFAULT, "__system_property_get");
    return get && get(name, value) > 0;
}

/* One cpufreq value per CPU, in MHz, in an array. */
static void print_frequencies(struct text *out, const char *name) {
    int last;
    count_cpus(read_text("/sys/devices/system/cpu/possible"), &last);
    append(out, "[", 1);
    for (int cpu = 0; cpu <= last; cpu++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/%s", cpu, name);
        const char *khz = read_text(path);
        if (is_digit(*khz)) {
            separate(out);
            print(out, "%.3f", (double)strtoll(khz, NULL, 10) / 1000);
        }
    }
    append(out, "]", 1);
}

static const char *governor(void) {
    return read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
}

/* What the CPU is called, by the first of the names under which kernels tell it. */
static void cpu_name(char *name, size_t room) {
    static const char *const fields[] = {"model name", "Model", "Hardware"};
    const char *content = read_text("/proc/cpuinfo"), *first = NULL;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *found = field(content, fields[i], ':');
        if (found && (!first || found < first))
            first = found;
    }
    copy_line(name, room, first ? first : "");
}

static void os_name(char *name, size_t room, const struct utsname *kernel) {
    char version[92];
    const char *pretty = field(read_text("/etc/os-release"), "PRETTY_NAME", '=');
    if (android_property("ro.build.version.release", version))
        snprintf(name, room, "Android %s", version);
    else if (pretty)
        copy_line(name, room, pretty);
    else
        snprintf(name, room, "%s %s", kernel->sysname, kernel->release);
    name[strcspn(name, "\"")] = 0;
}

/* Tells two devices of one model apart without naming either; empty if nothing does. */
static void serial_hash(char digest[DIGEST + 1]) {
    char property[92];
    struct sha256 hash;
    const char *serial = read_text("/etc/machine-id");
    if (!*serial)
        serial = read_text("/proc/device-tree/serial-number");
    if (!*serial && android_property("ro.serialno", property))
        serial = property;
    sha256_begin(&hash);
    sha256_add(&hash, serial, strlen(serial));
    sha256_end(&hash, digest);
    digest[*serial ? 16 : 0] = 0;
}

/* What does not change while the device is up. */
static void print_facts(struct text *out) {
    struct utsname kernel;
    char text[256], digest[DIGEST + 1];
    int last;
    uname(&kernel);
    append(out, "{", 1);
    print_member(out, "system", kernel.sysname);
    print_member(out, "machine", kernel.machine);
    print_member(out, "kernel", kernel.release);
    os_name(text, sizeof text, &kernel);
    print_member(out, "os", text);
    if (!android_property("ro.soc.model", text))
        cpu_name(text, sizeof text);
    print_key(out, "cpu");
    print_string(out, text);
    if (!android_property("ro.product.model", text)) {
        copy_line(text, sizeof text, read_text("/proc/device-tree/model"));
        if (!*text)
            copy_line(text, sizeof text, read_text("/sys/class/dmi/id/product_name"));
    }
    print_member(out, "board", text);
    if (android_property("ro.build.fingerprint", text))
        print_member(out, "build", text);
    int cpus = count_cpus(read_text("/sys/devices/system/cpu/online"), &last);
    print_key(out, "cpus");
    print(out, cpus ? "%d" : "null", cpus);
    double quota = cpu_quota().cpus;
    print_key(out, "cpu_quota");
    print(out, quota > 0 ? "%.9g" : "null", quota);
    const char *memory = field(read_text("/proc/meminfo"), "MemTotal", ':');
    print_key(out, "memory_kb");
    print(out, memory ? "%lld" : "null", memory ? strtoll(memory, NULL, 10) : 0);
    print_member(out, "governor", governor());
    print_key(out, "max_mhz");
    print_frequencies(out, "cpuinfo_max_freq");
    serial_hash(digest);
    print_member(out, "serial_sha256", digest);
    append(out, "}", 1);
}

/* Since boot: the time that all CPUs counted, and what others took from this virtual machine. */
static void print_ticks(struct text *out) {
    char line[512];
    long long sum = 0, steal = -1;
    copy_line(line, sizeof line, read_text("/proc/stat"));
    char *at = line + strcspn(line, " ");
    for (int i = 1; *at; i++) {
        long long ticks = strtoll(at, &at, 10);
        sum += ticks;
        if (i == 8)
            steal = ticks;
        at += *at && *at != ' ';
    }
    if (steal >= 0) {
        print_key(out, "cpu_ticks");
        print(out, "%lld", sum);
        print_key(out, "steal_ticks");
        print(out, "%lld", steal);
    }
}

static void print_temperatures(struct text *out) {
    enum { ZONES = 128 };
    bool any = false;
    for (int zone = 0; zone < ZONES; zone++) {
        const char *told = read_numbered("/sys/class/thermal/thermal_zone%d/temp", zone);
        if (!is_digit(told[*told == '-']))
            continue;
        double celsius = (double)strtoll(told, NULL, 10) / 1000;
        const char *type = read_numbered("/sys/class/thermal/thermal_zone%d/type", zone);
        if (!any) {
            print_key(out, "celsius");
            append(out, "{", 1);
        }
        any = true;
        print_key(out, *type ? type : "unknown");
        print(out, "%.3f", celsius);
    }
    if (any)
        append(out, "}", 1);
}

/* What changes while the device works; a field is left out where the system does not tell. */
static void print_state(struct text *out) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    print(out, "{\"monotonic_s\":%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
    const char *load = read_text("/proc/loadavg");
    if (is_digit(*load)) {
        print_key(out, "load_1m");
        print(out, "%g", strtod(load, NULL));
    }
    const char *pressure = strstr(read_text("/proc/pressure/cpu"), "some avg10=");
    if (pressure) {
        print_key(out, "cpu_pressure_10s");
        print(out, "%g", strtod(pressure + strlen("some avg10="), NULL));
    }
    print_ticks(out);
    size_t before = out->size;
    print_key(out, "mhz");
    print_frequencies(out, "scaling_cur_freq");
    if (out->data[out->size - 2] == '[')
        out->size = before;
    if (*governor())
        print_member(out, "governor", governor());
    long long stopped = cpu_quota().stopped;
    if (stopped >= 0) {
        print_key(out, "nr_throttled");
        print(out, "%lld", stopped);
    }
    print_temperatures(out);
    append(out, "}", 1);
}

/* ONNX Runtime. */

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;

enum {
    ORT_API_VERSION = 1,
    ORT_ERRORS_ONLY = 3,
    ORT_FLOAT = 1,
    ORT_ARENA = 1,
    ORT_DEFAULT_MEMORY = 0
};

/* The entries used of version 1 of ONNX Runtime's table of functions. Its 102 entries are frozen:
 * later versions only append. The gaps are other entries, counted so that each function stands at
 * its index, which the assertions repeat. */
struct ort_api {
    void *gap_0[2];
    const char *(*GetErrorMessage)(const OrtStatus *);
    OrtStatus *(*CreateEnv)(int severity, const char *id, OrtEnv **);
    void *gap_4[3];
    OrtStatus *(*CreateSession)(const OrtEnv *, const char *path, const OrtSessionOptions *,
                                OrtSession **);
    void *gap_8[1];
    OrtStatus *(*Run)(OrtSession *, const void *options, const char *const *inputs,
                      const OrtValue *const *values, size_t, const char *const *outputs, size_t,
                      OrtValue **);
    OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **);
    void *gap_11[11];
    OrtStatus *(*SetSessionLogSeverityLevel)(OrtSessionOptions *, int);
    void *gap_23[1];
    OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *, int);
    OrtStatus *(*SetInterOpNumThreads)(OrtSessionOptions *, int);
    void *gap_26[4];
    OrtStatus *(*SessionGetInputCount)(const OrtSession *, size_t *);
    OrtStatus *(*SessionGetOutputCount)(const OrtSession *, size_t *);
    void *gap_32[1];
    OrtStatus *(*SessionGetInputTypeInfo)(const OrtSession *, size_t, OrtTypeInfo **);
    void *gap_34[2];
    OrtStatus *(*SessionGetInputName)(const OrtSession *, size_t, OrtAllocator *, char **);
    OrtStatus *(*SessionGetOutputName)(const OrtSession *, size_t, OrtAllocator *, char **);
    void *gap_38[11];
    OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *, void *, size_t bytes,
                                                 const int64_t *shape, size_t, int type,
                                                 OrtValue **);
    void *gap_50[1];
    OrtStatus *(*GetTensorMutableData)(OrtValue *, void **);
    void *gap_52[3];
    OrtStatus *(*CastTypeInfoToTensorInfo)(const OrtTypeInfo *, const OrtTensorInfo **);
    void *gap_56[4];
    OrtStatus *(*GetTensorElementType)(const OrtTensorInfo *, int *);
    OrtStatus *(*GetDimensionsCount)(const OrtTensorInfo *, size_t *);
    OrtStatus *(*GetDimensions)(const OrtTensorInfo *, int64_t *, size_t);
    void *gap_63[1];
    OrtStatus *(*GetTensorShapeElementCount)(const OrtTensorInfo *, size_t *);
    OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *, OrtTensorInfo **);
    void *gap_66[3];
    OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo **);
    void *gap_70[6];
    OrtStatus *(*AllocatorFree)(OrtAllocator *, void *);
    void *gap_77[1];
    OrtStatus *(*GetAllocatorWithDefaultOptions)(OrtAllocator **);
    void *gap_79[14];
    void (*ReleaseStatus)(OrtStatus *);
    void *gap_94[1];
    void (*ReleaseSession)(OrtSession *);
    void (*ReleaseValue)(OrtValue *);
    void *gap_97[1];
    void (*ReleaseTypeInfo)(OrtTypeInfo *);
    void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorInfo *);
    void (*ReleaseSessionOptions)(OrtSessionOptions *);
};

#define AT(name, index)                                                                            \
    _Static_assert(offsetof(struct ort_api, name) == (index) * sizeof(void *), #name)
AT(GetErrorMessage, 2);
AT(CreateSession, 7);
AT(Run, 9);
AT(SetSessionLogSeverityLevel, 22);
AT(SetIntraOpNumThreads, 24);
AT(SessionGetInputCount, 30);
AT(SessionGetInputTypeInfo, 33);
AT(SessionGetInputName, 36);
AT(CreateTensorWithDataAsOrtValue, 49);
AT(GetTensorMutableData, 51);
AT(CastTypeInfoToTensorInfo, 55);
AT(GetTensorElementType, 60);
AT(GetTensorShapeElementCount, 64);
AT(CreateCpuMemoryInfo, 69);
AT(AllocatorFree, 76);
AT(GetAllocatorWithDefaultOptions, 78);
AT(ReleaseStatus, 93);
AT(ReleaseSession, 95);
AT(ReleaseTypeInfo, 98);
AT(ReleaseSessionOptions, 100);

struct ort_api_base {
    const struct ort_api *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
};

/* The runtime as found at the start; `api` is NULL and `missing` says why if there is none. */
struct runtime {
    const struct ort_api *api;
    const char *version;
    char digest[DIGEST + 1];
    OrtEnv *env;
    OrtAllocator *allocator;
    OrtMemoryInfo *memory;
    struct refusal missing;
};

/* Whether a call went well; if not, the reason is the runtime's own message. */
static bool worked(const struct ort_api *api, OrtStatus *status, struct refusal *why) {
    if (!status)
        return true;
    refuse(why, "model", "onnxruntime: %s", api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    return false;
}

/* Where the runtime is if nobody says: in the folder of this program. */
static void library_beside(char *path, size_t room) {
    static const char name[] = "libonnxruntime.so";
    ssize_t size = readlink("/proc/self/exe", path, room - sizeof name);
    path[size > 0 ? size : 0] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash ? slash + 1 : path, name, sizeof name);
}

static bool open_runtime(struct runtime *ort, const char *path) {
    char beside[4096];
    if (!path) {
        library_beside(beside, sizeof beside);
        path = beside;
    }
    // From 1.29 on it reports what it runs to its maker, from its own threads and files.
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return refuse(&ort->missing, "runtime", "no onnxruntime here: %s", dlerror());
    const struct ort_api_base *(*base)(void);
    *(void **)&base = dlsym(library, "OrtGetApiBase");
    const struct ort_api *api = base ? base()->GetApi(ORT_API_VERSION) : NULL;
    if (!api || !sha256_file(path, ort->digest))
        return refuse(&ort->missing, "runtime", "%s is no ONNX Runtime that this agent can use",
                      path);
    ort->version = base()->GetVersionString();
    struct refusal *why = &ort->missing;
    bool ready =
        worked(api, api->CreateEnv(ORT_ERRORS_ONLY, "compofa", &ort->env), why) &&
        worked(api, api->GetAllocatorWithDefaultOptions(&ort->allocator), why) &&
        worked(api, api->CreateCpuMemoryInfo(ORT_ARENA, ORT_DEFAULT_MEMORY, &ort->memory), why);
    ort->api = ready ? api : NULL;
    return ready;
}

/* A loaded model, the input it was last run on, and what it computed. */
struct model {
    long long handle;
    OrtSession *session;
    char *input_name, *output_name;
    int64_t shape[MOST_DIMENSIONS];
    size_t dimensions, count;
    long long seed;
    float *data;
    char *padding;
    OrtValue *input, *output;
    struct model *next;
};

static void free_name(const struct runtime *ort, char *name) {
    struct refusal ignored;
    if (name)
        worked(ort->api, ort->api->AllocatorFree(ort->allocator, name), &ignored);
}

static void free_model(const struct runtime *ort, struct model *model) {
    if (model->output)
        ort->api->ReleaseValue(model->output);
    if (model->input)
        ort->api->ReleaseValue(model->input);
    if (model->session)
        ort->api->ReleaseSession(model->session);
    free_name(ort, model->input_name);
    free_name(ort, model->output_name);
    free(model->data);
    free(model->padding);
    free(model);
}

static bool create_session(const struct runtime *ort, struct model *model, const char *path,
                           int threads, struct refusal *why) {
    const struct ort_api *api = ort->api;
    OrtSessionOptions *options;
    if (!worked(api, api->CreateSessionOptions(&options), why))
        return false;
    bool done = worked(api, api->SetIntraOpNumThreads(options, threads), why) &&
                worked(api, api->SetInterOpNumThreads(options, 1), why) &&
                worked(api, api->SetSessionLogSeverityLevel(options, ORT_ERRORS_ONLY), why) &&
                worked(api, api->CreateSession(ort->env, path, options, &model->session), why);
    api->ReleaseSessionOptions(options);
    return done;
}

/* Takes the shape of a model's input, which must be a tensor of floats of a fixed size. */
static bool read_shape(const struct ort_api *api, struct model *model, const OrtTypeInfo *type,
                       struct refusal *why) {
    const OrtTensorInfo *tensor = NULL;
    int element = 0;
    if (!worked(api, api->CastTypeInfoToTensorInfo(type, &tensor), why) ||
        (tensor && !worked(api, api->GetTensorElementType(tensor, &element), why)))
        return false;
    if (element != ORT_FLOAT)
        return refuse(why, "model", "the input is no tensor of 32-bit floats");
    if (!worked(api, api->GetDimensionsCount(tensor, &model->dimensions), why))
        return false;
    if (model->dimensions > MOST_DIMENSIONS)
        return refuse(why, "model", "the input has %zu dimensions", model->dimensions);
    if (!worked(api, api->GetDimensions(tensor, model->shape, model->dimensions), why))
        return false;
    model->count = 1;
    for (size_t i = 0; i < model->dimensions; i++) {
        size_t size = (size_t)model->shape[i];
        if (model->shape[i] < 1 || __builtin_mul_overflow(model->count, size, &model->count))
            return refuse(why, "model", "the input's shape is not fixed");
    }
    return true;
}

/* Finds out what the model takes; it must have one input and one output. */
static bool describe(const struct runtime *ort, struct model *model, struct refusal *why) {
    const struct ort_api *api = ort->api;
    const OrtSession *session = model->session;
    size_t inputs, outputs;
    OrtTypeInfo *type;
    if (!worked(api, api->SessionGetInputCount(session, &inputs), why) ||
        !worked(api, api->SessionGetOutputCount(session, &outputs), why))
        return false;
    if (inputs != 1 || outputs != 1)
        return refuse(why, "model", "it has %zu inputs and %zu outputs, not 1 of each", inputs,
                      outputs);
    OrtStatus *named = api->SessionGetInputName(session, 0, ort->allocator, &model->input_name);
    if (!worked(api, named, why))
        return false;
    named = api->SessionGetOutputName(session, 0, ort->allocator, &model->output_name);
    if (!worked(api, named, why) ||
        !worked(api, api->SessionGetInputTypeInfo(session, 0, &type), why))
        return false;
    bool done = read_shape(api, model, type, why);
    api->ReleaseTypeInfo(type);
    return done;
}

/* Fills `data` with numbers in [-1, 1): the i-th is a hash (murmur3 finaliser) of i and `seed`. */
static void fill(float *data, size_t count, long long seed) {
    uint32_t start = ((uint32_t)seed + 1) * 0x9E3779B9u;
    for (size_t i = 0; i < count; i++) {
        uint32_t x = (uint32_t)i + start;
        x = (x ^ x >> 16) * 0x85EBCA6Bu;
        x = (x ^ x >> 13) * 0xC2B2AE35u;
        x ^= x >> 16;
        data[i] = (float)(x >> 8) / (float)(1 << 23) - 1;
    }
}

/* Makes sure that the model's input is the one that `seed` makes. */
static bool prepare(const struct runtime *ort, struct model *model, long long seed,
                    struct refusal *why) {
    size_t bytes;
    if (model->input && model->seed == seed)
        return true;
    if (!model->input) {
        bool fits = !__builtin_mul_overflow(model->count, sizeof *model->data, &bytes);
        model->data = fits ? malloc(bytes) : NULL;
        if (!model->data)
            return refuse(why, "memory", "no memory for an input of %zu numbers", model->count);
        OrtStatus *made =
            ort->api->CreateTensorWithDataAsOrtValue(ort->memory, model->data, bytes, model->shape,
                                                     model->dimensions, ORT_FLOAT, &model->input);
        if (!worked(ort->api, made, why))
            return false;
    }
    fill(model->data, model->count, seed);
    model->seed = seed;
    return true;
}

/* Runs the model once; the first run makes the output that the later ones write to. */
static OrtStatus *run_once(const struct ort_api *api, struct model *model) {
    const char *inputs[] = {model->input_name}, *outputs[] = {model->output_name};
    const OrtValue *values[] = {model->input};
    return api->Run(model->session, NULL, inputs, values, 1, outputs, 1, &model->output);
}

/* Prints a sample of what the model computed. */
static bool print_sample(const struct ort_api *api, OrtValue *output, struct text *out,
                         struct refusal *why) {
    OrtTensorInfo *tensor;
    void *data = NULL;
    size_t count = 0;
    int element = 0;
    if (!worked(api, api->GetTensorTypeAndShape(output, &tensor), why))
        return false;
    bool done = worked(api, api->GetTensorElementType(tensor, &element), why) &&
                worked(api, api->GetTensorShapeElementCount(tensor, &count), why) &&
                worked(api, api->GetTensorMutableData(output, &data), why);
    api->ReleaseTensorTypeAndShapeInfo(tensor);
    if (!done)
        return false;
    if (element != ORT_FLOAT)
        return refuse(why, "model", "the output is no tensor of 32-bit floats");
    print_key(out, "output_size");
    print(out, "%zu", count);
    print_key(out, "output");
    append(out, "[", 1);
    for (size_t i = 0, step = (count + CHECKED_OUTPUTS - 1) / CHECKED_OUTPUTS; i < count; i += step)
        print_float(out, ((const float *)data)[i]);
    append(out, "]", 1);
    return true;
}

/* The requests. Each prints its `ok`, or says why not; what it then printed is thrown away. */

struct agent {
    const char *folder;
    struct runtime ort;
    double idle_s;
    long long threads, handles;
    struct model *models;
    int lock;
};

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Lets the system end this process in `seconds`, even if a runtime hangs by then. */
static void alarm_in(double seconds) {
    struct itimerval timer = {{0, 0}, {0, 0}};
    timer.it_value.tv_sec = (time_t)seconds;
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    if (timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0)
        timer.it_value.tv_usec = 1;
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void print_cpus(struct text *out, const cpu_set_t *cpus) {
    append(out, "[", 1);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cpus)) {
            separate(out);
            print(out, "%d", cpu);
        }
    append(out, "]", 1);
}

/* The fastest of `allowed`; of those equally fast the last: the first serve the interrupts. */
static void choose_cpus(const cpu_set_t *allowed, long long threads, cpu_set_t *chosen) {
    CPU_ZERO(chosen);
    for (long long n = 0; n < threads; n++) {
        int best = -1;
        long long best_khz = -1;
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, allowed) || CPU_ISSET(cpu, chosen))
                continue;
            const char *told =
                read_numbered("/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
            long long khz = strtoll(told, NULL, 10);
            if (khz >= best_khz) {
                best = cpu;
                best_khz = khz;
            }
        }
        if (best < 0)
            return;
        CPU_SET(best, chosen);
    }
}

/* The CPUs that a request names, all of which must be allowed. */
static bool named_cpus(struct json list, const cpu_set_t *allowed, cpu_set_t *chosen,
                       struct refusal *why) {
    struct json key, value = {NULL, NULL};
    CPU_ZERO(chosen);
    if (*list.at != '[')
        return refuse(why, "request", "cpus is not a list");
    while (json_next(list, &key, &value)) {
        long long cpu;
        if (!json_integer(value, &cpu))
            return refuse(why, "request", "cpus are not whole numbers");
        if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((int)cpu, allowed))
            return refuse(why, "setting", "CPU %lld does not exist here or is not allowed", cpu);
        CPU_SET((int)cpu, chosen);
    }
    return value.at || refuse(why, "setting", "no CPU is named");
}

/* Binds this process to the CPUs asked for, or to its own choice, and prints where it ended up. */
static bool set_affinity(struct json request, long long threads, struct text *out,
                         struct refusal *why) {
    cpu_set_t allowed, chosen;
    struct json list;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    if (json_member(request, "cpus", &list) && *list.at != 'n') {
        if (!named_cpus(list, &allowed, &chosen, why))
            return false;
    } else {
        choose_cpus(&allowed, threads, &chosen);
    }
    if (sched_setaffinity(0, sizeof chosen, &chosen) != 0)
        return refuse(why, "setting", "cannot bind to these CPUs: %s", strerror(errno));
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    print_cpus(out, &allowed);
    return true;
}

/* Locks the device, for as long as this process lives, if the request names a holder. */
static bool claim(struct agent *agent, struct json request, struct refusal *why) {
    char path[4096], holder[301], said[501], now[32];
    struct json value;
    struct tm utc;
    if (!json_member(request, "holder", &value) || *value.at == 'n')
        return true;
    if (!json_string(value, holder, sizeof holder) || !*holder)
        return refuse(why, "request", "the holder must be a text of 1 to %zu bytes", sizeof holder - 1);
    snprintf(path, sizeof path, "%s/lock", agent->folder);
    if (agent->lock < 0)
        agent->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (agent->lock < 0)
        return refuse(why, "setting", "cannot lock this device: %s", strerror(errno));
    if (flock(agent->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t size = pread(agent->lock, said, sizeof said - 1, 0);
        said[size > 0 ? size : 0] = 0;
        return refuse(why, "busy", "in use by %s", *said ? said : "another profiler");
    }
    time_t seconds = time(NULL);
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    int size = snprintf(said, sizeof said, "%s since %s", holder, now);
    if (ftruncate(agent->lock, 0) != 0 || pwrite(agent->lock, said, (size_t)size, 0) != size)
        return refuse(why, "setting", "cannot lock this device: %s", strerror(errno));
    return true;
}

static bool do_hello(struct agent *agent, struct json request, struct text *out,
                     struct refusal *why) {
    double idle_s = IDLE_S;
    long long threads = 1;
    if (!seconds_member(request, "idle_s", &idle_s, why) ||
        !integer_member(request, "threads", 1, MOST_THREADS, &threads, why) ||
        !claim(agent, request, why))
        return false;
    print(out, "{\"version\":%d,\"pid\":%ld,\"affinity\":", VERSION, (long)getpid());
    if (!set_affinity(request, threads, out, why))
        return false;
    agent->idle_s = idle_s;
    agent->threads = threads;
    print_key(out, "runtimes");
    append(out, "{", 1);
    if (agent->ort.api) {
        print(out, "\"onnxruntime\":{");
        print_member(out, "version", agent->ort.version);
        print_member(out, "sha256", agent->ort.digest);
        append(out, "}", 1);
    }
    append(out, "}", 1);
    print_key(out, "facts");
    print_facts(out);
    print_key(out, "state");
    print_state(out);
    append(out, "}", 1);
    return true;
}

/* The path of the model that a request names, if its content is what its name says. */
static bool model_path(const struct agent *agent, struct json request, char *path, size_t room,
                       struct refusal *why) {
    char name[DIGEST + 1], seen[DIGEST + 1];
    struct json value;
    if (!json_member(request, "model", &value) || !json_string(value, name, sizeof name) ||
        strspn(name, "0123456789abcdef") != DIGEST)
        return refuse(why, "request", "a model is named by the SHA-256 of its content");
    if ((size_t)snprintf(path, room, "%s/%s", agent->folder, name) >= room)
        return refuse(why, "missing", "the folder's name is too long");
    if (!sha256_file(path, seen))
        return refuse(why, "missing", "model %.12s is not here: %s", name, strerror(errno));
    if (strcmp(seen, name) != 0)
        return refuse(why, "missing", "model %.12s is damaged: its content has another hash", name);
    return true;
}

/* Refuses a runtime or accelerator that is not this agent's only one. */
static bool check_options(const struct agent *agent, struct json request, struct refusal *why) {
    struct json value, options;
    char text[64];
    if (!json_member(request, "runtime", &value) || !json_string(value, text, sizeof text))
        return refuse(why, "request", "no runtime is named");
    if (strcmp(text, "onnxruntime") != 0)
        return refuse(why, "runtime", "this agent does not know the runtime %s", text);
    if (!agent->ort.api) {
        *why = agent->ort.missing;
        return false;
    }
    if (!json_member(request, "options", &options))
        return true;
    if (*options.at != '{')
        return refuse(why, "request", "options are not an object");
    if (json_member(options, "accelerator", &value) &&
        (!json_string(value, text, sizeof text) || strcmp(text, "cpu") != 0))
        return refuse(why, "setting", "the native agent runs models on the cpu alone");
    /* Options that were passed over in silence would be timed as if they had been taken. */
    if (json_member(options, "options", &value))
        return refuse(why, "setting", "the native agent takes no options of the runtime");
    return true;
}

/* Loads the file, runs it once and prints what a host wants to know of it. */
static bool try_model(const struct agent *agent, struct model *model, const char *path,
                      struct text *out, struct refusal *why) {
    const struct runtime *ort = &agent->ort;
    int64_t begun = nanoseconds();
    if (!create_session(ort, model, path, (int)agent->threads, why))
        return false;
    long long taken = nanoseconds() - begun;
    if (!describe(ort, model, why) || !prepare(ort, model, 0, why))
        return false;
    begun = nanoseconds();
    if (!worked(ort->api, run_once(ort->api, model), why))
        return false;
    long long first = nanoseconds() - begun;
    print(out, "{\"model\":%lld,\"load_ns\":%lld,\"first_ns\":%lld", model->handle, taken, first);
    print_member(out, "version", ort->version);
    print(out, ",\"settings\":{\"providers\":[\"CPUExecutionProvider\"]}");
    print_key(out, "input");
    append(out, "[", 1);
    for (size_t i = 0; i < model->dimensions; i++) {
        separate(out);
        print(out, "%lld", (long long)model->shape[i]);
    }
    append(out, "]", 1);
    if (!print_sample(ort->api, model->output, out, why))
        return false;
    append(out, "}", 1);
    return true;
}

static bool do_load(struct agent *agent, struct json request, struct text *out,
                    struct refusal *why) {
    char path[4096];
    long long padding = 0;
    if (!check_options(agent, request, why) ||
        !model_path(agent, request, path, sizeof path, why) ||
        !integer_member(request, "padding", 0, MOST_PADDING, &padding, why))
        return false;
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return refuse(why, "memory", "out of memory");
    /* Kept for as long as the model is: what is freed would be taken again by what comes next. */
    model->padding = malloc((size_t)padding + 1);
    model->handle = agent->handles + 1;
    if (!try_model(agent, model, path, out, why)) {
        free_model(&agent->ort, model);
        return false;
    }
    agent->handles = model->handle;
    model->next = agent->models;
    agent->models = model;
    return true;
}

/* Where the pointer to the model of that handle is kept; NULL if no such model is loaded. */
static struct model **loaded(struct agent *agent, struct json value, struct refusal *why) {
    long long handle;
    if (json_integer(value, &handle))
        for (struct model **place = &agent->models; *place; place = &(*place)->next)
            if ((*place)->handle == handle)
                return place;
    refuse(why, "request", "no such model is loaded");
    return NULL;
}

/* The same of the model that a request names. */
static struct model **find_model(struct agent *agent, struct json request, struct refusal *why) {
    struct json value;
    if (json_member(request, "model", &value))
        return loaded(agent, value, why);
    refuse(why, "request", "no model is named");
    return NULL;
}

/* The models that a request lists, by their handles; returns how many, or 0 where it may not. */
static size_t find_models(struct agent *agent, struct json request, struct model **models,
                          struct refusal *why) {
    struct json list, key, value = {NULL, NULL};
    size_t count = 0;
    if (!json_member(request, "models", &list) || *list.at != '[') {
        refuse(why, "request", "models is not a list");
        return 0;
    }
    while (json_next(list, &key, &value)) {
        struct model **place = loaded(agent, value, why);
        if (!place)
            return 0;
        if (count == MOST_MODELS) {
            refuse(why, "request", "more than %d models", MOST_MODELS);
            return 0;
        }
        models[count++] = *place;
    }
    if (count < 2)
        refuse(why, "request", "turns are between two models at least");
    return count < 2 ? 0 : count;
}

/* Times one run of a model. */
static bool time_run(const struct ort_api *api, struct model *model, int64_t *ns,
                     struct refusal *why) {
    int64_t begun = nanoseconds();
    OrtStatus *status = run_once(api, model);
    *ns = nanoseconds() - begun;
    return worked(api, status, why);
}

static void print_times(struct text *out, const int64_t *ns, size_t count, size_t step) {
    append(out, "[", 1);
    for (size_t i = 0; i < count; i++) {
        separate(out);
        print(out, "%lld", (long long)ns[i * step]);
    }
    append(out, "]", 1);
}

static bool do_run(struct agent *agent, struct json request, struct text *out,
                   struct refusal *why) {
    static int64_t ns[MOST_RUNS];
    long long runs = 0, seed = 0;
    struct model **place = find_model(agent, request, why);
    if (!place || !integer_member(request, "runs", 1, MOST_RUNS, &runs, why) ||
        !integer_member(request, "seed", INT64_MIN, INT64_MAX, &seed, why))
        return false;
    if (runs == 0)
        return refuse(why, "request", "it does not say how many runs");
    if (!prepare(&agent->ort, *place, seed, why))
        return false;
    for (long long i = 0; i < runs; i++)
        if (!time_run(agent->ort.api, *place, &ns[i], why))
            return false;
    print(out, "{\"ns\":");
    print_times(out, ns, (size_t)runs, 1);
    print(out, ",\"state\":");
    print_state(out);
    append(out, "}", 1);
    return true;
}

/* The next of a row of numbers that look random (splitmix64). */
static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static void shuffle(size_t *order, size_t count, uint64_t *state) {
    for (size_t last = count - 1; last > 0; last--) {
        size_t other = (size_t)(next_random(state) % (last + 1)), kept = order[last];
        order[last] = order[other];
        order[other] = kept;
    }
}

/* Runs several models in turns, in a new random order each turn. */
static bool do_turns(struct agent *agent, struct json request, struct text *out,
                     struct refusal *why) {
    static int64_t ns[MOST_RUNS];
    struct model *models[MOST_MODELS];
    size_t order[MOST_MODELS];
    long long turns = 0, seed = 0, drawn = 0;
    size_t count = find_models(agent, request, models, why);
    if (!count || !integer_member(request, "turns", 1, MOST_RUNS, &turns, why) ||
        !integer_member(request, "seed", INT64_MIN, INT64_MAX, &seed, why) ||
        !integer_member(request, "order", INT64_MIN, INT64_MAX, &drawn, why))
        return false;
    if (turns == 0 || (size_t)turns * count > MOST_RUNS)
        return refuse(why, "request", "%lld turns of %zu models cannot be timed", turns, count);
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
        if (!prepare(&agent->ort, models[i], seed, why))
            return false;
    }
    uint64_t state = (uint64_t)drawn;
    for (size_t turn = 0; turn < (size_t)turns; turn++) {
        shuffle(order, count, &state);
        for (size_t i = 0; i < count; i++)
            if (!time_run(agent->ort.api, models[order[i]], &ns[turn * count + order[i]], why))
                return false;
    }
    print(out, "{\"ns\":[");
    for (size_t i = 0; i < count; i++) {
        separate(out);
        print_times(out, ns + i, (size_t)turns, count);
    }
    print(out, "],\"state\":");
    print_state(out);
    append(out, "}", 1);
    return true;
}

/* What is resident of this process in memory now, and was at its highest, by the kernel. */
static bool resident_kb(long long *now, long long *peak, struct refusal *why) {
    const char *status = read_text("/proc/self/status");
    const char *resident = field(status, "VmRSS", ':'), *highest = field(status, "VmHWM", ':');
    if (!resident || !highest)
        return refuse(why, "counter", "the kernel does not tell what a process had resident");
    *now = strtoll(resident, NULL, 10);
    *peak = strtoll(highest, NULL, 10);
    return true;
}

/* Has the kernel forget how much was resident at the highest, where it can (Linux 4.0). */
static void reset_peak(void) {
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, "5", 1) != 1)
        errno = 0; /* the highest then tells that it was not forgotten */
    close(file);
}

/* Loads a model and runs it; what was resident before, and at the highest meanwhile. All runs take
 * the input of the first: making another one would count as the model's. */
static bool do_memory(struct agent *agent, struct json request, struct text *out,
                      struct refusal *why) {
    char path[4096];
    long long runs = 0, base, before, now, peak;
    struct text loaded = {NULL, 0, 0};
    if (!check_options(agent, request, why) || !model_path(agent, request, path, sizeof path, why))
        return false;
    if (!integer_member(request, "runs", 1, MOST_RUNS, &runs, why) ||
        !resident_kb(&base, &before, why))
        return false;
    if (runs == 0)
        return refuse(why, "request", "it does not say how many runs");
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return refuse(why, "memory", "out of memory");
    reset_peak();
    bool done = try_model(agent, model, path, &loaded, why);
    for (long long i = 0; done && i < runs; i++)
        done = worked(agent->ort.api, run_once(agent->ort.api, model), why);
    done = done && resident_kb(&now, &peak, why);
    free_model(&agent->ort, model);
    free(loaded.data);
    if (!done)
        return false;
    if (peak == before && before > base)
        return refuse(why, "counter", "this kernel cannot forget an earlier peak (clear_refs)");
    print(out, "{\"base_kb\":%lld,\"peak_kb\":%lld}", base, peak);
    return true;
}

static bool do_state(struct agent *agent, struct json request, struct text *out,
                     struct refusal *why) {
    (void)agent, (void)request, (void)why;
    print(out, "{\"state\":");
    print_state(out);
    append(out, "}", 1);
    return true;
}

static bool do_unload(struct agent *agent, struct json request, struct text *out,
                      struct refusal *why) {
    struct model **place = find_model(agent, request, why);
    if (!place)
        return false;
    struct model *model = *place;
    *place = model->next;
    free_model(&agent->ort, model);
    print(out, "{}");
    return true;
}

static bool do_quit(struct agent *agent, struct json request, struct text *out,
                    struct refusal *why) {
    (void)agent, (void)request, (void)why;
    print(out, "{}");
    return true;
}

typedef bool handler(struct agent *, struct json, struct text *, struct refusal *);

static handler *find_handler(struct json request) {
    static const struct {
        const char *name;
        handler *handler;
    } known[] = {{"hello", do_hello},   {"load", do_load},   {"run", do_run},
                 {"turns", do_turns},   {"memory", do_memory}, {"state", do_state},
                 {"unload", do_unload}, {"quit", do_quit}};
    struct json value;
    char name[16];
    if (json_member(request, "do", &value) && json_string(value, name, sizeof name))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strcmp(known[i].name, name) == 0)
                return known[i].handler;
    return NULL;
}

/* Meets a request, or says why not; `id` is taken from it and `last` says whether it was quit. */
static bool meet(struct agent *agent, struct json request, struct json *id, bool *last,
                 struct text *ok, struct refusal *why) {
    double deadline_s = DEADLINE_S;
    if (*request.at != '{' || !json_member(request, "id", id))
        return refuse(why, "request", "a request is an object with an id");
    handler *handler = find_handler(request);
    if (!handler)
        return refuse(why, "request", "unknown request");
    if (!seconds_member(request, "deadline_s", &deadline_s, why))
        return false;
    alarm_in(deadline_s);
    *last = handler == do_quit;
    return handler(agent, request, ok, why);
}

/* Prints the reply to one line; false if it was the last one. */
static bool answer(struct agent *agent, const char *line, size_t size, struct text *reply) {
    static const char null[] = "null";
    struct json request, id = {null, null + strlen(null)};
    struct text ok = {NULL, 0, 0};
    struct refusal why;
    bool last = false;
    bool met = read_json(line, size, &request) ? meet(agent, request, &id, &last, &ok, &why)
                                               : refuse(&why, "request", "not a line of JSON");
    print(reply, "{\"id\":");
    append(reply, id.at, (size_t)(id.end - id.at));
    if (met) {
        print_key(reply, "ok");
        append(reply, ok.data, ok.size);
    } else {
        print_key(reply, "error");
        print(reply, "{\"kind\":\"%s\"", why.kind);
        print_member(reply, "message", why.message);
        append(reply, "}", 1);
    }
    append(reply, "}\n", 2);
    free(ok.data);
    return !last;
}

/* Sends the reply and empties it; false if nobody listens any more. */
static bool send_reply(int sink, struct text *reply) {
    size_t sent = 0;
    while (sent < reply->size) {
        ssize_t size = write(sink, reply->data + sent, reply->size - sent);
        if (size < 0 && errno != EINTR)
            return false;
        sent += size > 0 ? (size_t)size : 0;
    }
    reply->size = 0;
    return true;
}

/* Answers lines from stdin on `sink` until there are no more. */
static void serve(struct agent *agent, int sink) {
    static char lines[LONGEST_LINE];
    struct text reply = {NULL, 0, 0};
    size_t size = 0, searched = 0;
    for (bool going = true; going;) {
        char *end = memchr(lines + searched, '\n', size - searched);
        if (end) {
            size_t line = (size_t)(end - lines) + 1;
            *end = 0;
            going = answer(agent, lines, line - 1, &reply);
            going = send_reply(sink, &reply) && going;
            memmove(lines, lines + line, size - line);
            size -= line;
            searched = 0;
        } else if (size == sizeof lines) {
            print(&reply,
                  "{\"id\":null,\"error\":{\"kind\":\"request\",\"message\":"
                  "\"a line over %d bytes\"}}\n",
                  LONGEST_LINE);
            send_reply(sink, &reply);
            going = false;
        } else {
            alarm_in(agent->idle_s);
            searched = size;
            ssize_t part = read(0, lines + size, sizeof lines - size);
            going = part > 0 || (part < 0 && errno == EINTR);
            size += part > 0 ? (size_t)part : 0;
        }
    }
}

int main(int argc, char **argv) {
    static struct agent agent = {.idle_s = IDLE_S, .threads = 1, .lock = -1};
    if (argc != 2 && argc != 3)
        die("usage: compofa_agent FOLDER [LIBONNXRUNTIME]");
    agent.folder = argv[1];
    signal(SIGPIPE, SIG_IGN);
    int sink = dup(1);
    /* What a runtime prints must not end up between replies. */
    dup2(2, 1);
    open_runtime(&agent.ort, argv[2]);
    serve(&agent, sink);
    /* A runtime's own threads must not keep a finished agent alive. */
    _exit(0);
}

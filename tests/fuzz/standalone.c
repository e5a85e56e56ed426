/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without libFuzzer: first each file of the corpus as it is, then inputs drawn from a seed, half of
 * them mutated from the corpus. Input i depends on the seed and i alone, so a crash is replayed by itself.
 *
 *   fuzz_x [--runs N] [--seed S] [--first I] [FILE | DIRECTORY]...
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_LIMIT = 4096, MUTATION_LIMIT = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct input {
    char *name;
    uint8_t *bytes;
    size_t length;
};

static struct input *corpus;
static size_t corpus_count;

/* How to run again what runs now; the signal handler only reads it. */
static char replay[512];

static void say_replay(int signal_number)
{
    if (write(STDERR_FILENO, replay, strlen(replay)) < 0) {
        _exit(2);
    }
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static _Noreturn void die(const char *what, const char *name)
{
    fprintf(stderr, "%s: %s\n", name, what);
    exit(2);
}

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t draw_below(uint64_t *state, size_t limit)
{
    return (size_t)(draw(state) % limit);
}

static void read_file(const char *name, size_t length)
{
    struct input input = {.name = strdup(name), .bytes = malloc(length + 1), .length = length};
    FILE *file = fopen(name, "rb");
    corpus = realloc(corpus, (corpus_count + 1) * sizeof(*corpus));
    if (!file || !input.name || !input.bytes || !corpus) {
        die(strerror(errno), name);
    }
    if (fread(input.bytes, 1, length, file) != length) {
        die("short read", name);
    }
    fclose(file);
    corpus[corpus_count++] = input;
}

static void read_corpus(const char *name)
{
    struct stat status;
    if (stat(name, &status) != 0) {
        die(strerror(errno), name);
    }
    if (!S_ISDIR(status.st_mode)) {
        read_file(name, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(name, &entries, NULL, alphasort);
    if (count < 0) {
        die(strerror(errno), name);
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", name, entries[i]->d_name);
            read_corpus(path);
        }
        free(entries[i]);
    }
    free(entries);
}

/* Changes one place of the input; lengths and flags sit in few bits, so small changes come more often than large ones. */
static size_t mutate(uint8_t *bytes, size_t length, uint64_t *state)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
    size_t at = length ? draw_below(state, length) : 0;
    switch (draw_below(state, 6)) {
    case 0: /* cut off */
        return at;
    case 1: /* lengthen */
        while (length < INPUT_LIMIT && draw_below(state, 16) != 0) {
            bytes[length++] = (uint8_t)draw(state);
        }
        return length;
    case 2: /* repeat a part elsewhere */
        if (length) {
            size_t from = draw_below(state, length);
            size_t longest = length - (from > at ? from : at);
            memmove(bytes + at, bytes + from, draw_below(state, longest) + 1);
        }
        return length;
    case 3:
        if (length) {
            bytes[at] = edges[draw_below(state, sizeof(edges))];
        }
        return length;
    case 4:
        if (length) {
            bytes[at] = (uint8_t)draw(state);
        }
        return length;
    default:
        if (length) {
            bytes[at] ^= (uint8_t)(1u << draw_below(state, 8));
        }
        return length;
    }
}

static size_t generate(uint8_t *bytes, uint64_t seed, uint64_t index)
{
    uint64_t state = seed * 0xd1342543de82ef95u + index;
    size_t length = 0;
    if (corpus_count && draw_below(&state, 2) == 0) {
        const struct input *base = &corpus[draw_below(&state, corpus_count)];
        length = base->length < INPUT_LIMIT ? base->length : INPUT_LIMIT;
        memcpy(bytes, base->bytes, length);
        for (size_t n = draw_below(&state, MUTATION_LIMIT) + 1; n > 0; n--) {
            length = mutate(bytes, length, &state);
        }
        return length;
    }
    length = draw_below(&state, draw_below(&state, 8) == 0 ? INPUT_LIMIT : 128);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)draw(&state);
    }
    return length;
}

/* The target gets memory of just the input's size, so that ASan sees every byte read past it. */
static void run(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy) {
        die("no memory", "input");
    }
    memcpy(copy, bytes, length);
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

static uint64_t number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || end == text || *end) {
        die("needs a number", option);
    }
    return value;
}

int main(int argc, char **argv)
{
    const char *program = argv[0];
    uint64_t runs = 10000, seed = 1, first = 0;
    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--runs") == 0) {
            runs = number(argv[i], argv[i + 1]);
            i++;
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = number(argv[i], argv[i + 1]);
            i++;
        } else if (strcmp(argv[i], "--first") == 0) {
            first = number(argv[i], argv[i + 1]);
            i++;
        } else if (argv[i][0] == '-') {
            die("unknown option; there are --runs, --seed, --first", argv[i]);
        } else {
            read_corpus(argv[i]);
        }
    }
    const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        (void)signal(fatal[i], say_replay);
    }
    for (size_t i = 0; i < corpus_count; i++) {
        snprintf(replay, sizeof(replay), "replay: %s --runs 0 %s\n", program, corpus[i].name);
        run(corpus[i].bytes, corpus[i].length);
    }
    static uint8_t bytes[INPUT_LIMIT];
    for (uint64_t i = first; i < first + runs; i++) {
        snprintf(replay, sizeof(replay), "replay: %s --seed %llu --first %llu --runs 1, and the same corpus\n", program,
                 (unsigned long long)seed, (unsigned long long)i);
        size_t length = generate(bytes, seed, i);
        alarm(10);
        run(bytes, length);
    }
    printf("%zu corpus files and %llu inputs from seed %llu\n", corpus_count, (unsigned long long)runs,
           (unsigned long long)seed);
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].name);
        free(corpus[i].bytes);
    }
    free(corpus);
    return 0;
}

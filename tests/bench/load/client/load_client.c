/* load_client [options] FILE: sends requests as fast as they are answered, and says what that took.
 *
 * FILE holds entries: the length of the body (32 bits, little-endian), the length of the path (16 bits), path, body.
 * Each is sent once, with --in-flight of them unanswered at any time, spread over --connections. Prints one line of
 * JSON: requests answered, how many of them well, the bytes of these, the seconds from the first byte to the last
 * answer, percentiles of the time from send to answer, and the client's own CPU seconds.
 *
 * C and not Python because the client must cost less than the server it measures.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ENTRY_HEAD = 6 };

struct load load;

void fail(const char *what) {
    fprintf(stderr, "load_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* Reads the entry at `from`; NULL when it is not there as a whole, else where the next one begins. */
static const uint8_t *read_entry(const uint8_t *from, struct entry *entry) {
    if (load.end - from < ENTRY_HEAD) return NULL;
    entry->length = (size_t)from[0] | (size_t)from[1] << 8 | (size_t)from[2] << 16 | (size_t)from[3] << 24;
    entry->path_length = (size_t)from[4] | (size_t)from[5] << 8;
    if ((size_t)(load.end - from) < ENTRY_HEAD + entry->path_length + entry->length) return NULL;
    entry->path = (const char *)from + ENTRY_HEAD;
    entry->body = from + ENTRY_HEAD + entry->path_length;
    return entry->body + entry->length;
}

/* Maps the file and counts its entries; every page is touched here, so that no disk read happens while measuring. */
static void open_workload(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) < 0) fail(path);
    load.next = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (load.next == MAP_FAILED) fail(path);
    close(file);
    load.end = load.next + status.st_size;
    struct entry entry;
    for (const uint8_t *at = load.next; (at = read_entry(at, &entry));) load.requests++;
    load.latencies = calloc(load.requests + 1, sizeof *load.latencies);
    if (!load.latencies) fail("calloc");
}

int next_entry(struct entry *entry) {
    if (load.stop_at && now() >= load.stop_at) return 0;
    const uint8_t *after = read_entry(load.next, entry);
    if (!after) return 0;
    load.next = after;
    load.sent++;
    return 1;
}

void answered(double sent_at, size_t bytes, int succeeded, const char *error) {
    load.latencies[load.answered++] = now() - sent_at;
    if (succeeded) {
        load.succeeded++;
        load.bytes += bytes;
    } else if (!load.first_error[0]) {
        snprintf(load.first_error, sizeof load.first_error, "%s", error);
    }
}

int open_socket(const struct options *options) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(options->host, options->port, &hints, &found)) fail("no such host or port");
    int opened = socket(found->ai_family, SOCK_STREAM, 0), on = 1, buffer = 4 << 20;
    if (opened < 0 || connect(opened, found->ai_addr, found->ai_addrlen) < 0) fail("connect");
    freeaddrinfo(found);
    setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(opened, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    return opened;
}

void wait_for_sockets(const int *sockets, const short *events, short *ready, int count) {
    struct pollfd polled[MAX_CONNECTIONS];
    for (int i = 0; i < count; i++) polled[i] = (struct pollfd){.fd = sockets[i], .events = events[i]};
    if (poll(polled, (nfds_t)count, STALLED_AFTER_MS) == 0) {
        fprintf(stderr, "load_client: no answer for %d s, %zu of %zu answered; first error: %s\n",
                STALLED_AFTER_MS / 1000, load.answered, load.sent, load.first_error);
        exit(1);
    }
    for (int i = 0; i < count; i++) ready[i] = polled[i].revents;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double share) {
    return load.answered ? load.latencies[(size_t)((double)(load.answered - 1) * share)] * 1e3 : 0;
}

static void report(double seconds, double cpu) {
    qsort(load.latencies, load.answered, sizeof *load.latencies, ascending);
    if (load.first_error[0]) fprintf(stderr, "load_client: first error: %s\n", load.first_error);
    printf("{\"answered\": %zu, \"succeeded\": %zu, \"bytes\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.3f, "
           "\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           load.answered, load.succeeded, load.bytes, seconds, cpu, percentile_ms(0.50), percentile_ms(0.90),
           percentile_ms(0.99), percentile_ms(1));
}

static void usage(void) {
    fprintf(stderr, "usage: load_client [--protocol grpc|http] [--host H] --port P [--connections N] [--in-flight N]\n"
                    "                   [--seconds S] [--content-type T] [--header 'NAME: VALUE'] FILE\n");
    exit(2);
}

static struct options read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"protocol", required_argument, NULL, 'p'},   {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'P'},       {"connections", required_argument, NULL, 'c'},
        {"in-flight", required_argument, NULL, 'f'},  {"seconds", required_argument, NULL, 's'},
        {"content-type", required_argument, NULL, 't'}, {"header", required_argument, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.protocol = "grpc", .host = "127.0.0.1", .connections = 1, .in_flight = 16,
                              .content_type = "application/x-protobuf"};
    for (int name; (name = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (name) {
        case 'p': options.protocol = optarg; break;
        case 'h': options.host = optarg; break;
        case 'P': options.port = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 'f': options.in_flight = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 't': options.content_type = optarg; break;
        case 'H': options.header = optarg; break;
        default: usage();
        }
    }
    if (optind != argc - 1 || !options.port || options.connections < 1 || options.connections > MAX_CONNECTIONS ||
        options.in_flight < options.connections)
        usage();
    options.file = argv[optind];
    return options;
}

int main(int argc, char **argv) {
    struct options options = read_options(argc, argv);
    open_workload(options.file);
    double cpu_before = cpu_seconds();
    load.started = now();
    load.stop_at = options.seconds > 0 ? load.started + options.seconds : 0;
    if (!strcmp(options.protocol, "grpc")) run_grpc(&options);
    else if (!strcmp(options.protocol, "http")) run_http(&options);
    else usage();
    report(now() - load.started, cpu_seconds() - cpu_before);
    return 0;
}

/* What the two protocols share: the workload being sent, and what came of it. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_CONNECTIONS = 256, STALLED_AFTER_MS = 120000 };

struct options {
    const char *protocol, *host, *port, *file, *content_type, *header; /* header: one more "name: value" line, or NULL */
    int connections, in_flight;
    double seconds; /* send no longer than this; 0: until the file is sent */
};

/* A request of the workload; `path` is not terminated, and empty for the protocol's own. */
struct entry {
    const char *path;
    const uint8_t *body;
    size_t path_length, length;
};

struct load {
    const uint8_t *next, *end;
    double *latencies, started, stop_at;
    size_t requests, sent, answered, succeeded, bytes;
    char first_error[240];
};

extern struct load load;

void fail(const char *what) __attribute__((noreturn));
double now(void);
int next_entry(struct entry *entry); /* 0: nothing more is to be sent */
void answered(double sent_at, size_t bytes, int succeeded, const char *error);
int open_socket(const struct options *options);
void wait_for_sockets(const int *sockets, const short *events, short *ready, int count);

void run_grpc(const struct options *options);
void run_http(const struct options *options);

#endif

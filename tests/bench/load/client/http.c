/* HTTP/1.1 with keep-alive: one request at a time on each connection; answers must have a Content-Length. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { MAX_HEAD = 2048, MAX_ANSWER = 1 << 16 };

struct connection {
    struct entry entry;
    char head[MAX_HEAD], answer[MAX_ANSWER + 1];
    size_t head_length, written, received;
    double sent_at;
    int busy;
};

static void start_next(struct connection *c, const struct options *options) {
    c->busy = next_entry(&c->entry);
    if (!c->busy) return;
    int path_length = c->entry.path_length ? (int)c->entry.path_length : (int)strlen("/v1/traces");
    const char *path = c->entry.path_length ? c->entry.path : "/v1/traces";
    int n = snprintf(c->head, MAX_HEAD,
                     "POST %.*s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n",
                     path_length, path, options->host, options->port, options->content_type, c->entry.length,
                     options->header ? options->header : "", options->header ? "\r\n" : "");
    if (n < 0 || n >= MAX_HEAD) fail("path or header too long");
    c->head_length = (size_t)n;
    c->written = c->received = 0;
    c->sent_at = now();
}

static size_t to_write(const struct connection *c) {
    return c->busy ? c->head_length + c->entry.length - c->written : 0;
}

static void write_some(struct connection *c, int socket) {
    size_t in_body = c->written > c->head_length ? c->written - c->head_length : 0;
    size_t in_head = c->written < c->head_length ? c->written : c->head_length;
    struct iovec parts[] = {
        {c->head + in_head, c->head_length - in_head},
        {(void *)(c->entry.body + in_body), c->entry.length - in_body},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) fail("send");
    if (n > 0) c->written += (size_t)n;
}

/* The answer's whole length once its head is there, else 0. */
static size_t answer_length(const struct connection *c) {
    const char *head_end = strstr(c->answer, "\r\n\r\n");
    if (!head_end) return 0;
    const char *length = strcasestr(c->answer, "\r\ncontent-length:");
    size_t body = length && length < head_end ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    return (size_t)(head_end - c->answer) + 4 + body;
}

static void finish(struct connection *c, size_t length) {
    int status = atoi(c->answer + strlen("HTTP/1.1 "));
    const char *body = strstr(c->answer, "\r\n\r\n") + 4;
    char said[240];
    snprintf(said, sizeof said, "HTTP %d: %.*s", status, (int)(c->answer + length - body), body);
    answered(c->sent_at, c->entry.length, status >= 200 && status < 300, said);
}

static int read_answer(struct connection *c, int socket) {
    ssize_t n = recv(socket, c->answer + c->received, MAX_ANSWER - c->received, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) {
        fprintf(stderr, "load_client: the server closed the connection; first error: %s\n", load.first_error);
        exit(1);
    }
    c->received += (size_t)n;
    c->answer[c->received] = 0;
    size_t length = answer_length(c);
    if (!length || c->received < length) return 0;
    finish(c, length);
    return 1;
}

void run_http(const struct options *options) {
    static struct connection connections[MAX_CONNECTIONS];
    int sockets[MAX_CONNECTIONS], count = options->connections;
    short events[MAX_CONNECTIONS], ready[MAX_CONNECTIONS];
    for (int i = 0; i < count; i++) sockets[i] = open_socket(options);
    for (int i = 0; i < count; i++) start_next(&connections[i], options);
    while (load.answered < load.sent) {
        for (int i = 0; i < count; i++) {
            if (to_write(&connections[i])) write_some(&connections[i], sockets[i]);
            events[i] = connections[i].busy ? POLLIN | (to_write(&connections[i]) ? POLLOUT : 0) : 0;
        }
        wait_for_sockets(sockets, events, ready, count);
        for (int i = 0; i < count; i++)
            if (connections[i].busy && ready[i] & (POLLIN | POLLHUP | POLLERR) &&
                read_answer(&connections[i], sockets[i]))
                start_next(&connections[i], options);
    }
}

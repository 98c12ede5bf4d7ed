/* OTLP over plaintext gRPC: HTTP/2 with prior knowledge, one stream for a request. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PREFIX = 5 };

struct request {
    struct entry entry;
    size_t written; /* counts the gRPC prefix too */
    uint8_t prefix[PREFIX];
    double sent_at;
    int status; /* -1: no grpc-status seen */
    char message[160];
};

static const char *EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
static char authority[280];

static size_t copy_part(uint8_t *to, size_t room, const uint8_t *from, size_t size, size_t offset) {
    size_t n = size - offset < room ? size - offset : room;
    memcpy(to, from + offset, n);
    return n;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user_data) {
    (void)session, (void)stream, (void)user_data;
    struct request *request = source->ptr;
    size_t n = 0, length = request->entry.length;
    if (request->written < PREFIX) {
        n = copy_part(to, room, request->prefix, PREFIX, request->written);
        request->written += n;
    }
    if (request->written >= PREFIX) {
        size_t part = copy_part(to + n, room - n, request->entry.body, length, request->written - PREFIX);
        request->written += part;
        n += part;
    }
    if (request->written == length + PREFIX) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static struct request *next_request(void) {
    struct request *request = calloc(1, sizeof *request);
    if (!request) fail("calloc");
    if (!next_entry(&request->entry)) {
        free(request);
        return NULL;
    }
    request->status = -1;
    for (int i = 1; i < PREFIX; i++) request->prefix[i] = (uint8_t)(request->entry.length >> (8 * (4 - i)));
    return request;
}

static void send_next(nghttp2_session *session) {
    struct request *request = next_request();
    if (!request) return;
    nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", EXPORT),
        header(":authority", authority),
        header("te", "trailers"),
        header("content-type", "application/grpc"),
    };
    nghttp2_data_provider body = {.source = {.ptr = request}, .read_callback = read_body};
    request->sent_at = now();
    if (nghttp2_submit_request(session, NULL, headers, sizeof headers / sizeof *headers, &body, request) < 0)
        fail("nghttp2_submit_request");
}

static int is_header(const char *expected, const uint8_t *name, size_t length) {
    return strlen(expected) == length && !memcmp(expected, name, length);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user_data) {
    (void)flags, (void)user_data;
    struct request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!request) return 0;
    if (is_header("grpc-status", name, name_length)) request->status = atoi((const char *)value);
    if (is_header("grpc-message", name, name_length))
        snprintf(request->message, sizeof request->message, "%.*s", (int)value_length, (const char *)value);
    return 0;
}

static int on_answered(nghttp2_session *session, int32_t stream, uint32_t error, void *user_data) {
    (void)user_data;
    struct request *request = nghttp2_session_get_stream_user_data(session, stream);
    if (!request) return 0;
    char said[240];
    snprintf(said, sizeof said, "grpc-status %d, http2 error %u: %s", request->status, error, request->message);
    answered(request->sent_at, request->entry.length, request->status == 0, said);
    free(request);
    send_next(session);
    return 0;
}

static ssize_t write_socket(nghttp2_session *session, const uint8_t *bytes, size_t length, int flags,
                            void *user_data) {
    (void)session, (void)flags;
    ssize_t n = send(*(int *)user_data, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return n;
    return errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static nghttp2_session *open_session(int *socket) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_answered);
    nghttp2_session_callbacks_set_send_callback(callbacks, write_socket);
    nghttp2_session_client_new(&session, callbacks, socket);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
    return session;
}

static void receive(int socket, nghttp2_session *session) {
    static uint8_t bytes[1 << 16];
    ssize_t n = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail("recv");
    if (n == 0 || nghttp2_session_mem_recv(session, bytes, (size_t)n) < 0) {
        fprintf(stderr, "load_client: the server closed the connection; first error: %s\n", load.first_error);
        exit(1);
    }
}

void run_grpc(const struct options *options) {
    int sockets[MAX_CONNECTIONS], count = options->connections;
    short events[MAX_CONNECTIONS], ready[MAX_CONNECTIONS];
    nghttp2_session *sessions[MAX_CONNECTIONS];
    snprintf(authority, sizeof authority, "%s:%s", options->host, options->port);
    for (int i = 0; i < count; i++) {
        sockets[i] = open_socket(options);
        sessions[i] = open_session(&sockets[i]);
    }
    for (int i = 0; i < options->in_flight; i++) send_next(sessions[i % count]);
    while (load.answered < load.sent) {
        for (int i = 0; i < count; i++) {
            if (nghttp2_session_send(sessions[i]) < 0) fail("nghttp2_session_send");
            events[i] = POLLIN | (nghttp2_session_want_write(sessions[i]) ? POLLOUT : 0);
        }
        wait_for_sockets(sockets, events, ready, count);
        for (int i = 0; i < count; i++)
            if (ready[i] & (POLLIN | POLLHUP | POLLERR)) receive(sockets[i], sessions[i]);
    }
}
